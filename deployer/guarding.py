"""Watch Airflow's dag-processor while a release is being judged.

Some files kill it, for everybody and again after each restart while they are live
(AIRFLOW.md, 5). The isolated parse finds those that are known; this is the net below it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from deployer.core import trace
from deployer.core.model import DAG_PROCESSOR, Vitals
from deployer.errors import AirflowError, AirflowUnreachable, DagProcessorEnded, ServicesError
from deployer.ports import Airflow, Clock, Services

log = structlog.get_logger()

LOOK_EVERY_S = 0.5
SETTLED_S = 5.0
"""Whoever dies of what is live does so in the first seconds: it parses what is new first."""
REVIVE_AFTER_S = 3.0
"""Docker's restart policy starts a service again after 0.1 s and more; where there is none, or
no Docker, nobody does."""
STALE_AFTER = timedelta(seconds=30)
"""Without a heartbeat for so long it is stuck; it beats each 5 s, and Airflow itself calls it
unhealthy then (airflow 3.3.2, `[scheduler] scheduler_health_check_threshold`)."""


class Guard:
    """The dag-processor of one Airflow; `timeout_s` bounds the wait for it to come back."""

    def __init__(
        self, services: Services, airflow: Airflow, clock: Clock, *, timeout_s: float
    ) -> None:
        self._services = services
        self._airflow = airflow
        self._clock = clock
        self._timeout_s = timeout_s
        self._before: Vitals | None = None
        self._looked_at = float("-inf")

    def begin(self) -> None:
        """Take note of its life, just before a release goes live."""
        self._before = self._vitals()
        self._looked_at = self._clock.monotonic()

    @property
    def trusted(self) -> bool:
        """Whether it was well when the release went live, as far as can be told."""
        return self._before is None or self._before.steady

    def check(self, *, now: bool = False) -> None:
        """See, now and then or `now`, that it is still in the life it was in.

        Raises:
            DagProcessorEnded: it was well before and ended since; the message is its last words.
        """
        at = self._clock.monotonic()
        if not now and at - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = at
        if self._before is None or not self._before.steady:
            return
        seen = self._vitals()
        if seen is None:  # Docker is away, not the dag-processor
            self._before = None
        elif seen.life != self._before.life:
            raise DagProcessorEnded(self._last_words(seen))

    def recover(self) -> None:
        """Wait until it has settled in a new life, and start it where nobody else does.

        From then on it is trusted again.

        Raises:
            AirflowError: it does not come back.
            ServicesError: it can't be started.
        """
        began, since = self._clock.monotonic(), self._clock.now()
        life, lives_since = None, began
        revived = False
        while True:
            now = self._clock.monotonic()
            waited_s = now - began
            seen = self._services.vitals(DAG_PROCESSOR)
            if seen.life != life:
                life, lives_since = seen.life, now
            if life is None and not revived and waited_s >= REVIVE_AFTER_S:
                self._services.revive(DAG_PROCESSOR)
                revived = True
            if life is not None and now - lives_since >= SETTLED_S and self._beat_since(since):
                self._before = replace(seen, steady=True)
                return
            if waited_s >= self._timeout_s:
                raise AirflowError(
                    f"Airflow's dag-processor {seen.words} and does not come back within"
                    f" {self._timeout_s:.0f} s, with the release before live again:"
                    " see its log"
                )
            self._clock.sleep(LOOK_EVERY_S)

    def ailment(self) -> str | None:
        """Return why it gives no verdicts, in one sentence; None if it seems well.

        Raises:
            AirflowError
        """
        seen = self._vitals()
        if seen is not None and (seen.life is None or not seen.steady):
            return f"Airflow's dag-processor {seen.words}: see its log"
        beat = self._airflow.health().dag_processor
        if beat is None:
            return "Airflow knows of no dag-processor: start one"
        if self._clock.now() - beat > STALE_AFTER:
            return (
                f"Airflow's dag-processor is stuck, without a heartbeat since {beat:%H:%M:%S} UTC:"
                " see its log and restart it"
            )
        return None

    def _beat_since(self, moment: datetime) -> bool:
        with suppress(AirflowUnreachable):
            beat = self._airflow.health().dag_processor
            return beat is not None and beat >= moment
        return False

    def _vitals(self) -> Vitals | None:
        try:
            return self._services.vitals(DAG_PROCESSOR)
        except ServicesError as exc:
            log.warning("dag-processor not watched", reason=str(exc))
            return None

    def _last_words(self, seen: Vitals) -> str:
        try:
            said = trace.last_error(self._services.last_words(DAG_PROCESSOR))
        except ServicesError as exc:
            log.warning("no last words", reason=str(exc))
            said = None
        return said or f"it {seen.words}"
