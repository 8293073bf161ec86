"""Which owed status goes to GitHub next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from deployer.core.model import Owed, Status, StatusState
from deployer.core.reporting.pacing import (
    OVERTAKINGS,
    WAITED_FOR,
    next_to_post,
    overtakes,
    patience,
    urgency,
)

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
PENDING, SUCCESS, FAILURE, ERROR = (
    StatusState.PENDING,
    StatusState.SUCCESS,
    StatusState.FAILURE,
    StatusState.ERROR,
)


def owed(
    tip: int,
    state: StatusState = SUCCESS,
    context: str = "airflow/deploy",
    *,
    place: int = 0,
    since: datetime = NOW,
) -> Owed:
    return Owed(1, Status(f"{tip:040x}", context, state, ""), 0, since, 1, place, tip)


OLD = NOW - WAITED_FOR - timedelta(seconds=1)


def chosen(*due: Owed, overtook: int = 0, room: bool = True) -> Owed | None:
    return next_to_post(due, at=NOW, overtook=overtook, room=room)


def test_nothing_is_chosen_of_nothing() -> None:
    assert chosen() is None


def test_the_newest_tip_goes_first_whenever_it_was_owed() -> None:
    assert chosen(owed(1), owed(3, place=9), owed(2)) == owed(3, place=9)


def test_of_one_commit_its_own_goes_before_its_folders_and_red_before_green() -> None:
    line = [
        owed(1, FAILURE),
        owed(1, ERROR, "airflow/zoe", place=8),
        owed(1, FAILURE, "airflow/zoe", place=9),
        owed(1, SUCCESS, "airflow/anna", place=1),
        owed(1, SUCCESS, "airflow/Deploy", place=2),
    ]
    own, *folders = sorted([*line[:4]], key=urgency)
    assert (own, folders) == (line[0], line[1:4])
    assert min(line[1:], key=urgency) == line[4]
    assert min(line[1:], key=patience) == line[4]


def test_a_verdict_goes_before_the_pending_of_a_newer_tip() -> None:
    assert chosen(owed(1, FAILURE), owed(2, PENDING)) == owed(1, FAILURE)


def test_a_pending_goes_only_where_there_is_room() -> None:
    assert chosen(owed(1, PENDING)) == owed(1, PENDING)
    assert chosen(owed(1, PENDING), room=False) is None
    assert chosen(owed(1, PENDING), overtook=OVERTAKINGS, room=False) is None


def test_a_verdict_that_is_waited_for_needs_no_room() -> None:
    assert chosen(owed(1, since=NOW - WAITED_FOR), room=False) is not None


def test_a_backlog_leaves_its_room_to_the_next_push() -> None:
    assert chosen(owed(1, since=OLD), room=False) is None
    assert chosen(owed(1, since=OLD)) is not None


def test_the_oldest_commit_has_its_turn_after_some_overtakings_room_or_not() -> None:
    due = (owed(2), owed(1, since=OLD))
    assert chosen(*due, overtook=OVERTAKINGS - 1, room=False) == due[0]
    assert chosen(*due, overtook=OVERTAKINGS, room=False) == due[1]


def test_only_an_older_commit_is_overtaken() -> None:
    due = (owed(2), owed(1))
    assert [overtakes(one, due) for one in due] == [True, False]
    assert not overtakes(due[0], due[:1])


def test_no_verdict_waits_for_ever_under_a_stream_of_new_ones() -> None:
    backlog, overtook, writes = [owed(tip, since=OLD) for tip in range(5)], 0, 0
    while backlog:
        due = (*backlog, owed(100 + writes))
        first = next_to_post(due, at=NOW, overtook=overtook, room=False)
        assert first is not None
        overtook = overtook + 1 if overtakes(first, due) else 0
        backlog = [one for one in backlog if one != first]
        writes += 1
    assert writes == 5 * (OVERTAKINGS + 1)
