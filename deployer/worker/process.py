"""The worker's threads: one listens and beats, one takes turns, one posts statuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event, Thread

import structlog

from deployer.errors import DeployerError
from deployer.ports import Clock, Journal, Listener
from deployer.worker.outbox import Outbox
from deployer.worker.turns import Turns

log = structlog.get_logger()

NET_S = 2.0
"""Between two looks into the journal for what no bell has announced."""
BEAT_S = 5.0
STOP_BOUND_S = 10.0
FAULT_PAUSE_S = 5.0


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
        turns: Turns,
        outbox: Outbox | None,
        listener: Listener,
        journal: Journal,
        clock: Clock,
        signals: Signals,
        poll_interval_s: float,
        prepare: Callable[[], None],
    ) -> None:
        self._turns = turns
        self._outbox = outbox
        self._listener = listener
        self._journal = journal
        self._clock = clock
        self._signals = signals
        self._poll_interval_s = poll_interval_s
        self._prepare = prepare  # in the thread that takes the turns

    def run(self) -> None:
        """Work until told to stop.

        A deployment that runs then is left where it is: the next start redoes it.
        """
        signals = self._signals
        signals.turn.set()  # first thing at start: check the tip
        loops: list[Callable[[], None]] = [self._take_turns]
        if self._outbox:
            loops.append(self._post)
        threads = [Thread(target=loop, daemon=True) for loop in loops]
        for thread in threads:
            thread.start()
        self._listen()
        signals.turn.set()
        signals.owed.set()
        for thread in threads:
            thread.join(STOP_BOUND_S)

    def _listen(self) -> None:
        signals = self._signals
        beat_at = float("-inf")
        while not signals.stop.is_set():
            try:
                if self._clock.monotonic() - beat_at >= BEAT_S:
                    self._journal.beat(at=self._clock.now(), tip=None, tip_checked_at=None)
                    beat_at = self._clock.monotonic()
                if self._turns.take_in():
                    signals.turn.set()
                self._listener.wait(NET_S)
            except Exception as exc:
                _tell("intake failed", exc)
                signals.stop.wait(FAULT_PAUSE_S)

    def _take_turns(self) -> None:
        signals = self._signals
        wait_s: float = 0.0
        try:
            self._prepare()
        except Exception as exc:  # the first turn meets it again, and reports it
            _tell("not ready yet", exc)
        while not signals.stop.is_set():
            signals.turn.wait(wait_s)
            signals.turn.clear()
            if signals.stop.is_set():
                return
            try:
                again_s = self._turns.turn()
            except Exception as exc:
                _tell("turn failed", exc)
                again_s = FAULT_PAUSE_S
            wait_s = self._poll_interval_s if again_s is None else again_s

    def _post(self) -> None:
        signals = self._signals
        outbox = self._outbox
        while outbox and not signals.stop.is_set():
            try:
                wait_s = outbox.post_next()
            except Exception as exc:
                _tell("posting failed", exc)
                wait_s = FAULT_PAUSE_S
            if wait_s:
                signals.owed.wait(wait_s)
                signals.owed.clear()


def _tell(what: str, exc: Exception) -> None:
    """Log what a loop goes on after: the journal's disk may be full, and have room again."""
    if isinstance(exc, DeployerError):
        log.warning(what, reason=str(exc))
    else:
        log.error(what, exc_info=exc)
