"""The postman: what is owed goes out, at GitHub's pace, and nothing gets lost."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from deployer.core.access import Link
from deployer.core.model import Status, StatusRecord, StatusState, Trigger
from deployer.core.reporting.pacing import (
    BURST,
    BURST_KEPT,
    LAST_RETRY_S,
    SLOW_S,
    TRIES_IF_UNKNOWN,
    WINDOW,
    WINDOW_S,
)
from deployer.core.reporting.readiness import OWED
from deployer.errors import JournalError
from deployer.ports import Posted, RefusedForGood, RetryLater
from deployer.worker.outbox import REST_S, Outbox
from tests.fakes.clock import START, FakeClock
from tests.fakes.journal import FakeJournal
from tests.fakes.statusboard import FakeStatusBoard

URL = "https://deploy.example.org"
KEPT = BURST_KEPT
NOTIFY_EVERY_S = 300
"""Of `systemd/deployer-notify.timer`."""


class Post:
    """An outbox with a journal to fill, a board to post to, and a clock to move."""

    def __init__(self, public_url: str | None = URL) -> None:
        self.clock = FakeClock()
        self.journal = FakeJournal(now=self.clock.now)
        self.board = FakeStatusBoard()
        self.outbox = self.restarted(public_url)
        self.deployment = self.push(0)

    def restarted(self, public_url: str | None = URL) -> Outbox:
        return Outbox(self.journal, self.board, self.clock, public_url=public_url)

    def push(self, number: int) -> int:
        """Have the commit `number` named as the newest."""
        return self.journal.queue(
            sha(number), base_sha=None, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=START
        )

    def owe(
        self,
        number: int,
        state: StatusState = StatusState.SUCCESS,
        words: str = "ok",
        context: str = "airflow/deploy",
    ) -> None:
        """Owe a status on the commit `number`."""
        status = Status(sha(number), context, state, words)
        self.journal.owe([status], deployment=self.deployment, at=self.clock.now())

    def judge(self, number: int, folders: int = 1) -> None:
        """Push the commit `number`, and judge it and so many folders."""
        self.push(number)
        for name in range(folders):
            self.owe(number, context=f"airflow/{name}")
        self.owe(number)

    def go_on(self, seconds: float) -> list[int]:
        """Post as the worker does for so long; return the commits posted, in order."""
        before, until = len(self.board.posted), self.clock.elapsed_s + seconds
        while True:
            wait_s = self.outbox.post_next()
            if self.clock.elapsed_s + wait_s > until:
                self.clock.elapsed_s = until
                return [int(status.sha, 16) for status, _ in self.board.posted[before:]]
            self.clock.sleep(wait_s)

    def records(self) -> tuple[StatusRecord, ...]:
        deployment = self.journal.deployment(self.deployment)
        assert deployment is not None
        return deployment.statuses

    def owed(self) -> int:
        return self.journal.pulse().owed


def sha(number: int) -> str:
    return f"{number:040x}"


def on_a_full_disk(*_args: object, **_kwargs: object) -> None:
    raise JournalError("the journal can't be written: disk full")


@pytest.fixture
def post() -> Post:
    return Post()


# --- posting -------------------------------------------------------------------


def test_an_empty_outbox_rests(post: Post) -> None:
    assert post.outbox.post_next() == REST_S
    assert post.board.tries == 0


def test_what_is_owed_goes_at_once_one_after_the_other(post: Post) -> None:
    for number in (3, 1, 2):
        post.owe(number)
    assert [post.outbox.post_next() for _ in range(3)] == [0.0, 0.0, 0.0]
    assert [int(status.sha, 16) for status, _ in post.board.posted] == [3, 1, 2]
    assert post.owed() == 0


def test_one_call_posts_one_status(post: Post) -> None:
    post.owe(1)
    post.owe(2)
    post.outbox.post_next()
    assert post.board.tries == 1


def test_what_was_posted_is_written_down_and_not_posted_again(post: Post) -> None:
    post.clock.sleep(7)
    post.owe(1)
    assert post.go_on(60) == [1]
    (record,) = post.records()
    assert record.posted_at == START + timedelta(seconds=7)
    assert (record.attempts, record.error) == (1, None)
    assert post.board.tries == 1


def test_a_status_links_to_its_commits_page_by_a_token_of_its_own(post: Post) -> None:
    post.owe(5, context="airflow/lasse")
    post.go_on(0)
    ((_, url),) = post.board.posted
    page, _, token = str(url).partition("?token=")
    assert page == f"{URL}/commits/{sha(5)}"
    assert Link.read(token, post.journal.link_key()) == Link.of_status(sha(5), "airflow/lasse")


def test_neither_the_journal_nor_the_log_holds_a_links_token(post: Post) -> None:
    post.owe(5)
    with capture_logs() as logs:
        post.go_on(0)
    assert post.records()[0].target_url == f"{URL}/commits/{sha(5)}"
    assert "token" not in str(logs)


def test_without_a_public_url_a_status_links_to_nothing() -> None:
    post = Post(public_url=None)
    post.owe(5)
    post.go_on(0)
    assert [url for _, url in post.board.posted] == [None]


# --- the right of way ------------------------------------------------------------


def test_a_verdict_overtakes_what_is_pending(post: Post) -> None:
    post.owe(1, StatusState.PENDING)
    post.owe(2, StatusState.FAILURE)
    post.owe(3, StatusState.PENDING)
    assert post.go_on(0) == [2, 1, 3]


def test_behind_a_push_over_60_folders_the_next_student_is_judged_at_once(post: Post) -> None:
    post.judge(1, folders=60)
    post.go_on(0)
    post.judge(2)
    assert post.go_on(3).count(2) == 2
    assert post.go_on(120).count(1) == 61 - BURST - 1
    assert post.owed() == 0


def test_a_commits_own_status_goes_before_its_folders_and_red_before_green(post: Post) -> None:
    post.judge(1, folders=3)
    post.owe(1, StatusState.FAILURE, context="airflow/2")
    post.go_on(0)
    contexts = [status.context for status, _ in post.board.posted]
    assert contexts == ["airflow/deploy", "airflow/2", "airflow/0", "airflow/1"]


def test_behind_a_backlog_of_hours_the_next_push_is_judged_at_once(post: Post) -> None:
    for number in range(WINDOW):
        post.judge(number)
    post.go_on(WINDOW_S / 2)
    assert post.owed() > 0
    post.judge(501)
    assert post.go_on(1) == [501, 501]


def test_while_pushes_come_faster_than_github_takes_them_none_waits_long_for_its_own_verdict(
    post: Post,
) -> None:
    for number in range(40):
        post.judge(number, folders=40)
        assert number in post.go_on(2 * SLOW_S), f"push {number}"
    assert post.owed() > 0


def test_under_pushes_that_never_end_each_fourth_write_is_the_oldest_backlogs(post: Post) -> None:
    post.judge(1, folders=60)
    posted = post.go_on(0)
    for number in range(2, 14):
        post.judge(number, folders=5)
        posted += post.go_on(4)
    assert posted[BURST:].count(1) == 12


def test_all_of_a_backlog_goes_in_the_end(post: Post) -> None:
    for number in range(WINDOW):
        post.judge(number)
    assert len(post.go_on(3 * WINDOW_S)) == 2 * WINDOW
    assert post.owed() == 0


def test_pending_ones_leave_room_for_verdicts_and_go_when_there_is_more(post: Post) -> None:
    for number in range(BURST):
        post.owe(number, StatusState.PENDING)
    assert post.go_on(0) == list(range(BURST - KEPT))
    for number in range(100, 100 + KEPT):
        post.owe(number)
    assert post.go_on(0) == list(range(100, 100 + KEPT))
    assert post.go_on(60) == list(range(BURST - KEPT, BURST))
    assert post.owed() == 0


def test_a_pending_one_that_waits_is_replaced_by_its_verdict(post: Post) -> None:
    for number in range(BURST):
        post.owe(number, StatusState.PENDING)
    post.go_on(0)
    post.owe(BURST - 1, StatusState.SUCCESS)
    post.go_on(60)
    assert [s.state for s, _ in post.board.posted if s.sha == sha(BURST - 1)] == ["success"]


# --- the pace --------------------------------------------------------------------


def test_a_burst_goes_at_once_and_is_paid_off_by_the_second(post: Post) -> None:
    for number in range(BURST + 5):
        post.owe(number)
    assert len(post.go_on(0)) == BURST
    assert len(post.go_on(3)) == 3
    assert len(post.go_on(2)) == 2


def test_refused_posts_count_for_the_pace_as_well(post: Post) -> None:
    post.board.unknown = {sha(number) for number in range(BURST + 5)}
    for number in range(BURST + 5):
        post.owe(number)
    post.go_on(0)
    assert post.board.tries == BURST


# --- not now, and never ------------------------------------------------------------


def test_while_github_is_down_all_stays_owed_and_goes_when_it_is_back(post: Post) -> None:
    post.board.down = "503 Service Unavailable"
    for number in range(4):
        post.owe(number)
    assert post.go_on(3600) == []
    assert post.owed() == 4
    tried = post.board.tries
    assert 4 < tried < 4 * 30, "each is tried again, and more and more seldom"
    assert {record.error for record in post.records()} == {"503 Service Unavailable"}
    post.board.down = None
    assert sorted(post.go_on(600)) == [0, 1, 2, 3]
    assert post.owed() == 0
    assert all(record.posted_at and record.error is None for record in post.records())


def test_one_that_has_to_wait_does_not_hold_up_the_others(post: Post) -> None:
    post.board.answers.append(RetryLater("a timeout"))
    post.owe(1)
    post.owe(2)
    assert post.go_on(0) == [2]
    assert post.go_on(10) == [1]


def test_one_that_has_to_wait_is_looked_for_when_it_is_due_and_then_no_more(post: Post) -> None:
    post.board.answers.append(RetryLater("a timeout"))
    post.owe(1)
    post.outbox.post_next()
    assert post.outbox.post_next() == pytest.approx(1.0)
    post.clock.sleep(1.1)
    assert [post.outbox.post_next(), post.outbox.post_next()] == [0.0, REST_S]
    assert post.owed() == 0


def test_until_github_says_so_nothing_is_tried(post: Post) -> None:
    post.board.answers.append(RetryLater("secondary rate limit", after_s=90))
    post.owe(1)
    post.owe(2)
    assert post.go_on(89) == []
    assert post.board.tries == 1
    assert post.go_on(10) == [1, 2]


def test_what_is_owed_meanwhile_is_not_tried_either(post: Post) -> None:
    post.board.answers.append(RetryLater("secondary rate limit", after_s=90))
    post.owe(1)
    post.go_on(30)
    post.owe(2)
    assert post.go_on(59) == []
    assert post.go_on(10) == [1, 2]


def test_what_is_refused_for_good_is_not_tried_again_and_says_why(post: Post) -> None:
    post.board.answers += [RefusedForGood("No commit found for SHA")] * TRIES_IF_UNKNOWN
    post.owe(1)
    post.outbox.post_next()
    post.clock.sleep(1)
    while post.owed():
        post.clock.sleep(post.outbox.post_next())
    post.owe(2)
    assert post.go_on(3600) == [2]
    assert post.board.tries == TRIES_IF_UNKNOWN + 1
    assert post.owed() == 0
    refused = post.records()[0]
    assert (refused.posted_at, refused.error) == (None, "No commit found for SHA")


@pytest.mark.parametrize(
    "why",
    [
        "GitHub answered 422: description is too long (maximum is 140 characters)",
        "GitHub answered 422: Target url must use http(s) scheme",
        "GitHub answered 422: This SHA and context has reached the maximum number of statuses.",
    ],
)
def test_what_no_second_try_can_mend_is_tried_once(post: Post, why: str) -> None:
    post.board.answers.append(RefusedForGood(why))
    post.owe(1)
    assert post.go_on(3600) == []
    assert (post.board.tries, post.owed()) == (1, 0)
    assert post.records()[0].error == why


def test_a_commit_that_github_does_not_know_yet_is_told_a_little_later(post: Post) -> None:
    post.board.answers += [RefusedForGood("No commit found for SHA")] * 2
    post.owe(1)
    assert post.go_on(10) == [1]
    assert (post.board.tries, post.records()[0].error) == (3, None)


def test_a_commit_that_github_does_not_know_is_owed_until_the_teacher_was_told(post: Post) -> None:
    post.board.answers += [RefusedForGood("No commit found for SHA")] * 1000
    post.owe(1)
    post.go_on(OWED.total_seconds() + NOTIFY_EVERY_S)
    assert post.owed() == 1
    post.board.answers.clear()
    assert post.go_on(LAST_RETRY_S) == [1]


def test_a_commit_that_github_does_not_know_yet_is_told_though_the_clock_is_set_just_then(
    post: Post,
) -> None:
    post.board.answers += [RefusedForGood("No commit found for SHA")] * 2
    post.owe(1)
    post.clock.jump(3600)
    assert post.go_on(10) == [1]


def test_what_is_owed_outlives_the_worker(post: Post) -> None:
    post.board.down = "no route to host"
    post.owe(1)
    post.go_on(60)
    post.board.down = None
    post.outbox = post.restarted()
    assert post.go_on(300) == [1]
    assert post.records()[0].attempts > 1


def test_what_github_took_is_posted_once_though_the_journal_can_not_note_it_for_hours(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.owe(1, StatusState.PENDING)
    with monkeypatch.context() as full:
        full.setattr(post.journal, "posted", on_a_full_disk)
        for _ in range(3):
            with pytest.raises(JournalError):
                post.outbox.post_next()
            post.clock.sleep(WINDOW_S)
    post.owe(1, StatusState.FAILURE)
    assert post.go_on(0) == [1]
    assert [status.state for status, _ in post.board.posted] == ["pending", "failure"]


def test_what_github_refused_is_not_asked_again_though_the_journal_can_not_note_it(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.board.down = "503"
    post.owe(1)
    with monkeypatch.context() as full:
        full.setattr(post.journal, "try_again", on_a_full_disk)
        for _ in range(3):
            with pytest.raises(JournalError):
                post.outbox.post_next()
            post.clock.sleep(WINDOW_S)
    assert post.board.tries == 1
    post.board.down = None
    assert post.go_on(10) == [1]


def test_a_fault_of_ours_in_posting_one_holds_up_no_other_and_it_is_tried_again(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.owe(1)
    post.owe(2)
    take = post.board.post

    def with_a_fault(status: Status, target_url: str | None) -> Posted:
        if status.sha == sha(1):
            raise KeyError("a fault")
        return take(status, target_url)

    with monkeypatch.context() as faulty:
        faulty.setattr(post.board, "post", with_a_fault)
        with pytest.raises(KeyError):
            post.outbox.post_next()
        assert post.go_on(0) == [2]
    assert post.go_on(10) == [1]


def test_the_pace_outlives_the_worker(post: Post) -> None:
    for number in range(BURST + 5):
        post.owe(number)
    post.go_on(0)
    post.clock.sleep(2)
    post.outbox = post.restarted()
    assert len(post.go_on(0)) == 2
    assert post.go_on(0.5) == []
    assert len(post.go_on(2)) == 2


def test_githubs_word_on_when_to_come_back_outlives_the_worker(post: Post) -> None:
    post.board.answers.append(RetryLater("secondary rate limit", after_s=90))
    post.owe(1)
    post.go_on(30)
    post.outbox = post.restarted()
    post.owe(2)
    assert post.go_on(59) == []
    assert post.board.tries == 1
    assert sorted(post.go_on(10)) == [1, 2]


def test_a_clock_set_back_by_an_hour_holds_nothing_up_for_long(post: Post) -> None:
    post.board.answers.append(RetryLater("secondary rate limit", after_s=90))
    for number in range(BURST + 5):
        post.owe(number)
    post.go_on(10)
    post.clock.jump(-3600)
    post.outbox = post.restarted()
    assert len(post.go_on(100)) == BURST + 5


def test_a_verdict_that_comes_while_its_pending_is_tried_again_is_the_one_posted(
    post: Post,
) -> None:
    post.board.down = "503"
    post.owe(1, StatusState.PENDING)
    post.go_on(5)
    post.board.down = None
    post.owe(1, StatusState.FAILURE, "it is broken")
    post.go_on(300)
    assert [status.state for status, _ in post.board.posted] == ["failure"]
