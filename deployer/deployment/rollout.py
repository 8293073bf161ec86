"""Change Airflow's packages: proven first, then swapped, healthy or taken back.

What the class runs on is not touched before the new packages are proven. Dying anywhere in
here leaves either set running, and `Packages.installed` does not know of a set that was not
found healthy, so the next deployment does it all again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from deployer.core.model import Examined, Refusal, StepName, Tree
from deployer.core.requirements import meaning
from deployer.deployment.drain import Drain, in_words
from deployer.deployment.parts import Parts
from deployer.deployment.steps import Steps
from deployer.errors import (
    AirflowError,
    AirflowUnreachable,
    NotHealthy,
    OperatorError,
    RequirementsRefused,
    ServicesError,
)
from deployer.ports import Journal, Packages, Recreation


class Rollout:
    """The packages' part of one deployment; `refused`: why they are not those of the tip."""

    def __init__(self, parts: Parts, drain: Drain, step: Steps) -> None:
        self._packages: Packages = parts.services
        self._services: Recreation = parts.services
        self._examiner = parts.examiner
        self._journal = parts.journal
        self._clock = parts.clock
        self._drain = drain
        self._step = step
        self._built: str | None = None
        self.refused: str | None = None

    def prove(self, text: str, tip: Tree, examined: Collection[Examined]) -> None:
        """Build what `text` asks for, if it installs and works; else remember that it is refused.

        Raises:
            ServicesError, DiskError, PreflightError
        """
        try:
            self._prove(text, tip, examined)
            self._built = text
        except RequirementsRefused as exc:
            self._refuse(text, exc)

    def recreate(self, services: Sequence[str]) -> None:
        """Move `services` to what was built, if anything was; healthy, or back.

        Raises:
            ServicesError, AirflowError
        """
        if self._built is None:
            return
        try:
            self._swap(services)
        except RequirementsRefused as exc:
            self._refuse(self._built, exc)
        else:
            self._journal.lift(meaning.parse(self._built).fingerprint)
        # After the refusal is written: if this fails, the bad packages are not tried again.
        self._drain.reopen()

    def leave(self, asked: str, kept: str | None, installed: str | None) -> None:
        """Write down on which packages this deployment leaves the class."""
        runs_on = asked if self.refused is None else installed if kept is None else kept
        if runs_on is not None and runs_on != kept:
            self._journal.set_packages(runs_on)

    def _refuse(self, text: str, why: RequirementsRefused) -> None:
        # Where the tip's own text is refused already, that is what its author is told.
        self.refused = self.refused or str(why)
        refusal = Refusal(str(why), why.path)
        self._journal.refuse(meaning.parse(text).fingerprint, refusal, at=self._clock.now())

    def _prove(self, text: str, tip: Tree, examined: Collection[Examined]) -> None:
        """Build what `text` asks for beside what runs, and see that it works.

        `examined`: what the DAG files of `tip` gave with today's packages.

        Raises:
            RequirementsRefused: it does not; nothing that runs was touched.
            ServicesError, DiskError, PreflightError
        """
        with self._step(StepName.RESOLVE) as note:
            self._packages.tidy()
            note.text = self._packages.resolve(text)
        with self._step(StepName.BUILD) as note:
            # Dying here leaves a build that nobody runs; the next one replaces it.
            note.text = self._packages.build(text)
            self._parse_with_it(tip, [e.path for e in examined if not (e.error or e.harm)])

    def _swap(self, services: Sequence[str]) -> None:
        """Recreate `services` on what was built, or on what they ran before.

        The pools stay empty until the caller reopens them; where nothing is known of Airflow
        they are reopened here, since the next try may be minutes away.

        Raises:
            RequirementsRefused: Airflow did not start; it runs again on the packages before.
            ServicesError: it may not run at all.
            AirflowError
        """
        try:
            self._move(services, idle=self._empty_pools())
        except OperatorError:
            with suppress(AirflowError):
                self._drain.reopen()
            raise

    def _parse_with_it(self, tip: Tree, good: Sequence[str]) -> None:
        """See that it spoils no DAG file which parses with today's packages."""
        for result in self._examiner.examine(tip, good, on_built=True):
            if result.error:
                why = f"{result.error.type}: {result.error.message}"
                reason = f"with it {result.path} no longer parses: {why}"
                raise RequirementsRefused(reason, path=result.path)
            if result.harm:
                reason = f"with it {result.path} {result.harm}"
                raise RequirementsRefused(reason, path=result.path)

    def _empty_pools(self) -> bool:
        """Let nothing new start, and wait for what runs; return whether no task is left."""
        with self._step(StepName.DRAIN) as note:
            try:
                self._drain.close()
                left = self._drain.wait(note.tell)
            except AirflowUnreachable as exc:
                # Perhaps these packages mend it; the scheduler's own grace must do.
                note.text, note.skipped = str(exc), True
                return False
            note.text = f"still running: {in_words(left)}" if left else "no task runs"
            return not left

    def _move(self, services: Sequence[str], *, idle: bool) -> None:
        try:
            with self._step(StepName.RECREATE) as note:
                # Dying here leaves services on either set of packages.
                note.text = self._services.recreate(services, idle=idle)
            with self._step(StepName.HEALTH) as note:
                note.text = self._services.wait_healthy(services)
        except ServicesError as exc:
            with self._step(StepName.ROLLBACK) as note:
                note.text = self._services.put_back(services, idle=idle)
            with self._step(StepName.HEALTH) as note:
                note.text = self._services.wait_healthy(services)
            # Those before are healthy: it was the new ones, unless the engine was away meanwhile.
            if isinstance(exc, NotHealthy):
                raise RequirementsRefused(f"Airflow does not start with it: {exc}") from exc
            raise


def refusals(journal: Journal, tip: Tree, kept: str | None) -> dict[str, Refusal]:
    """Return why the requirements that may have to be installed were refused, by fingerprint."""
    found = {}
    for text in (tip.requirements or "", kept or ""):
        with suppress(RequirementsRefused):  # the plan says so itself
            fingerprint = meaning.parse(text).fingerprint
            if refusal := journal.refusal(fingerprint):
                found[fingerprint] = refusal
    return found
