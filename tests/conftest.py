"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# No deadline: a busy machine is no defect. No database: a run depends on the checkout alone.
hypothesis.settings.register_profile("deployer", deadline=None, database=None)
hypothesis.settings.load_profile("deployer")


@pytest.fixture(scope="session")
def airflow_python() -> Path:
    """The interpreter of Airflow's own environment, for tests marked `airflow`."""
    named = os.environ.get("DEPLOYER_TEST_AIRFLOW_PYTHON")
    if named:
        return Path(named)  # not resolved: the link is what makes it a virtual environment
    reason = "DEPLOYER_TEST_AIRFLOW_PYTHON names no interpreter; scripts/test sets it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
