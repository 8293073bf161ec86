"""What the journal must hold at any moment: told in words, and mended by the worker."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from deployer.core.invariants import MOST_OWED, Audit, violations
from deployer.core.model import Status, StatusState
from deployer.errors import JournalError
from deployer.worker.maintenance import LOOK_EVERY_S
from tests.fakes.world import World

A, B, C, D = ("a" * 40, "b" * 40, "c" * 40, "d" * 40)
NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
PENDING = StatusState.PENDING
TAXI = "dags/lasse/taxi.py"


def complaints(world: World) -> list[str]:
    with capture_logs() as logged:
        world.reconciler.reconcile()
    return [str(entry["what"]) for entry in logged if "what" in entry]


def test_what_does_not_hold_is_said_in_words() -> None:
    assert list(violations(Audit(owed=MOST_OWED))) == []
    assert list(violations(Audit((A, B, C, D), D, MOST_OWED + 1, ("covers", "steps")))) == [
        "4 commits without an end, and nobody works on it: aaaaaaa, bbbbbbb, ccccccc and 1 more",
        "ddddddd is said to be live and judged, and no deployment has judged it",
        "5,001 statuses are owed; GitHub takes 500 an hour",
        "rows of covers, steps name rows that are not there",
    ]
    assert list(violations(Audit((A,)))) == [
        "1 commit without an end, and nobody works on it: aaaaaaa"
    ]


@pytest.fixture
def world() -> World:
    """A class with two deployments, and its worker just started again."""
    world = World()
    for _ in range(2):
        world.announced(TAXI)
        world.reconciler.reconcile()
    world.reconciler = world.worker()
    return world


def test_another_release_than_the_live_commits_is_published_anew(world: World) -> None:
    live, (before, now) = world.journal.live(), world.releases.swaps[-2:]
    world.releases.restore(before)  # its disk is of an earlier day, say
    assert complaints(world) == [
        f"{str(now)[:7]} is said to be live, and `current` leads to {before}"
    ]
    assert world.journal.live() == live
    assert world.releases.swaps[-1] != before


def test_a_journal_without_a_release_has_all_published_anew(world: World) -> None:
    world.releases.whole.clear()
    assert complaints(world) == ["all releases were removed"]
    assert world.releases.live()


def test_a_commit_that_is_forgotten_while_the_worker_runs_has_its_end_within_the_hour(
    world: World,
) -> None:
    sha = str(world.releases.swaps[-2])
    assert complaints(world) == []
    world.journal.owe([Status(sha, "airflow/dora", PENDING, "")], deployment=1, at=NOW)
    assert complaints(world) == []
    world.clock.sleep(LOOK_EVERY_S)
    assert complaints(world) == [f"1 commit without an end, and nobody works on it: {sha[:7]}"]
    assert world.said(sha)["airflow/dora"] == ("success", "live; no DAG in what changed")


def test_what_cant_be_looked_at_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(_: datetime) -> Audit:
        raise JournalError("its index is damaged")

    monkeypatch.setattr(world.journal, "audit", damaged)
    sha = world.announced(TAXI)
    with capture_logs() as logged:
        world.reconciler.reconcile()
    assert "its index is damaged" in [entry.get("reason") for entry in logged]
    assert world.said(sha)["airflow/deploy"][0] == "success"
