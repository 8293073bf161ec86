"""Between two turns: make ready for the next, and remove what nobody uses any more."""

from __future__ import annotations

import structlog

from deployer.deploy import Parts
from deployer.errors import DeployerError

log = structlog.get_logger()

ASKED_ABOUT = 30
"""Old releases of which Airflow is asked at a time, a call each."""
QUIET_S = 4.0
"""After a deployment, before old releases are looked at."""


class Upkeep:
    """Nobody waits for it: a status is posted before.

    Args:
        keep: releases kept for rollback and running tasks.
    """

    def __init__(self, parts: Parts, *, keep: int) -> None:
        self._parts = parts
        self._keep = keep
        self._asked_about: list[str] = []  # old releases, the one asked about last at the end
        self._release_due_at = float("inf")  # monotonic
        self._asked = 0  # about how many, since the last deployment

    def prepare(self) -> None:
        """Make ready for the first turn.

        Raises:
            ServicesError, PreflightError: the turns meet it again.
        """
        self._release_due_at = self._parts.clock.monotonic() + QUIET_S  # a killed worker left some
        self._parts.services.tidy()
        self._parts.examiner.warm_up()

    def after_deployment(self) -> None:
        """Make ready for the next one, whose packages may have moved under the parser."""
        self._release_due_at = self._parts.clock.monotonic() + QUIET_S
        self._asked = 0
        try:
            self._parts.examiner.warm_up()
        except DeployerError as exc:
            log.warning("parser not warm", reason=str(exc))

    def clean_up(self) -> None:
        """Remove old releases once it has been quiet for a while: Airflow is asked for each."""
        if self._parts.clock.monotonic() < self._release_due_at:
            return
        self._release_due_at = float("inf")
        try:
            removed, left = self._remove_old_releases()
        except DeployerError as exc:
            log.warning("clean-up failed", reason=str(exc))
        else:
            if left:
                self._release_due_at = self._parts.clock.monotonic()
            if removed:
                log.info("releases removed", count=len(removed))

    def _remove_old_releases(self) -> tuple[tuple[str, ...], bool]:
        """Remove what nobody uses of the releases beyond KEEP_RELEASES; say if some are left.

        Of those that an untouched DAG still holds there may be many: some are asked about
        at a time, each in its turn.
        """
        releases = self._parts.releases
        old = releases.beyond(self._keep)
        turn = {name: number for number, name in enumerate(self._asked_about, 1)}
        some = sorted(old, key=lambda name: turn.get(name, 0))[:ASKED_ABOUT]
        in_use = self._parts.airflow.versions_in_use(some)
        self._asked_about = [name for name in turn if name in old and name not in some] + some
        self._asked += len(some)
        left = self._asked < len(old)
        return releases.prune(self._keep, frozenset(old) - (frozenset(some) - in_use)), left
