"""Telling the teacher, on a journal and a chat in memory."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from deployer.core.doctor.lines import Finding, Mark
from deployer.core.model import Ending, State, Trigger
from deployer.errors import OperatorError
from deployer.worker.telling import LOOK_S, QUIET_S, Teller
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.fakes.messenger import FakeMessenger

A = "a" * 40


class Class:
    """A class that works, and who tells of it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.journal = FakeJournal(now=self.clock.now)
        self.chat = FakeMessenger()
        self.teller = self.start()
        self.deploy(State.SUCCEEDED)

    def start(self) -> Teller:
        return Teller(self.journal, self.chat, self.clock, repo="class/airflow", url=None)

    def deploy(self, state: State) -> None:
        now = self.clock.now()
        self.journal.beat(at=now, tip=A, tip_checked_at=now)
        number = self.journal.queue(
            A, base_sha=None, ref="refs/heads/main", trigger=Trigger.POLL, at=now
        )
        self.journal.start(number, at=now, base_sha=None, covers=[A])
        self.journal.end(number, Ending(A, state, reason=f"{state}!"), at=now)


@pytest.fixture
def course() -> Class:
    return Class()


def test_nobody_is_told_of_a_class_that_works(course: Class) -> None:
    assert course.teller.look() == LOOK_S
    assert course.chat.sent == []


def test_a_red_deployment_is_told_once_also_across_a_restart(course: Class) -> None:
    course.deploy(State.ERROR)
    assert course.teller.look() == QUIET_S
    course.deploy(State.ERROR)
    assert course.teller.look() == LOOK_S
    assert course.start().look() == LOOK_S
    ((title, text),) = course.chat.sent
    assert title == "class/airflow: 1 to look at"
    assert "ended as error: error!" in text


def test_it_is_told_once_more_when_it_is_mended(course: Class) -> None:
    course.deploy(State.ERROR)
    course.teller.look()
    course.deploy(State.SUCCEEDED)
    course.teller.look()
    course.teller.look()
    assert [title for title, _ in course.chat.sent] == [
        "class/airflow: 1 to look at",
        "class/airflow: 1 mended",
    ]


def test_what_nobody_took_is_told_later(course: Class) -> None:
    course.deploy(State.ERROR)
    course.chat.down = "the chat is down"
    with capture_logs() as logs:
        assert course.teller.look() == QUIET_S
    assert logs[0]["reason"] == "the chat is down"
    course.chat.down = ""
    assert course.start().look() == QUIET_S
    assert len(course.chat.sent) == 1


def test_what_came_and_went_while_the_chat_was_down_is_not_lost(course: Class) -> None:
    course.deploy(State.ERROR)
    course.chat.down = "the chat is down"
    with pytest.raises(OperatorError):
        course.teller.tell()
    course.deploy(State.SUCCEEDED)
    course.chat.down = ""
    course.teller.tell()
    assert [title for title, _ in course.chat.sent] == ["class/airflow: 1 mended"]


def test_failures_of_the_checkup_are_told_and_are_not_the_workers_to_mend(course: Class) -> None:
    full = Finding("disk", Mark.FAILED, "full", "make room")
    assert len(course.teller.tell([full])[0]) == 1
    assert course.teller.look() == LOOK_S
    assert len(course.teller.tell([Finding("disk", Mark.PASSED, "9 GiB free")])[0]) == 1
    assert [title for title, _ in course.chat.sent] == [
        "class/airflow: 1 to look at",
        "class/airflow: 1 mended",
    ]
