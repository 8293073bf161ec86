"""What all tests share; imports nothing that the class's own test would lack."""

from __future__ import annotations

import importlib.util
from fnmatch import fnmatchcase

import pytest

# The class's own test runs in Airflow's environment (tests/integration/test_class_repository.py).
collect_ignore = [] if importlib.util.find_spec("airflow") else ["test_dag_integrity.py"]

DOCKER = (
    "tests/e2e/compose/*",
    "tests/e2e/test_plain_way.py",
    "tests/integration/examiner/*",
    "tests/integration/test_compose_*",
    "tests/integration/test_doctor*",
    "tests/integration/test_services_contract.py",
)
"""Files that use the Docker engine, which one of the tests stops."""


@pytest.hookimpl(optionalhook=True)  # a class's own environment has no pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """With `--dist=loadscope`, give one process what needs Docker, the other everything else.

    So nothing that is slow to set up is set up twice, and nobody's engine is stopped.
    (`--dist=loadgroup` could do it, but does nothing with pytest 9.2:
    github.com/pytest-dev/pytest-xdist/issues/1386.)
    """
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  # likewise

    class TwoHalves(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "docker" if any(fnmatchcase(file, one) for one in DOCKER) else "rest"

    return TwoHalves(config, log)
