"""The worker's threads: one listens and beats, one takes turns, one posts statuses, and beside
them one for each thing that nobody waits for and that may take long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from typing import TypeVar

import structlog

from deployer.errors import DeployerError
from deployer.ports import Clock, Journal, Listener, ParseFeed
from deployer.worker.outbox import Outbox
from deployer.worker.reconciler import Reconciler

log = structlog.get_logger()

Done = TypeVar("Done")
Else = TypeVar("Else")

NET_S = 5.0
"""Between two looks into the journal for what no bell has announced."""
BEAT_S = 5.0
STOP_BOUND_S = 3.0
"""For what a thread is just about; a deployment or a post that takes longer is done again."""
FAULT_PAUSE_S = 5.0
BESIDE_FIRST_S = 60.0
"""After the start, before anything is done beside: by then the tip is checked, the heart beats."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What one thread tells another: `turn` and `owed` say that there is work."""

    stop: Event = field(default_factory=Event)
    turn: Event = field(default_factory=Event)
    owed: Event = field(default_factory=Event)


class Worker:
    """Runs until `signals.stop` is set; a second call of `run` is not meant.

    No loop ends before that, whatever happens in it: what failed is tried again.
    """

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        outbox: Outbox | None,
        listener: Listener,
        journal: Journal,
        feed: ParseFeed,
        clock: Clock,
        signals: Signals,
        poll_interval_s: float,
        prepare: Callable[[], None],
        beside: Sequence[Callable[[], float]] = (),
    ) -> None:
        self._reconciler = reconciler
        self._outbox = outbox
        self._listener = listener
        self._journal = journal
        self._feed = feed
        self._clock = clock
        self._signals = signals
        self._poll_interval_s = poll_interval_s
        self._prepare = prepare  # in the thread that takes the turns
        self._beside = beside  # each in a thread of its own; returns in how many seconds again
        self._beat_at = float("-inf")

    def run(self) -> None:
        """Work until told to stop.

        A deployment that runs then is left where it is: the next start redoes it.
        """
        signals = self._signals
        signals.turn.set()  # first thing at start: check the tip
        loops: list[Callable[[], None]] = [self._take_turns]
        if self._outbox:
            loops.append(self._post)
        loops += [partial(self._repeat, work) for work in self._beside]
        threads = [Thread(target=loop, daemon=True) for loop in loops]
        for thread in threads:
            thread.start()
        self._listen()
        signals.turn.set()
        signals.owed.set()
        until = self._clock.monotonic() + STOP_BOUND_S
        for thread in threads:
            thread.join(max(until - self._clock.monotonic(), 0))

    def _listen(self) -> None:
        signals = self._signals
        while not signals.stop.is_set():
            pause_s = _tried("intake failed", self._listen_once, FAULT_PAUSE_S)
            if pause_s:
                signals.stop.wait(pause_s)

    def _listen_once(self) -> float:
        now = self._clock.monotonic()
        if now - self._beat_at >= BEAT_S:
            there = self._feed.present().values()
            self._journal.beat(at=self._clock.now(), processors=tuple(there))
            self._beat_at = now
        if self._reconciler.take_in():
            self._signals.turn.set()
        self._listener.wait(NET_S)
        return 0.0

    def _take_turns(self) -> None:
        signals = self._signals
        _tried("preparation failed", self._prepare, None)  # the first turn meets it again
        wait_s = 0.0
        while True:
            signals.turn.wait(wait_s)
            signals.turn.clear()
            if signals.stop.is_set():
                return
            again_s = _tried("turn failed", self._reconciler.turn, FAULT_PAUSE_S)
            wait_s = self._poll_interval_s if again_s is None else again_s

    def _post(self) -> None:
        signals = self._signals
        while self._outbox and not signals.stop.is_set():
            wait_s = _tried("posting failed", self._outbox.post_next, FAULT_PAUSE_S)
            if wait_s:
                signals.owed.wait(wait_s)
                signals.owed.clear()

    def _repeat(self, work: Callable[[], float]) -> None:
        wait_s = BESIDE_FIRST_S
        while not self._signals.stop.wait(wait_s):
            wait_s = _tried("work beside the turns failed", work, BESIDE_FIRST_S)


def _tried(complaint: str, work: Callable[[], Done], if_failed: Else) -> Done | Else:
    """Return what `work` returns; a failure is logged, and the loop goes on.

    The journal's disk may be full, say, and have room again.
    """
    try:
        return work()
    except DeployerError as exc:
        log.warning(complaint, reason=str(exc))
    except Exception:
        log.exception(complaint)
    return if_failed
