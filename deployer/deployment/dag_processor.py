"""What is wrong with Airflow's dag-processor, and how it comes back after it died.

What a file can do ends that file alone. What is left to kill the dag-processor, for everybody and
perhaps again after each restart, is memory and whatever kills processes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta

import structlog

from deployer.core.model import DAG_PROCESSOR, Vitals
from deployer.deployment.parts import Parts
from deployer.errors import AirflowError, ServicesError

log = structlog.get_logger()

LOOK_EVERY_S = 0.5
SETTLED_S = 5.0
"""Whoever dies of what is live does so in the first seconds: it parses all of it anew."""
REVIVE_AFTER_S = 3.0
"""Docker's restart policy starts a service again after 0.1 s and more; where there is none, or
no Docker, nobody does."""
STALE_AFTER = timedelta(seconds=30)
"""Without a heartbeat for so long it is stuck; it beats each 5 s, and Airflow itself calls it
unhealthy then (airflow 3.3.2, `[scheduler] scheduler_health_check_threshold`)."""


@dataclass(frozen=True, slots=True)
class DagProcessor:
    """The dag-processor of one Airflow; `HEALTH_TIMEOUT_S` bounds the wait for it to come back."""

    parts: Parts

    def fit(self) -> frozenset[str]:
        """Return the lives of the dag-processors that are connected and will tell."""
        return frozenset(life for life, came in self.parts.feed.present().items() if not came.unfit)

    def is_ill(self) -> bool:
        """Tell whether none is connected and its process does not run, or not for long."""
        seen = None if self.fit() else self._vitals()
        return seen is not None and not seen.steady

    def recover(self, dead: Collection[str]) -> None:
        """Wait until another life than those has settled; start it where nobody else does.

        Raises:
            AirflowError: it does not come back.
            ServicesError: it can't be started.
        """
        clock, timeout_s = self.parts.clock, self.parts.settings.health_timeout_s
        began = clock.monotonic()
        settling: dict[str, float] = {}
        revived = False
        while True:
            waited_s = clock.monotonic() - began
            alive = self.fit() - frozenset(dead)
            settling = {life: settling.get(life, waited_s) for life in alive}
            if any(waited_s - since_s >= SETTLED_S for since_s in settling.values()):
                return
            if not alive and not revived and waited_s >= REVIVE_AFTER_S:
                self.parts.services.revive(DAG_PROCESSOR)
                revived = True
            if waited_s >= timeout_s:
                raise AirflowError(
                    f"Airflow's dag-processor {self._how()} and does not come back within"
                    f" {timeout_s:.0f} s, with the previous release live again:"
                    " see its log"
                )
            self.parts.feed.wait(LOOK_EVERY_S)

    def absence(self) -> str:
        """Return why no dag-processor of the class tells anything, in one sentence.

        It goes live all the same: Airflow's own looks at the bundle now and then.
        """
        unfit = [came for came in self.parts.feed.present().values() if came.unfit]
        if unfit:
            return (
                f"live, not judged: Airflow {unfit[0].airflow}'s own dag-processor runs, not the"
                f" class's: {unfit[0].unfit}"
            )
        return (
            f"live, not judged: Airflow's dag-processor {self._how()} and is not the class's, or"
            " not connected: see `deployer doctor`"
        )

    def ailment(self) -> str | None:
        """Return why one that is connected says nothing, in one sentence; None if it seems well.

        Raises:
            AirflowError
        """
        beat = self.parts.airflow.parser_beat()
        if beat is None or self.parts.clock.now() - beat <= STALE_AFTER:
            return None
        return (
            f"Airflow's dag-processor is stuck, without a heartbeat since {beat:%H:%M:%S} UTC:"
            " see its log and restart it"
        )

    def how_it_ended(self) -> str:
        """Return that in a few words; why is nowhere: what kills it leaves none in its log."""
        seen = self._vitals()
        if seen is None:
            return "it ended, and how can't be seen"
        if seen.life is not None:  # another one by now
            return "it was killed"
        return f"it {seen.words}"

    def _how(self) -> str:
        seen = self._vitals()
        return seen.words if seen else "can't be seen"

    def _vitals(self) -> Vitals | None:
        try:
            return self.parts.services.vitals(DAG_PROCESSOR)
        except ServicesError as exc:
            log.warning("dag-processor not seen", reason=str(exc))
            return None
