"""When the deployer as a whole counts as ready."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployer.core.model import Freeze, Origin, Pulse
from deployer.core.reporting.readiness import reasons, renamed

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TIP, OLD = "a" * 40, "b" * 40


def ago(**age: float) -> datetime:
    return NOW - timedelta(**age)


WELL = Pulse(
    beat_at=ago(seconds=2),
    tip=TIP,
    tip_checked_at=ago(seconds=20),
    tip_since=ago(hours=5),
    live_sha=TIP,
    oldest_owed=None,
    owed=0,
)
FROZEN = Freeze("exam", "lasse", ago(hours=6))


def test_a_deployer_that_works_has_no_reason_against_it() -> None:
    assert reasons(WELL, NOW) == ()


def test_what_waits_for_the_end_of_a_freeze_is_no_reason_against_it() -> None:
    behind = replace(WELL, live_sha=OLD, freeze=FROZEN)
    assert reasons(behind, NOW) == ()
    until = ago(hours=1)
    over = replace(behind, freeze=replace(FROZEN, until=until), thawed_at=until)
    assert len(reasons(over, NOW)) == 1


def test_what_waited_for_the_end_of_a_freeze_is_behind_from_then_on() -> None:
    behind = replace(WELL, live_sha=OLD, tip_since=ago(hours=2))
    assert reasons(replace(behind, thawed_at=ago(minutes=10)), NOW) == ()
    assert reasons(replace(behind, thawed_at=ago(minutes=11)), NOW) == (
        "bbbbbbb is live, behind the tip for 2 h",
    )


def test_times_ahead_of_this_clock_are_fresh() -> None:
    ahead = replace(WELL, beat_at=ago(hours=-1), tip_checked_at=ago(hours=-1))
    assert reasons(ahead, NOW) == ()


@pytest.mark.parametrize(
    "on_the_bound",
    [
        {"beat_at": ago(seconds=30)},
        {"tip_checked_at": ago(minutes=5)},
        {"live_sha": OLD, "tip_since": ago(minutes=10)},
        {"oldest_owed": ago(minutes=10), "owed": 3},
    ],
)
def test_a_bound_itself_is_still_fine(on_the_bound: dict[str, object]) -> None:
    assert reasons(replace(WELL, **on_the_bound), NOW) == ()  # type: ignore[arg-type]  # mixed fields


@pytest.mark.parametrize(
    ("beyond", "reason"),
    [
        ({"beat_at": ago(seconds=31)}, "the worker's last heartbeat was 31 s ago"),
        ({"beat_at": None}, "the worker has never run"),
        ({"tip_checked_at": ago(minutes=7)}, "the branch's tip was last checked 7 min ago"),
        ({"tip_checked_at": None}, "the branch's tip was never checked"),
        (
            {"live_sha": OLD, "tip_since": ago(minutes=11)},
            "bbbbbbb is live, behind the tip for 11 min",
        ),
        (
            {"live_sha": None, "tip_since": ago(minutes=11)},
            "nothing that is known is live, behind the tip for 11 min",
        ),
        (
            {"oldest_owed": ago(minutes=11), "owed": 3},
            "3 commit statuses wait to be posted, the oldest for 11 min",
        ),
        (
            {"oldest_owed": ago(minutes=11), "owed": 1},
            "1 commit status waits to be posted, the oldest for 11 min",
        ),
        ({"edited": "`current` was removed"}, "`current` was removed"),
    ],
)
def test_beyond_its_bound_each_counts(beyond: dict[str, object], reason: str) -> None:
    assert reasons(replace(WELL, **beyond), NOW) == (reason,)  # type: ignore[arg-type]  # as above


def test_a_new_installation_names_all_that_is_missing() -> None:
    nothing = Pulse(None, None, None, None, None, None, 0)
    assert reasons(nothing, NOW) == (
        "the worker has never run",
        "the branch's tip was never checked",
    )


@pytest.mark.parametrize("setting", ["class/old", "Class/OLD"])
def test_a_new_name_of_the_repository_is_told_with_what_to_do_and_no_reason(setting: str) -> None:
    pulse = replace(WELL, pushed=Origin(7, "class/new", "class/old"))
    assert reasons(pulse, NOW) == ()
    assert renamed(pulse, setting) == (
        "class/old is called class/new now:"
        " set DEPLOYER_GITHUB_REPO=class/new and restart web and worker"
    )


@pytest.mark.parametrize(
    ("pushed", "setting"),
    [
        pytest.param(None, "class/old", id="no push yet"),
        pytest.param(Origin(7, "Class/Old", "class/old"), "class/old", id="the name that is set"),
        pytest.param(Origin(7, "class/new", "class/old"), "class/new", id="mended"),
        pytest.param(Origin(7, "class/old", "class/old"), "class/new", id="mended, no push since"),
        pytest.param(Origin(7, "class/new", "class/old"), "class/2027", id="another class"),
    ],
)
def test_there_is_no_new_name_to_tell_of(pushed: Origin | None, setting: str) -> None:
    assert renamed(replace(WELL, pushed=pushed), setting) == ""
