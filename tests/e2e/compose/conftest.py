"""The whole product over the class's Airflow in Docker Compose, on a real engine: one stack."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from typing import IO

import pytest

from tests.e2e.compose.classroom import Classroom, classroom
from tests.e2e.compose.engine import Engine

WAREHOUSE = {
    "COMPOSE_PROFILES": "warehouse",
    "WAREHOUSE_PASSWORD": "for-all-of-us",
    "AIRFLOW_CONN_AZURE_PG": "postgresql://class:for-all-of-us@warehouse:5432/class",
}


@pytest.fixture(scope="package")
def image_class(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """A class with a warehouse, whose packages come in an image built on change."""
    folder = tmp_path_factory.mktemp("image")
    project = f"class-e2e-image-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    with classroom(folder, project, "image", WAREHOUSE) as made:
        yield made


@pytest.fixture
def engine(engine_lock: IO[str]) -> Iterator[Engine]:
    """The Docker engine, if it is ours to stop, once nobody else uses it."""
    made = Engine()
    fcntl.flock(engine_lock, fcntl.LOCK_EX)
    yield made
    fcntl.flock(engine_lock, fcntl.LOCK_SH)
