"""What the plain way says is installed, without an engine."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from deployer.edges.compose.engine import LazyClient
from deployer.edges.compose.ways import Instance
from deployer.edges.compose.ways.plain import PlainWay
from deployer.edges.compose.ways.proving import Bounds, Prover


@pytest.fixture
def way(tmp_path: Path) -> PlainWay:
    """Return a way whose first list was made by the deployer, without a package."""
    prover = Prover(LazyClient(), project="class", bounds=Bounds())
    made = PlainWay(prover, tmp_path, "apache/airflow:3.3.2")
    made.ensure_current()
    return made


@pytest.fixture
def container() -> Instance:
    """Return one that was made after that."""
    return Instance(runs=True, image="sha256:1", made_at=time.time() + 60, text=str)


def test_a_list_that_was_proven_is_what_the_class_asked_for(
    way: PlainWay, container: Instance
) -> None:
    assert way.installed([container]) == ""


def test_a_list_that_somebody_edited_is_what_is_installed(
    way: PlainWay, container: Instance, tmp_path: Path
) -> None:
    (tmp_path / "current" / "requirements.txt").write_text("emoji==2.0\n")
    assert way.installed([container]) == "emoji==2.0\n"


def test_a_list_that_was_made_by_hand_is_taken_at_its_word(
    way: PlainWay, container: Instance, tmp_path: Path
) -> None:
    (tmp_path / "current" / "requirements.in").write_text("cowsay\n")
    (tmp_path / "current" / "requirements.txt").write_text("cowsay==6.1\n")
    (tmp_path / "current" / "proven.txt").unlink()
    assert way.installed([container]) == "cowsay\n"


def test_a_list_that_is_gone_is_not_known(
    way: PlainWay, container: Instance, tmp_path: Path
) -> None:
    (tmp_path / "current" / "requirements.txt").unlink()
    assert way.installed([container]) is None
