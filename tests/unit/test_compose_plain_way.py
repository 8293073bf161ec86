"""What the plain way says is installed, without an engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from docker.models.containers import Container

from deployer.edges.compose.engine import LazyClient
from deployer.edges.compose.plain_way import PlainWay
from deployer.edges.compose.proving import Bounds, Prover


@pytest.fixture
def way(tmp_path: Path) -> PlainWay:
    """Return a way whose first list was made by the deployer, without a package."""
    prover = Prover(LazyClient(), project="class", bounds=Bounds())
    made = PlainWay(prover, tmp_path, "apache/airflow:3.3.2")
    made.ensure_current()
    return made


@pytest.fixture
def container() -> Container:
    """Return one that was made after that."""
    made_at = datetime.now(UTC) + timedelta(seconds=60)
    return Mock(spec=Container, status="running", attrs={"Created": made_at.isoformat()})


def test_a_list_that_was_proven_is_what_the_class_asked_for(
    way: PlainWay, container: Container
) -> None:
    assert way.installed([container]) == ""


def test_a_list_that_somebody_edited_is_what_is_installed(
    way: PlainWay, container: Container, tmp_path: Path
) -> None:
    (tmp_path / "current" / "requirements.txt").write_text("emoji==2.0\n")
    assert way.installed([container]) == "emoji==2.0\n"


def test_a_list_that_was_made_by_hand_is_taken_at_its_word(
    way: PlainWay, container: Container, tmp_path: Path
) -> None:
    (tmp_path / "current" / "requirements.in").write_text("cowsay\n")
    (tmp_path / "current" / "requirements.txt").write_text("cowsay==6.1\n")
    (tmp_path / "current" / "proven.txt").unlink()
    assert way.installed([container]) == "cowsay\n"


def test_a_list_that_is_gone_is_not_known(
    way: PlainWay, container: Container, tmp_path: Path
) -> None:
    (tmp_path / "current" / "requirements.txt").unlink()
    assert way.installed([container]) is None
