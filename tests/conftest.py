"""What all tests share; imports nothing that the class's own test would lack."""

from __future__ import annotations

import fcntl
import importlib.util
import os
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO

import pytest

# The class's own test runs in Airflow's environment (tests/integration/test_class_repository.py).
collect_ignore = [] if importlib.util.find_spec("airflow") else ["test_dag_integrity.py"]

PARTS = {
    "rollout": ["tests/e2e/compose/test_rollout.py"],
    "compose": ["tests/e2e/compose/*"],
    "plain": ["tests/e2e/test_plain_way.py"],
    "bundle": ["tests/e2e/test_bundle.py"],
    "stage": ["tests/e2e/*"],
    "engine": [
        "tests/integration/examiner/*",
        "tests/integration/install/*",
        "tests/integration/test_compose_*",
        "tests/integration/test_doctor.py",
        "tests/integration/test_doctor_docker.py",
        "tests/integration/test_services_contract.py",
    ],
    "airflow": [
        "tests/integration/test_airflow_*",
        "tests/integration/test_check.py",
        "tests/integration/test_class_*",
        "tests/integration/test_dag_processor_seams.py",
        "tests/integration/test_doctor_airflow.py",
        "tests/integration/test_local_airflow.py",
        "tests/integration/test_pipelines.py",
    ],
    "reliability": ["tests/reliability/*", "tests/security/*"],
    "rest": ["*"],
}
"""Files by what they share and is slow to set up: the first pattern that fits counts."""
LONGEST_FIRST = (
    *("rollout", "compose", "stage", "airflow", "engine", "reliability", "plain", "bundle", "rest"),
)
ON_THE_ENGINE = {"rollout", "compose", "plain", "engine"}


def part_of(nodeid: str) -> str:
    file = nodeid.partition("::")[0]
    return next(p for p, files in PARTS.items() if any(fnmatchcase(file, one) for one in files))


ENGINE_LOCK = pytest.StashKey[IO[str]]()
"""The lock that all who use the Docker engine share, and who stops it has alone (flock(2))."""


def pytest_configure(config: pytest.Config) -> None:
    lock = Path(tempfile.gettempdir(), f"class-deployer-engine-{os.getuid()}.lock")
    config.stash[ENGINE_LOCK] = lock.open("a")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have nobody stop the Docker engine under a file that uses it, or under its fixtures."""
    if part_of(item.nodeid) in ON_THE_ENGINE:
        fcntl.flock(item.config.stash[ENGINE_LOCK], fcntl.LOCK_SH)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is None or nextitem.path != item.path:
        fcntl.flock(item.config.stash[ENGINE_LOCK], fcntl.LOCK_UN)


@pytest.fixture
def engine_lock(pytestconfig: pytest.Config) -> IO[str]:
    return pytestconfig.stash[ENGINE_LOCK]


@pytest.hookimpl(optionalhook=True)  # a class's own environment has no pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    """With `--dist=loadscope`, give each process one part after the other, the longest first.

    So nothing that is slow to set up is set up twice. What has nothing of the kind goes last, file
    by file, so that no process is idle for long.
    (`--dist=loadgroup` could do it, but does nothing with pytest 9.2:
    github.com/pytest-dev/pytest-xdist/issues/1386.)
    """
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415  # likewise

    class InParts(LoadScopeScheduling):  # type: ignore[misc]  # pytest-xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            part = part_of(nodeid)
            return part if part != "rest" else nodeid.partition("::")[0]

        def _assign_work_unit(self, node: object) -> None:
            self.workqueue.move_to_end(min(self.workqueue, key=_place), last=False)
            super()._assign_work_unit(node)

    return InParts(config, log)


def _place(scope: str) -> int:
    return LONGEST_FIRST.index(scope if scope in PARTS else "rest")
