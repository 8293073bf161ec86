"""The whole product over the class's Airflow in Docker Compose, on a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.compose.classroom import Classroom, classroom
from tests.e2e.compose.engine import Engine


@pytest.fixture(scope="package")
def image_class(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """A class whose packages come in an image built on change."""
    with classroom(tmp_path_factory.mktemp("image"), "class-e2e-image", "image") as made:
        yield made


@pytest.fixture(scope="module")
def plain_class(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """A class whose containers install the packages themselves at start."""
    with classroom(tmp_path_factory.mktemp("plain"), "class-e2e-plain", "plain") as made:
        yield made


@pytest.fixture
def engine() -> Engine:
    """The Docker engine, if it is ours to stop."""
    return Engine()
