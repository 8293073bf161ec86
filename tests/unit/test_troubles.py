"""What the teacher is told: what counts as wrong, when it is news, how the message reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployer.core.doctor.lines import Finding, Mark
from deployer.core.model import Freeze, Outcome, ParseError, Pulse, State, Verdict
from deployer.core.reporting.troubles import (
    MOST,
    Standing,
    Trouble,
    after_telling,
    in_checkup,
    in_journal,
    message,
    news,
    noticed,
)

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
A = "a1b2c3d" + "0" * 33
WELL = Pulse(NOW, A, NOW, NOW, A, None, 0)
STANDS = Standing(12, A, State.SUCCEEDED)
OLD = Trouble("outbox", "3 statuses wait", NOW, told=True)


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


# --- what is wrong ---------------------------------------------------------------


def test_nothing_is_wrong_with_a_class_that_works() -> None:
    assert in_journal(STANDS, WELL, NOW) == {}


def test_nothing_is_wrong_with_a_class_that_has_not_begun() -> None:
    assert in_journal(Standing(), WELL, NOW) == {}


@pytest.mark.parametrize("state", [State.FAILED, State.ERROR])
def test_a_deployment_that_did_not_go_live_is_told(state: State) -> None:
    stands = replace(STANDS, state=state, reason="no Docker")
    assert in_journal(stands, WELL, NOW) == {
        "deployment": f"deployment 12 (a1b2c3d) ended as {state}: no Docker"
    }


def test_a_red_file_is_told_by_its_path() -> None:
    bad = Verdict("dags/maria/weather.py", Outcome.BROKEN, error=ParseError("NameError", "x", 3))
    found = in_journal(replace(STANDS, state=State.BROKEN, red=(bad,)), WELL, NOW)
    assert list(found) == ["dags/maria/weather.py"]
    assert "NameError: x" in found["dags/maria/weather.py"]


def test_requirements_that_are_refused_are_told() -> None:
    assert in_journal(replace(STANDS, refused="no such package"), WELL, NOW) == {
        "requirements.txt": "packages kept: no such package"
    }


def test_the_oldest_push_that_waits_too_long_is_told() -> None:
    assert in_journal(replace(STANDS, waits=(A, ago(10))), WELL, NOW) == {}
    assert in_journal(replace(STANDS, waits=(A, ago(11))), WELL, NOW) == {
        "push": "a1b2c3d was pushed 11 min ago, and not served"
    }


def test_a_push_that_waits_for_the_end_of_a_freeze_is_as_it_should_be() -> None:
    frozen = replace(WELL, freeze=Freeze("exam", "lasse", ago(60), None))
    assert in_journal(replace(STANDS, waits=(A, ago(50))), frozen, NOW) == {}


def test_stalls_and_drift_are_told() -> None:
    stalled = replace(WELL, beat_at=ago(1), oldest_owed=ago(20), owed=3, drift="other packages")
    assert in_journal(STANDS, stalled, NOW) == {
        "heartbeat": "the worker's last heartbeat was 1 min ago",
        "outbox": "3 commit statuses wait to be posted, the oldest for 20 min",
        "drift": "other packages",
    }


def test_of_the_checkup_is_told_what_the_journal_does_not_tell() -> None:
    found = in_checkup(
        [
            Finding("disk", Mark.FAILED, "full", "make room"),
            Finding("clock", Mark.PASSED, "right"),
            Finding("engine", Mark.SKIPPED, "no Docker"),
            Finding("worker", Mark.FAILED, "no heartbeat", "start it"),
        ]
    )
    assert found == ({"doctor: disk": "disk: full\n  -> make room"}, frozenset({"doctor: clock"}))


# --- what is news ----------------------------------------------------------------


def test_what_was_seen_before_is_not_noticed_again() -> None:
    assert noticed([OLD], {"outbox": "4 statuses wait"}, (), NOW) == ()


def test_what_is_gone_is_mended() -> None:
    assert noticed([OLD], {}, (), NOW) == (replace(OLD, mended_at=NOW),)
    assert noticed([replace(OLD, mended_at=ago(1))], {}, (), NOW) == ()


def test_a_line_of_the_checkup_is_mended_only_when_it_was_seen_to_pass() -> None:
    full = Trouble("doctor: disk", "full", NOW, told=True)
    assert noticed([full], {}, {"doctor: clock"}, NOW) == ()
    assert noticed([full], {}, {"doctor: disk"}, NOW) == (replace(full, mended_at=NOW),)


def test_what_comes_back_before_its_mending_was_told_is_no_news() -> None:
    (back,) = noticed([replace(OLD, mended_at=ago(1))], {"outbox": "old"}, (), NOW)
    assert back == OLD
    assert not back.is_news


def test_what_was_mended_before_it_could_be_told_is_told_all_the_same() -> None:
    (gone,) = noticed([replace(OLD, told=False)], {}, (), NOW)
    assert news([gone], NOW) == (gone,)


def test_news_wait_while_somebody_is_about_to_tell() -> None:
    taken = replace(OLD, told=False, taken_at=NOW)
    new = Trouble("tip", "old", NOW)
    assert news([taken, new], NOW + timedelta(seconds=119)) == ()
    assert news([taken, new], NOW + timedelta(seconds=120)) == (taken, new)


def test_a_clock_that_was_set_back_does_not_silence_anybody() -> None:
    taken = replace(OLD, told=False, taken_at=NOW)
    assert news([taken], ago(60)) == (taken,)


def test_what_was_told_is_kept_until_its_mending_was_told() -> None:
    taken = replace(OLD, told=False, taken_at=NOW)
    assert after_telling(taken, taken) == OLD
    mended = replace(OLD, mended_at=NOW)
    assert after_telling(mended, mended) is None
    assert after_telling(mended, OLD) == replace(OLD, told=False)


# --- the message -----------------------------------------------------------------


def test_a_message_names_the_class_and_each_thing() -> None:
    gone = Trouble("doctor: disk", "disk: full\n  -> make room", NOW, mended_at=NOW)
    assert message([OLD, gone], repo="class/airflow", url="https://class.example.org") == (
        "class/airflow: 1 to look at, 1 mended",
        "- 3 statuses wait\n- mended: disk: full\n\nMore: https://class.example.org",
    )


def test_a_hundred_things_are_one_readable_message() -> None:
    many = [Trouble(str(number), "x" * 1000, NOW) for number in range(100)]
    title, text = message(many, repo="class/airflow", url=None)
    assert title == "class/airflow: 100 to look at"
    assert text.count("\n- ") == MOST
    assert "- and 80 more lines\n" in text
    assert len(text) < 8000


def test_a_students_words_call_nobody_in_the_chat() -> None:
    _, text = message([replace(OLD, words="@here <!channel>")], repo="a/b", url=None)
    assert "@here" not in text
    assert "<!channel" not in text
