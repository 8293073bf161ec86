"""The worker's threads: who wakes whom, and that nothing ends them but being told to stop.

The clock, GitHub, git and Airflow are fakes; the threads and their signals are real.
A test waits for what the journal shows, never for a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import wraps
from threading import Condition, Event, Thread
from threading import enumerate as threads

import pytest
from structlog.testing import capture_logs

from deployer.core.model import State
from deployer.errors import JournalError, PreflightError
from deployer.worker import outbox, process
from deployer.worker.outbox import Outbox
from deployer.worker.process import BEAT_S, Signals, Worker
from deployer.worker.reconciler import Reconciler
from tests.fakes.bell import FakeBell
from tests.fakes.journal import FakeJournal
from tests.fakes.statusboard import FakeStatusBoard
from tests.fakes.world import World

BOUND_S = 60.0
"""How long something that must happen is waited for on a busy machine."""
TAXI, WEATHER, HELLO = "dags/lasse/taxi.py", "dags/maria/weather.py", "dags/class_demo/hello.py"


class WatchedJournal(FakeJournal):
    """A journal whose calls exclude each other, as transactions do, and can be waited for.

    Attributes:
        failing: methods that raise, as with a full disk, each with how often it did.
    """

    def __init__(self, *, now: Callable[[], datetime]) -> None:
        self.failing: dict[str, int] = {}
        self.called = Condition()  # re-entrant, and notified after each call
        super().__init__(now=now)

    def __getattribute__(self, name: str) -> object:
        found = super().__getattribute__(name)
        if name.startswith("_") or name == "wait_until" or not callable(found):
            return found

        @wraps(found)
        def alone(*args: object, **kwargs: object) -> object:
            with self.called:
                try:
                    if name in self.failing:
                        self.failing[name] += 1
                        raise JournalError("the journal can't be written: disk full")
                    return found(*args, **kwargs)
                finally:
                    self.called.notify_all()

        return alone

    def wait_until(self, true: Callable[[], object]) -> None:
        """Wait, bounded, until `true` is; it is asked again after each call of the journal."""
        with self.called:
            assert self.called.wait_for(true, BOUND_S), "it did not come to that"


class Running:
    """A worker in threads, on a world of fakes.

    Attributes:
        prepared: how often it made ready.
        unready: what making ready raises, None: nothing.
        killed: the pass that is held up does not outlive `held_up`, as with the process.
    """

    def __init__(self) -> None:
        self.world = World()
        self.journal = WatchedJournal(now=self.world.clock.now)
        self.world.journal = self.journal
        self.world.parts = replace(self.world.parts, journal=self.journal)
        self.board = FakeStatusBoard()
        self.bell = FakeBell()
        self.signals = Signals()
        self.prepared = 0
        self.unready: Exception | None = None
        self.poll_interval_s = 3600.0
        self.has_outbox = True
        self.beside: list[Callable[[], float]] = []
        self.killed = False
        self._thread: Thread | None = None

    def start(self) -> None:
        self._thread = Thread(target=self._worker().run)
        self._thread.start()

    def stop(self) -> None:
        self.signals.stop.set()
        self.bell.ring()
        if self._thread is not None:
            self._thread.join(BOUND_S)
            assert not self._thread.is_alive(), "it goes on though it was told to stop"

    @property
    def runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def idle(self) -> None:
        """Wait until the tip is live, and known to be."""
        self.journal.wait_until(
            lambda: (live := self.journal.live()) and live.sha == self.world.repository.tip
        )

    def rest(self) -> None:
        """Let a minute pass, so that GitHub takes a burst of statuses again."""
        self.world.clock.sleep(60)

    def ended(self, sha: str) -> None:
        """Wait until a commit is judged."""
        self.journal.wait_until(lambda: (d := self.journal.judging(sha)) and d.state.ended)

    def push(self, path: str) -> str:
        """Push, deliver and ring."""
        sha = self.world.announced(path)
        self.bell.ring()
        return sha

    @contextmanager
    def held_up(self) -> Iterator[None]:
        """Let git's answer wait until the block ends; begin when somebody waits for it."""
        asked, answer = Event(), Event()
        repository, fetch = self.world.repository, self.world.repository.fetch

        def slow() -> str:
            tip = fetch()  # what comes after this is not in this pass's tip
            asked.set()
            assert answer.wait(BOUND_S)
            if self.killed:
                raise RuntimeError("the process is dead")
            return tip

        self.world.push("README.md")
        repository.fetch = slow  # type: ignore[method-assign]  # a slow network
        self.signals.reconcile.set()
        try:
            assert asked.wait(BOUND_S)
            repository.fetch = fetch  # type: ignore[method-assign]  # and a quick one again
            yield
        finally:
            answer.set()

    def _worker(self) -> Worker:
        world = self.world
        return Worker(
            reconciler=Reconciler(replace(world.parts, owed=self.signals.owed.set)),
            outbox=Outbox(self.journal, self.board, world.clock, public_url=None)
            if self.has_outbox
            else None,
            listener=self.bell,
            parts=world.parts,
            signals=self.signals,
            poll_interval_s=self.poll_interval_s,
            prepare=self._prepare,
            beside=self.beside,
        )

    def _prepare(self) -> None:
        self.prepared += 1
        if self.unready is not None:
            raise self.unready


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A worker not started yet, whose threads only hear what they are told; stopped at the end."""
    monkeypatch.setattr(process, "NET_S", 3600.0)
    monkeypatch.setattr(outbox, "REST_S", 3600.0)
    monkeypatch.setattr(process, "FAULT_PAUSE_S", 0.01)
    before = set(threads())
    running = Running()
    running.world.push(TAXI, WEATHER)
    with capture_logs():
        yield running
        running.journal.failing.clear()
        running.stop()
        # One that was left hanging must not log into another test.
        for thread in set(threads()) - before:
            thread.join(BOUND_S)


# --- a day's work ----------------------------------------------------------------


def test_first_thing_at_start_the_tip_is_checked_and_deployed(running: Running) -> None:
    tip = running.world.repository.tip
    running.start()
    running.idle()
    assert tip is not None
    assert running.world.state(tip) is State.SUCCEEDED
    assert running.prepared == 1


def test_a_ring_makes_a_pass_whose_verdicts_are_posted(running: Running) -> None:
    running.start()
    running.idle()
    running.rest()
    sha = running.push(TAXI)
    running.ended(sha)
    running.journal.wait_until(lambda: running.journal.pulse().owed == 0)
    assert {context: s.state.value for context, s in running.board.of(sha).items()} == {
        "airflow/deploy": "success",
        "airflow/lasse": "success",
    }


def test_a_delivery_whose_ring_got_lost_is_found(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "NET_S", 0.01)
    running.start()
    running.idle()
    running.ended(running.world.announced(TAXI))


def test_a_push_that_nobody_announced_is_found_by_the_poll(running: Running) -> None:
    running.poll_interval_s = 0.01
    running.start()
    running.idle()
    running.ended(running.world.push(TAXI))


def test_pushes_that_come_while_a_pass_runs_make_one_next_pass(running: Running) -> None:
    running.start()
    running.idle()
    before = len(running.journal.records)
    with running.held_up():
        shas = [running.push(path) for path in (TAXI, WEATHER, HELLO)]
        running.journal.wait_until(lambda: not running.journal.unseen())
    for sha in shas:
        running.ended(sha)
    # The README's commit, which was under way, and the three: two covered by the last, which got
    # a number of after that one's.
    states = [record.state.value for record in list(running.journal.records.values())[before:]]
    assert sorted(states) == ["succeeded", "succeeded", "superseded", "superseded", "superseded"]
    said = [running.world.said(sha)["airflow/deploy"] for sha in shas]
    assert [state for state, _ in said] == ["success"] * 3
    assert [text.startswith("deployed as part of") for _, text in said] == [True, True, False]


def test_a_commit_is_pending_on_github_while_a_pass_runs(running: Running) -> None:
    running.start()
    running.idle()
    running.rest()
    with running.held_up():
        sha = running.push(TAXI)
        running.journal.wait_until(lambda: running.board.of(sha))
        assert running.board.of(sha)["airflow/deploy"].state.value == "pending"


def test_without_a_board_statuses_stay_owed(running: Running) -> None:
    running.has_outbox = False
    running.start()
    running.idle()
    running.ended(running.push(TAXI))
    assert running.journal.pulse().owed > 0
    assert running.board.tries == 0


# --- the heartbeat -----------------------------------------------------------------


def test_the_heart_beats_at_start_and_every_few_seconds(running: Running) -> None:
    running.start()
    running.idle()
    running.world.clock.sleep(BEAT_S)
    now = running.world.clock.now()
    running.bell.ring()
    running.journal.wait_until(lambda: running.journal.pulse().beat_at == now)


def test_the_heart_beats_while_a_pass_runs(running: Running) -> None:
    running.start()
    running.idle()
    with running.held_up():
        running.world.clock.sleep(BEAT_S)
        now = running.world.clock.now()
        running.bell.ring()
        running.journal.wait_until(lambda: running.journal.pulse().beat_at == now)


# --- what does not end it ------------------------------------------------------------


@pytest.mark.parametrize("method", ["beat", "unseen", "unfinished", "live"])
def test_it_goes_on_after_the_journal_could_not_be_used(running: Running, method: str) -> None:
    running.start()
    running.idle()
    running.journal.failing[method] = 0
    running.world.clock.sleep(BEAT_S)
    sha = running.push(TAXI)
    running.journal.wait_until(lambda: running.journal.failing[method] >= 3)
    running.journal.failing.clear()
    running.bell.ring()
    running.ended(sha)
    assert running.runs


def test_passes_go_on_while_the_outbox_cannot_be_read(running: Running) -> None:
    running.journal.failing["due"] = 0
    running.start()
    running.idle()
    sha = running.push(TAXI)
    running.ended(sha)
    assert running.board.tries == 0
    running.journal.wait_until(lambda: running.journal.failing["due"] >= 3)
    running.journal.failing.clear()
    running.journal.wait_until(lambda: running.journal.pulse().owed == 0)
    assert running.board.of(sha)


def test_what_is_owed_goes_out_while_passes_fail(running: Running) -> None:
    running.start()
    running.idle()
    running.rest()
    running.journal.failing["start"] = 0
    sha = running.push(TAXI)
    running.journal.wait_until(lambda: running.journal.failing["start"] >= 3)
    running.journal.wait_until(lambda: running.board.of(sha))
    assert running.board.of(sha)["airflow/deploy"].state.value == "pending"


@pytest.mark.parametrize(
    "fault", [PreflightError("no interpreter"), OSError("no such file"), KeyError("a fault")]
)
def test_it_works_though_it_could_not_make_ready(running: Running, fault: Exception) -> None:
    running.unready = fault
    running.start()
    running.idle()
    running.ended(running.push(TAXI))


def test_a_fault_of_ours_in_a_pass_is_followed_by_another_pass(running: Running) -> None:
    running.start()
    running.idle()
    faults = iter([KeyError("a fault"), KeyError("another")])
    contains = running.world.repository.contains

    def at_first_faulty(tip: str, sha: str) -> bool:
        for fault in faults:
            raise fault
        return contains(tip, sha)

    running.world.repository.contains = at_first_faulty  # type: ignore[method-assign]
    running.ended(running.push(TAXI))


def test_a_fault_of_the_bell_is_survived(running: Running) -> None:
    faults = iter([OSError("bad file descriptor")])
    wait = running.bell.wait

    def at_first_faulty(timeout_s: float) -> bool:
        for fault in faults:
            raise fault
        return wait(timeout_s)

    running.bell.wait = at_first_faulty  # type: ignore[method-assign]
    running.start()
    running.idle()
    running.ended(running.push(TAXI))


# --- the end -----------------------------------------------------------------------


def test_it_stops_when_told(running: Running) -> None:
    running.start()
    running.idle()
    running.stop()
    assert not running.runs


def test_it_stops_though_what_is_owed_cannot_be_posted(running: Running) -> None:
    running.board.down = "503"
    running.start()
    running.idle()
    running.ended(running.push(TAXI))
    running.stop()
    assert not running.runs
    assert running.journal.pulse().owed > 0


def test_it_stops_though_a_pass_hangs_and_the_next_start_does_it(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_BOUND_S", 0.01)
    running.start()
    running.idle()
    with running.held_up():
        sha = running.push(TAXI)
        running.journal.wait_until(lambda: not running.journal.unseen())
        running.stop()
        assert not running.runs
        assert running.world.state(sha) is State.QUEUED
        running.killed = True
    running.world.worker().reconcile()
    assert running.world.state(sha) is State.SUCCEEDED


# --- beside the reconciler --------------------------------------------------------------


def test_what_is_done_beside_the_reconciler_hinders_none_and_is_done_again(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "BESIDE_FIRST_S", 0.0)
    again, hangs, let_go = Event(), Event(), Event()
    times = iter([KeyError("a fault"), None])

    def work() -> float:
        for fault in times:
            if fault:
                raise fault
            again.set()
        hangs.set()
        let_go.wait(BOUND_S)
        return 0.0

    running.beside = [work]
    running.start()
    try:
        assert again.wait(BOUND_S)
        assert hangs.wait(BOUND_S)
        running.ended(running.push(TAXI))
    finally:
        let_go.set()
