"""Change Airflow's packages: proven first, then swapped, healthy or taken back.

What the class runs on is not touched before the new packages are proven. Dying anywhere in
here leaves either set running, and `Packages.installed` does not know of a set that was not
found healthy, so the next deployment does it all again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from deployer.core.model import Examined, StepName, Tree
from deployer.deployment.drain import Drain, in_words
from deployer.deployment.steps import Steps
from deployer.errors import (
    AirflowError,
    AirflowUnreachable,
    NotHealthy,
    OperatorError,
    RequirementsRefused,
    ServicesError,
)
from deployer.ports import Examiner, Packages, Recreation


class Rollout:
    """The packages' part of one deployment."""

    def __init__(
        self,
        packages: Packages,
        services: Recreation,
        examiner: Examiner,
        drain: Drain,
        step: Steps,
    ) -> None:
        self._packages = packages
        self._services = services
        self._examiner = examiner
        self._drain = drain
        self._step = step

    def prove(self, text: str, tip: Tree, examined: Collection[Examined]) -> None:
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

    def swap(self, services: Sequence[str]) -> None:
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
