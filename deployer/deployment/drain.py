"""Let Airflow's tasks come to their end before its scheduler is stopped.

Pools are emptied, so that nothing new starts, and get their slots back afterwards. The
slots are in the journal before a pool is touched: a crash cannot lose them, and whoever
comes next gives them back (docs/decisions/006).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from deployer.core.model import Busy
from deployer.errors import AirflowUnreachable
from deployer.ports import Airflow, Clock, Journal

log = structlog.get_logger()

Answer = TypeVar("Answer")

LOOK_EVERY_S = 1.0
TELL_EVERY_S = 15.0
"""Between two words about who is waited for: each is a status on GitHub."""
PATIENCE_S = 10.0
"""For an api-server that is just starting, or has no answer for a moment; one that is down can't be
drained."""


class Drain:
    """The pools of one Airflow; `timeout_s` bounds the wait for its tasks."""

    def __init__(
        self, airflow: Airflow, journal: Journal, clock: Clock, *, timeout_s: float
    ) -> None:
        self._airflow = airflow
        self._journal = journal
        self._clock = clock
        self._timeout_s = timeout_s

    def close(self) -> None:
        """Take all slots from all pools.

        Raises:
            AirflowUnreachable: it does not answer; a later call goes on where this one stopped.
            AirflowError
        """
        slots = {name: size for name, size in self._patiently(self._airflow.pools).items() if size}
        # A pool that was emptied by a drain that died is known from then, and from nowhere else.
        self._journal.set_drained({**self._journal.drained(), **slots})
        for name in slots:
            # Dying here leaves some pools empty, all of them in the journal.
            self._patiently(partial(self._airflow.resize_pool, name, 0))

    def wait(self, tell: Callable[[str], None]) -> tuple[Busy, ...]:
        """Wait until the executor has no task; return those it has when the time is over.

        `tell` is given a few words on who is waited for, now and then.

        Raises:
            AirflowError
        """
        began = self._clock.monotonic()
        told, told_at = "", float("-inf")
        while busy := self._patiently(self._airflow.busy):
            now = self._clock.monotonic()
            if now - began >= self._timeout_s:
                return busy
            words = f"packages change; waiting for {in_words(busy)}"
            if words != told and now - told_at >= TELL_EVERY_S:
                tell(words)
                told, told_at = words, now
            self._clock.sleep(LOOK_EVERY_S)
        return ()

    def reopen(self) -> None:
        """Give each pool its slots back, unless somebody did so meanwhile.

        Raises:
            AirflowError: the slots stay in the journal.
        """
        kept = self._journal.drained()
        if not kept:
            return
        now = self._patiently(self._airflow.pools)
        for name, size in kept.items():
            if now.get(name) == 0:
                self._patiently(partial(self._airflow.resize_pool, name, size))
        self._journal.set_drained({})
        log.info("pools have their slots back", pools=dict(kept))

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        until = self._clock.monotonic() + PATIENCE_S
        while True:
            try:
                return ask()
            except AirflowUnreachable:
                if self._clock.monotonic() >= until:
                    raise
            self._clock.sleep(LOOK_EVERY_S)


def in_words(busy: Sequence[Busy]) -> str:
    """Return who is busy, the first by name: `lasse_taxi_pipeline.ingest and 2 more`."""
    first, *others = sorted({f"{task.dag_id}.{task.task_id}" for task in busy})
    return f"{first} and {len(others)} more" if others else first
