"""Look at what must hold at any moment, and mend it: at the worker's start, and each hour."""

from __future__ import annotations

import structlog

from deployer.core.doctor.invariants import violations
from deployer.core.model import Trigger
from deployer.deployment.parts import Parts
from deployer.errors import DeployerError
from deployer.worker.intake import Intake

log = structlog.get_logger()

EVERY_S = 3600.0


class Invariants:
    """Called between two deployments; what it mends the turn that follows brings to an end."""

    def __init__(self, parts: Parts, intake: Intake) -> None:
        self._parts = parts
        self._intake = intake
        self._due_at = float("-inf")  # monotonic

    def look(self) -> None:
        """Look if it is time; a commit that was forgotten is queued like one that was pushed."""
        parts, now = self._parts, self._parts.clock.monotonic()
        if now < self._due_at:
            return
        self._due_at = now + EVERY_S
        try:
            with self._intake.lock:
                audit = parts.journal.audit(parts.clock.now())
                for sha in audit.stranded:
                    # Dying before all are queued: the others are found once more.
                    self._intake.queue(sha, None, Trigger.POLL)
            elsewhere = self._live()
            wrong = [*violations(audit), *elsewhere]
            if audit.unjudged or elsewhere:
                parts.journal.set_live(None)
        except DeployerError as exc:
            log.warning("invariants not looked at", reason=str(exc))
        else:
            for what in wrong:
                log.warning("invariant does not hold", what=what)

    def _live(self) -> list[str]:
        known, release = self._parts.journal.live(), self._parts.releases.live()
        if not known or not release or release.sha == known.sha:  # none: the reconciler's look
            return []
        return [f"{known.sha[:7]} is said to be live, and `current` leads to {release.name}"]
