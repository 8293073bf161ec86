"""What all tests share; imports nothing that the class's own test would lack."""

from __future__ import annotations

import importlib.util

# The class's own test runs in Airflow's environment (tests/integration/test_class_repository.py).
collect_ignore = [] if importlib.util.find_spec("airflow") else ["test_dag_integrity.py"]
