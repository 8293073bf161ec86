"""Between two passes: make ready for the next, see that all holds, remove what nobody uses."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import structlog

from deployer.core.airflow_version import BY
from deployer.core.invariants import violations
from deployer.core.model import Trigger
from deployer.core.planning import packages
from deployer.deployment.parts import Parts
from deployer.deployment.rollout import drain_of
from deployer.errors import DeployerError
from deployer.worker.intake import Intake

log = structlog.get_logger()

ASKED_ABOUT = 30
"""Old releases of which Airflow is asked at a time, a call each."""
QUIET_S = 4.0
"""After a deployment, before old releases are looked at."""
PRUNE_EVERY_S = 3600.0
"""For how long nothing more of the journal is taken for old."""
BY_HAND_S = 20.0
"""For so long packages that differ from the live commit's are let be: somebody may be at work."""
ONE_BY_ONE_S = 900.0
"""The same where services do not agree: a scheduler ends its tasks before the next one is made."""

LOOK_EVERY_S = 3600.0
"""Between two looks whether what must hold does."""


class Maintenance:
    """Nobody waits for it: a status is posted before.

    Attributes:
        deployed: the tip that was deployed last, until all is made ready for the next one.
        untidy: a deployment that died or failed may have left something of a rollout in Docker.
    """

    def __init__(self, parts: Parts) -> None:
        self.deployed: str | None = None
        self.untidy = True
        self._parts = parts
        self._drain = drain_of(parts)
        self._prune_due_at = 0.0  # monotonic
        self._asked_about: set[str] = set()  # old releases, in this round
        self._release_due_at = float("inf")  # monotonic
        self._drift = ""
        self._not_compared = ""
        self._drifted_at = 0.0  # monotonic, as is the next
        self._repair_at: float | None = None
        self._tried_tip: str | None = None  # the tip that was to mend that drift

    def prepare(self) -> None:
        """Make ready for the first pass.

        Raises:
            OperatorError: Docker, the parser, the disk or the journal; the next pass meets it.
        """
        self._release_due_at = self._parts.clock.monotonic() + QUIET_S  # a killed worker left some
        self._tidy()
        self._parts.examiner.warm_up()

    def end_rollout(self) -> None:
        """End a rollout that died, where no deployment has done it: its commit is gone, say.

        Dying in here: it is done once more, the pools' slots are in the journal until all is well.
        """
        parts, services = self._parts, self._parts.settings.recreate_services
        if parts.journal.drained() == {} or self._another_airflow_is_put_in():
            return
        try:
            if parts.services.installed() is None:
                parts.services.put_back(services)
                parts.services.wait_healthy(services)
            self._drain.reopen()
        except DeployerError as exc:
            log.warning("rollout not ended", reason=str(exc))

    def make_ready(self) -> None:
        """Make ready for the next deployment: packages may have moved under the parser."""
        tip, self.deployed = self.deployed, None
        if tip is None:
            return
        self._compare_packages(tip)
        self._release_due_at = self._parts.clock.monotonic() + QUIET_S
        try:
            self._parts.examiner.warm_up()
        except DeployerError as exc:
            log.warning("parser not warm", reason=str(exc))

    def is_repair_due(self, tip: str) -> bool:
        """Compare packages, and tell whether a deployment of `tip` is due that mends them."""
        self._compare_packages(tip)
        return self.repair_in_s == 0

    def tried_to_repair(self, tip: str) -> None:
        """Take note that there was such a deployment: another one would not help either."""
        self._tried_tip = tip

    @property
    def repair_in_s(self) -> float | None:
        """In how many seconds packages are to be compared once more, None: at the poll."""
        if self._repair_at is None:
            return None
        return min(max(self._repair_at - self._parts.clock.monotonic(), 0.0), BY_HAND_S)

    def _compare_packages(self, tip: str) -> None:
        """Compare the packages that run with those of what is live, and say how they differ."""
        parts, now, self._repair_at = self._parts, self._parts.clock.monotonic(), None
        try:
            drift, hindrance = self._drifted(tip)
        except DeployerError as exc:
            if str(exc) != self._not_compared:
                log.warning("packages not compared", reason=str(exc))
            self._not_compared = str(exc)
            return
        self._not_compared = ""
        if drift != self._drift:
            self._drift, self._drifted_at, self._tried_tip = drift, now, None
        if drift and not hindrance and self._tried_tip == tip:
            hindrance = "a deployment of the live commit did not help"
        if drift and not hindrance:
            patience_s = ONE_BY_ONE_S if drift == packages.UNLIKE else BY_HAND_S
            self._repair_at = self._drifted_at + patience_s
        words = f"{drift}; they can't be put back: {hindrance}" if hindrance else drift
        if words != parts.journal.pulse().drift:
            parts.journal.beat(at=parts.clock.now(), drift=words)
            if drift:
                log.warning("packages differ", reason=words)
            else:
                log.info("packages differ no longer, as far as is known")

    def _drifted(self, tip: str) -> tuple[str, str]:
        """Return how the packages differ, and why `tip` would not mend it; both may be empty."""
        parts, live = self._parts, self._parts.journal.live()
        expected, installed = parts.journal.packages(), parts.services.installed()
        drift = packages.drift(expected, installed)
        is_live = live is not None and live.sha == tip
        if is_live and expected is not None and installed is None and self._all_run():
            drift = packages.UNLIKE
        if not drift:
            return "", ""
        if not is_live:
            return drift, "the tip of the branch is not live"
        tree = parts.repository.tree(tip)
        refused = parts.journal.refusals()
        decided = packages.decide(installed, tree, refused, expected=expected)
        if decided.move:
            return drift, ""
        # Somebody installed by hand what had been refused.
        if installed is not None and decided.refused is None:
            parts.journal.set_packages(installed)
            return "", ""
        before = packages.parsed(expected)
        hindrance = before and refused.get(before.fingerprint)
        return drift, hindrance.reason if hindrance else decided.refused or ""

    def _all_run(self) -> bool:
        return all(
            self._parts.services.vitals(service).life
            for service in self._parts.settings.recreate_services
        )

    def clean_up(self) -> None:
        """Remove what is old, a part at a time, once it has been quiet for a while."""
        if self.untidy:
            try:
                self._tidy()
            except DeployerError as exc:
                log.warning("not tidied", reason=str(exc))
        self._prune_journal()
        self._clean_up_releases()

    def _tidy(self) -> None:
        if not self._another_airflow_is_put_in():
            self._parts.services.tidy()
            self.untidy = False

    def _another_airflow_is_put_in(self) -> bool:
        """Tell whether what is built, and services that are stopped, are another process's."""
        freeze = self._parts.journal.frozen(self._parts.clock.now())
        return freeze is not None and freeze.by == BY

    def _prune_journal(self) -> None:
        now = self._parts.clock.monotonic()
        if now < self._prune_due_at:
            return
        try:
            keep = timedelta(days=self._parts.settings.keep_days)
            removed = self._parts.journal.prune(self._parts.clock.now() - keep)
        except DeployerError as exc:
            log.warning("journal not pruned", reason=str(exc))
            removed = 0
        if removed:
            log.info("old deployments removed", count=removed)
        else:
            self._prune_due_at = now + PRUNE_EVERY_S

    def _clean_up_releases(self) -> None:
        """Remove old releases; Airflow is asked for each."""
        now = self._parts.clock.monotonic()
        if now < self._release_due_at:
            return
        self._release_due_at = float("inf")
        try:
            removed, left = self._remove_old_releases()
        except DeployerError as exc:
            log.warning("clean-up failed", reason=str(exc))
            removed, left = (), True
        if left:  # at the next poll once more
            self._release_due_at = now
        if removed:
            log.info("releases removed", count=len(removed))

    def _remove_old_releases(self) -> tuple[tuple[str, ...], bool]:
        """Remove what nobody uses of the releases beyond KEEP_RELEASES; say if some are left.

        Of those that an untouched DAG still holds there may be many: some are asked about
        at a time, and all before any of them once more.
        """
        releases, keep = self._parts.releases, self._parts.settings.keep_releases
        old = releases.beyond(keep)
        some = [name for name in old if name not in self._asked_about][:ASKED_ABOUT]
        in_use = self._parts.airflow.versions_in_use(some)
        self._asked_about.update(some)
        left = not self._asked_about.issuperset(old)
        if not left:
            self._asked_about.clear()
        return releases.prune(keep, frozenset(old) - (frozenset(some) - in_use)), left


@dataclass(eq=False)
class Invariants:
    """What must hold at any moment is looked at, and mended: at the worker's start, and each hour.

    Called between two deployments; what it mends the pass that follows brings to an end.
    """

    parts: Parts
    intake: Intake
    _due_at: float = float("-inf")  # monotonic

    def look(self) -> None:
        """Look if it is time; a commit that was forgotten is queued like one that was pushed."""
        parts, now = self.parts, self.parts.clock.monotonic()
        if now < self._due_at:
            return
        self._due_at = now + LOOK_EVERY_S
        try:
            with self.intake.lock:
                audit = parts.journal.audit(parts.clock.now())
                for sha in audit.stranded:
                    # Dying before all are queued: the others are found once more.
                    self.intake.queue(sha, None, Trigger.POLL)
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
        known, release = self.parts.journal.live(), self.parts.releases.live()
        if not known or not release or release.sha == known.sha:  # none: the reconciler's look
            return []
        return [f"{known.sha[:7]} is said to be live, and `current` leads to {release.name}"]
