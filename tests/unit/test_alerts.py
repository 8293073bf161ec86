"""What the teacher is told: what counts as wrong, when it is news, how the message reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployer.core.alerts import MOST, ClassStanding, News, in_journal, message, news
from deployer.core.doctor import Finding, Mark
from deployer.core.model import Freeze, Outcome, ParseError, Pulse, State, Verdict

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
A = "a1b2c3d" + "0" * 33
WELL = Pulse(NOW, A, NOW, NOW, A, None, 0)
STANDS = ClassStanding(12, A, State.SUCCEEDED)
OLD = {"outbox": "3 statuses wait"}
FULL = {"doctor: disk": "disk: full\n  -> make room"}


def ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


# --- what is wrong ---------------------------------------------------------------


def test_nothing_is_wrong_with_a_class_that_works() -> None:
    assert in_journal(STANDS, WELL, NOW) == {}


def test_nothing_is_wrong_with_a_class_that_has_not_begun() -> None:
    assert in_journal(ClassStanding(), WELL, NOW) == {}


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


def test_what_waited_for_the_end_of_a_freeze_has_its_time_from_then_on() -> None:
    over = replace(WELL, thawed_at=ago(10))
    assert in_journal(replace(STANDS, waits=(A, ago(120))), over, NOW) == {}
    over = replace(WELL, thawed_at=ago(11))
    assert in_journal(replace(STANDS, waits=(A, ago(120))), over, NOW) == {
        "push": "a1b2c3d was pushed 2 h ago, and not served"
    }


def test_a_push_that_came_after_a_freeze_has_its_time_from_its_coming_on() -> None:
    over = replace(WELL, thawed_at=ago(120))
    assert in_journal(replace(STANDS, waits=(A, ago(10))), over, NOW) == {}
    assert list(in_journal(replace(STANDS, waits=(A, ago(11))), over, NOW)) == ["push"]


def test_stalls_and_drift_are_told() -> None:
    stalled = replace(WELL, beat_at=ago(1), oldest_owed=ago(20), owed=3, drift="other packages")
    assert in_journal(STANDS, stalled, NOW) == {
        "heartbeat": "the worker's last heartbeat was 60 s ago",
        "outbox": "3 commit statuses wait to be posted, the oldest for 20 min",
        "drift": "other packages",
    }


# --- what is news ----------------------------------------------------------------


def test_what_is_wrong_is_told_of_the_journal_and_of_the_checkup() -> None:
    findings = [
        Finding("disk", Mark.FAILED, "full", "make room"),
        Finding("clock", Mark.PASSED, "right"),
        Finding("engine", Mark.SKIPPED, "no Docker"),
    ]
    assert news({}, OLD, findings) == News(wrong=OLD | FULL)


@pytest.mark.parametrize("name", ["journal", "packages", "worker"])
def test_of_the_checkup_is_not_told_what_the_journal_tells(name: str) -> None:
    assert not news({}, {}, [Finding(name, Mark.FAILED, "no heartbeat", "start it")])


def test_what_was_told_is_not_told_again_in_other_words() -> None:
    findings = [Finding("disk", Mark.FAILED, "fuller", "make more room")]
    said = news(OLD | FULL, {"outbox": "4 statuses wait"}, findings)
    assert not said
    assert said.added_to(OLD | FULL) == OLD | FULL


def test_what_is_gone_is_told_as_mended_in_the_words_of_before() -> None:
    said = news(OLD, {}, [])
    assert said == News(mended=OLD)
    assert said.added_to(OLD) == {}


def test_what_is_told_is_remembered_beside_what_still_is_wrong() -> None:
    told = {"tip": "old", **OLD}
    said = news(told, {"tip": "older", "drift": "other packages"}, [])
    assert said == News(wrong={"drift": "other packages"}, mended=OLD)
    assert said.added_to(told) == {"tip": "old", "drift": "other packages"}


def test_what_comes_back_after_it_was_told_as_mended_is_told_anew() -> None:
    told = news(OLD, {}, []).added_to(OLD)
    assert news(told, OLD, []) == News(wrong=OLD)


@pytest.mark.parametrize(
    "findings",
    [
        [],
        [Finding("disk", Mark.SKIPPED, "can't be told: see engine")],
        [Finding("disk", Mark.FAILED, "no answer within 30 s", "see whether it hangs")],
        [Finding("clock", Mark.PASSED, "right")],
    ],
    ids=["not run", "skipped", "without an answer", "another one"],
)
def test_a_line_of_the_checkup_that_was_not_seen_to_pass_is_not_mended(
    findings: list[Finding],
) -> None:
    said = news(FULL, {}, findings)
    assert not said
    assert said.added_to(FULL) == FULL


def test_a_line_of_the_checkup_that_passes_is_mended() -> None:
    assert news(FULL, {}, [Finding("disk", Mark.PASSED, "9 GiB free")]) == News(mended=FULL)


def test_of_a_journal_that_fails_that_is_told_and_nothing_of_it_is_mended() -> None:
    broken = {"journal": "it can't be read"}
    said = news(OLD | FULL, broken, [Finding("disk", Mark.PASSED, "9 GiB free")])
    assert said == News(wrong=broken, mended=FULL)
    assert not news(OLD | broken, broken, [])
    assert news(OLD | broken, {}, []) == News(mended=OLD | broken)


# --- the message -----------------------------------------------------------------


def test_a_message_names_the_class_and_each_thing() -> None:
    said = News(wrong=OLD, mended=FULL)
    assert message(said, repo="class/airflow", url="https://class.example.org") == (
        "class/airflow: 1 to look at, 1 mended",
        "- 3 statuses wait\n- mended: disk: full\n\nMore: https://class.example.org",
    )


def test_a_hundred_things_are_one_readable_message() -> None:
    many = News(wrong={str(number): "x" * 1000 for number in range(100)})
    title, text = message(many, repo="class/airflow", url=None)
    assert title == "class/airflow: 100 to look at"
    assert text.count("\n- ") == MOST
    assert "- and 80 more lines\n" in text
    assert len(text) < 8000


def test_a_students_words_call_nobody_in_the_chat() -> None:
    _, text = message(News(wrong={"x": "@here <!channel>"}), repo="a/b", url=None)
    assert "@here" not in text
    assert "<!channel" not in text
