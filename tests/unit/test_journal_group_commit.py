"""Concurrent deliveries share a commit; each caller hears what became of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import SimpleNamespace

import pytest

from deployer.edges.journal.transactions import deliveries
from deployer.edges.journal.transactions.deliveries import GroupCommit, Row
from deployer.errors import JournalError

BOUND_S = 60.0


class Disk:
    """Commits that end when the test says so."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.within_s: list[float] = []
        self.known: set[str] = set()
        self.began = threading.Semaphore(0)
        self.ends: list[BaseException | None] = []
        self.may_end = threading.Semaphore(0)

    def commit(self, rows: Sequence[Row], within_s: float) -> frozenset[str]:
        self.within_s.append(within_s)
        guids = [row["guid"] for row in rows]
        self.batches.append(guids)
        self.began.release()
        assert self.may_end.acquire(timeout=BOUND_S)
        if (error := self.ends.pop(0)) is not None:
            raise error
        new = frozenset(guids) - self.known
        self.known |= new
        return new

    def end(self, error: BaseException | None = None) -> None:
        self.ends.append(error)
        self.may_end.release()


class Callers:
    """Threads that add deliveries, in the order in which the test names them."""

    def __init__(self, disk: Disk, pool: ThreadPoolExecutor) -> None:
        self.disk = disk
        self.group = GroupCommit(disk.commit)
        self._pool = pool

    def writing(self, guid: str) -> Future[bool]:
        """Add one and return when its commit has begun."""
        future = self._pool.submit(self.group.add, {"guid": guid})
        assert self.disk.began.acquire(timeout=BOUND_S)
        return future

    def waiting(self, *guids: str) -> list[Future[bool]]:
        """Add some and return when all stand in line."""
        futures = []
        for guid in guids:
            length = len(self.group._line)
            futures.append(self._pool.submit(self.group.add, {"guid": guid}))
            grown = threading.Event()
            for _ in range(int(BOUND_S * 1000)):
                if len(self.group._line) > length:
                    break
                grown.wait(0.001)
            else:
                pytest.fail(f"{guid} never stood in line")
        return futures


@pytest.fixture
def callers() -> Iterator[Callers]:
    disk = Disk()
    with ThreadPoolExecutor(8) as pool:
        yield Callers(disk, pool)
        for _ in range(8):  # a failed test must not leave callers waiting
            disk.end()


def test_those_who_come_during_a_commit_share_the_next(callers: Callers) -> None:
    first = callers.writing("a")
    others = callers.waiting("b", "c", "d")
    callers.disk.end()
    assert first.result(BOUND_S)
    callers.disk.end()
    assert [future.result(BOUND_S) for future in others] == [True] * 3
    assert callers.disk.batches == [["a"], ["b", "c", "d"]]


def test_nobody_returns_before_the_commit_with_its_row_ended(callers: Callers) -> None:
    first = callers.writing("a")
    (second,) = callers.waiting("b")
    callers.disk.end()
    assert first.result(BOUND_S)
    assert callers.disk.began.acquire(timeout=BOUND_S)
    assert not second.done()
    callers.disk.end()
    assert second.result(BOUND_S)


def test_of_two_with_one_guid_in_a_batch_the_first_is_new(callers: Callers) -> None:
    first = callers.writing("a")
    others = callers.waiting("b", "b", "a")
    callers.disk.end()
    callers.disk.end()
    assert first.result(BOUND_S)
    assert [future.result(BOUND_S) for future in others] == [True, False, False]
    assert callers.disk.batches[1] == ["b", "a"]


def test_a_failed_commit_fails_all_its_callers_and_nobody_else(callers: Callers) -> None:
    first = callers.writing("a")
    doomed = callers.waiting("b", "c")
    callers.disk.end()
    assert first.result(BOUND_S)
    assert callers.disk.began.acquire(timeout=BOUND_S)
    saved = callers.waiting("d")
    callers.disk.end(JournalError("disk full"))
    for future in doomed:
        with pytest.raises(JournalError, match="disk full"):
            future.result(BOUND_S)
    callers.disk.end()
    assert saved[0].result(BOUND_S)


def test_who_came_later_than_the_one_whose_time_is_over_is_tried_again(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(deliveries, "time", SimpleNamespace(monotonic=lambda: now))
    first = callers.writing("a")
    (early,) = callers.waiting("b")
    now = 5.0
    (late,) = callers.waiting("c")
    callers.disk.end()
    assert first.result(BOUND_S)
    assert callers.disk.began.acquire(timeout=BOUND_S)
    now = 8.5
    callers.disk.end(JournalError("another process writes"))
    with pytest.raises(JournalError, match="another process writes"):
        early.result(BOUND_S)
    assert callers.disk.began.acquire(timeout=BOUND_S)
    callers.disk.end()
    assert late.result(BOUND_S)
    assert callers.disk.batches == [["a"], ["b", "c"], ["c"]]
    assert callers.disk.within_s == [8.0, 3.0, 4.5]


def test_a_writer_that_is_stopped_leaves_nobody_waiting(callers: Callers) -> None:
    first = callers.writing("a")
    (second,) = callers.waiting("b")
    callers.disk.end(SystemExit(1))
    with pytest.raises(SystemExit):
        first.result(BOUND_S)
    callers.disk.end()
    assert second.result(BOUND_S)


def test_waiting_is_bounded(callers: Callers, monkeypatch: pytest.MonkeyPatch) -> None:
    first = callers.writing("a")
    monkeypatch.setattr(deliveries, "WAIT_S", 0.05)
    with pytest.raises(JournalError, match="did not take a delivery"):
        callers.group.add({"guid": "b"})
    callers.disk.end()
    with suppress(JournalError):
        first.result(BOUND_S)
    assert callers.disk.batches == [["a"]]
