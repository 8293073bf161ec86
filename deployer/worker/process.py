"""The worker's threads: one listens and beats, one reconciles, one posts statuses, and beside
them one for each thing that nobody waits for and that may take long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Thread
from typing import TypeVar

import structlog

from deployer.deployment.parts import Parts
from deployer.errors import DeployerError
from deployer.ports import Listener
from deployer.worker.outbox import Outbox
from deployer.worker.reconciler import Reconciler

log = structlog.get_logger()

Done = TypeVar("Done")

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
    """What one thread tells another: `reconcile` and `owed` say that there is work."""

    stop: Event = field(default_factory=Event)
    reconcile: Event = field(default_factory=Event)
    owed: Event = field(default_factory=Event)


@dataclass(eq=False)
class Worker:
    """Runs until `signals.stop` is set; a second call of `run` is not meant.

    No loop ends before that, whatever happens in it: what failed is tried again.
    """

    reconciler: Reconciler
    outbox: Outbox | None
    listener: Listener
    parts: Parts
    signals: Signals
    poll_interval_s: float
    prepare: Callable[[], None]  # in the thread that reconciles
    beside: Sequence[Callable[[], float]] = ()
    """Each in a thread of its own; returns in how many seconds again."""
    _beat_at: float = float("-inf")

    def run(self) -> None:
        """Work until told to stop.

        A deployment that runs then is left where it is: the next start redoes it.
        """
        signals = self.signals
        loops: list[Callable[[], None]] = [self._reconciling]
        if self.outbox:
            post = self.outbox.post_next
            loops.append(partial(self._answer, signals.owed, "posting failed", post))
        loops += [partial(self._do_beside, work) for work in self.beside]
        threads = [Thread(target=loop, daemon=True) for loop in loops]
        for thread in threads:
            thread.start()
        while not signals.stop.wait(_tried("intake failed", self._listen, FAULT_PAUSE_S)):
            pass
        signals.reconcile.set()
        signals.owed.set()
        until = self.parts.clock.monotonic() + STOP_BOUND_S
        for thread in threads:
            thread.join(max(until - self.parts.clock.monotonic(), 0))

    def _listen(self) -> float:
        now = self.parts.clock.monotonic()
        if now - self._beat_at >= BEAT_S:
            there = self.parts.feed.present().values()
            self.parts.journal.beat(at=self.parts.clock.now(), processors=tuple(there))
            self._beat_at = now
        if self.reconciler.take_in():
            self.signals.reconcile.set()
        self.listener.wait(NET_S)
        return 0.0

    def _reconciling(self) -> None:
        _tried("preparation failed", self.prepare, None)  # the first pass meets it again
        self.signals.reconcile.clear()  # what came meanwhile is the first pass's
        self._answer(self.signals.reconcile, "reconciling failed", self._reconcile)

    def _reconcile(self) -> float:
        again_s = self.reconciler.reconcile()
        return self.poll_interval_s if again_s is None else again_s

    def _answer(self, signal: Event, complaint: str, work: Callable[[], float]) -> None:
        """Do `work` at once, then at each `signal`, and when the time is over that it told."""
        while not self.signals.stop.is_set():
            signal.wait(_tried(complaint, work, FAULT_PAUSE_S))
            signal.clear()

    def _do_beside(self, work: Callable[[], float]) -> None:
        wait_s = BESIDE_FIRST_S
        while not self.signals.stop.wait(wait_s):
            wait_s = _tried("work beside the reconciler failed", work, BESIDE_FIRST_S)


def _tried(complaint: str, work: Callable[[], Done], if_failed: Done) -> Done:
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
