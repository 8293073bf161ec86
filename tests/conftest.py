"""What all tests share; imports nothing that the class's own test would lack."""

from __future__ import annotations

import fcntl
import getpass
import importlib.util
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# The class's own test runs in Airflow's environment (tests/integration/test_class_repository.py).
collect_ignore = [] if importlib.util.find_spec("airflow") else ["test_dag_integrity.py"]

SHARED = ("image_class", "plain_class", "stage", "stack", "world")
"""Fixtures that take long to set up, those with the longest tests first."""


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep tests that share something slow in one process, and begin with the slowest."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    items.sort(key=_turn)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Let the test that stops the Docker engine have it alone."""
    if item.get_closest_marker("docker") is None:
        return (yield)
    with _docker_engine(alone="engine" in _fixtures(item)):
        return (yield)


def _group(item: pytest.Item) -> str:
    used = _fixtures(item)
    return next((name for name in SHARED if name in used), item.path.name)


def _turn(item: pytest.Item) -> tuple[int, bool]:
    """Return where a test stands; sorting keeps the order within a file.

    The one that stops the engine comes early: what runs beside it then starts again by itself.
    """
    group = _group(item)
    position = SHARED.index(group) if group in SHARED else len(SHARED)
    return position, "engine" not in _fixtures(item)


def _fixtures(item: pytest.Item) -> list[str]:
    return getattr(item, "fixturenames", [])


@contextmanager
def _docker_engine(*, alone: bool) -> Iterator[None]:
    """Hold the engine among the processes of this run; who wants it alone comes next."""
    place = Path(tempfile.gettempdir())
    name = f"class-deployer-tests-{getpass.getuser()}"
    with (place / f"{name}.gate").open("w") as gate, (place / f"{name}.engine").open("w") as engine:
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(engine, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
