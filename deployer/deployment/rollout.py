"""Change Airflow's packages: proven first, then swapped, healthy or taken back.

What the class runs on is not touched before the new packages are proven. Dying anywhere in
here leaves either set running, and `Services.installed` does not know of a set that was not
found healthy, so the next deployment does it all again.

Airflow's tasks come to their end before its scheduler is stopped: pools are emptied, so that
nothing new starts, and get their slots back afterwards. The slots are in the journal before a
pool is touched: a crash cannot lose them, and whoever comes next gives them back
(docs/decisions/006).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import structlog

from deployer.core.model import SCHEDULER, Examined, Refusal, StepName, TaskInstance, Tree
from deployer.core.planning import packages
from deployer.core.requirements import meaning
from deployer.deployment.parts import Parts
from deployer.deployment.steps import Steps
from deployer.errors import (
    AirflowError,
    AirflowUnreachable,
    NotHealthy,
    OperatorError,
    PreflightError,
    RequirementsRefused,
    ServicesError,
)
from deployer.ports import Airflow, Clock, Journal

log = structlog.get_logger()

Answer = TypeVar("Answer")

LOOK_EVERY_S = 1.0
TELL_EVERY_S = 15.0
"""Between two words about who is waited for: each is a status on GitHub."""
PATIENCE_S = 10.0
"""For an api-server that is just starting, or has no answer for a moment; one that is down can't be
drained."""


@dataclass(frozen=True, slots=True)
class Drain:
    """The pools of one Airflow; `timeout_s` bounds the wait for its tasks."""

    airflow: Airflow
    journal: Journal
    clock: Clock
    timeout_s: float

    def begin(self) -> None:
        """Say that services are about to move: who dies, or fails, in that has it ended."""
        self.journal.set_drained(self.journal.drained() or None)

    def close(self) -> None:
        """Take all slots from all pools.

        Raises:
            AirflowUnreachable: it does not answer; a later call goes on where this one stopped.
            AirflowError
        """
        self.begin()
        slots = {name: size for name, size in self._patiently(self.airflow.pools).items() if size}
        # A pool that was emptied by a drain that died is known from then, and from nowhere else.
        self.journal.set_drained({**(self.journal.drained() or {}), **slots} or None)
        for name in slots:
            # Dying here leaves some pools empty, all of them in the journal.
            self._patiently(partial(self.airflow.resize_pool, name, 0))

    def wait(
        self, tell: Callable[[str], None], lives: Callable[[], bool] = lambda: True
    ) -> tuple[TaskInstance, ...]:
        """Wait until the executor has no task; return those it has when the time is over.

        `tell` is given a few words on who is waited for, now and then. `lives`: what would note
        that they end does; else they are returned at once.

        Raises:
            AirflowError
        """
        began = self.clock.monotonic()
        told, told_at = "", float("-inf")
        while busy := self._patiently(self.airflow.busy):
            now = self.clock.monotonic()
            if now - began >= self.timeout_s or not lives():
                return busy
            words = f"waiting for {in_words(busy)}"
            if words != told and now - told_at >= TELL_EVERY_S:
                tell(words)
                told, told_at = words, now
            self.clock.sleep(LOOK_EVERY_S)
        return ()

    def reopen(self, *, over: bool = True) -> None:
        """Give each pool its slots back, unless somebody did so meanwhile.

        `over`: that is the rollout's end; else it stays to be ended.

        Raises:
            AirflowError: the slots stay in the journal.
        """
        kept = self.journal.drained()
        if kept:
            now = self._patiently(self.airflow.pools)
            for name, size in kept.items():
                if now.get(name) == 0:
                    self._patiently(partial(self.airflow.resize_pool, name, size))
            log.info("pools have their slots back", pools=dict(kept))
        if kept != {}:
            self.journal.set_drained({} if over else None)

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        until = self.clock.monotonic() + PATIENCE_S
        while True:
            try:
                return ask()
            except AirflowUnreachable:
                if self.clock.monotonic() >= until:
                    raise
            self.clock.sleep(LOOK_EVERY_S)


def drain_of(parts: Parts) -> Drain:
    return Drain(parts.airflow, parts.journal, parts.clock, parts.settings.drain_timeout_s)


@dataclass(eq=False)
class Rollout:
    """The packages' part of one deployment.

    Attributes:
        installed, expected: what runs, and what is to run, as `planning.plan` has them.
        refused: why the packages are not those of the tip.
    """

    parts: Parts
    step: Steps
    installed: str | None
    expected: str | None
    refused: str | None

    def __post_init__(self) -> None:
        self._drain, self._services = drain_of(self.parts), self.parts.settings.recreate_services

    def install(self, text: str, tip: Tree, examined: Collection[Examined]) -> None:
        """Run on what `text` asks for, if it installs and works; else on what is to run.

        `examined`: what the DAG files of `tip` gave with today's packages.

        Raises:
            ServicesError, AirflowError, DiskError, PreflightError
            GitError: the tip's files can't be read.
        """
        refused, good = self.refused, [e.path for e in examined if not (e.error or e.harm)]
        self._install(text, tip, good)
        if self.refused == refused:
            return
        # Others than those of before may run: somebody changed them, or a deployment died.
        refusals = self.parts.journal.refusals()
        back = packages.decide(self.installed, tip, refusals, expected=self.expected).text
        if back is not None:
            self._install(back, tip, good)

    def stay(self) -> None:
        """Keep the packages, and end the rollout of a deployment that died in it.

        Where it is not known which packages run, services go back to those found healthy last.

        Raises:
            ServicesError, AirflowError
        """
        if self.refused and self.installed is None:
            self._drain.begin()
            self._put_back()
        self._drain.reopen()

    def runs_on(self, asked: str) -> str | None:
        """Return the packages that belong to what goes live, None: that is not known.

        Raises:
            ServicesError
        """
        if self.refused is None:
            return asked
        # Refused and `expected` all the same: they are the live commit's own, and are gone.
        known = packages.parsed(self.expected)
        if known is not None and known == packages.parsed(asked):
            return self.expected
        return self.parts.services.installed()

    def _install(self, text: str, tip: Tree, good: Sequence[str]) -> None:
        """Build, drain and recreate, or remember that `text` is refused; healthy, or back."""
        services = self.parts.services
        try:
            with self.step(StepName.RESOLVE) as note:
                services.tidy()
                note.text = services.resolve(text)
            with self.step(StepName.BUILD) as note:
                # Dying here leaves a build that nobody runs; the next one replaces it.
                note.text = services.build(text)
                self._parse_with_it(tip, good)
        except RequirementsRefused as exc:  # nothing that runs was touched
            self._refuse(text, exc)
            self.stay()
            return
        try:
            self._empty_pools()
            self._move()
        except RequirementsRefused as exc:
            self._refuse(text, exc)
        except OperatorError:  # it is not known how Airflow stands, and tried again in minutes
            with suppress(AirflowError):
                self._drain.reopen(over=False)
            raise
        else:
            self.parts.journal.lift(meaning.parse(text).fingerprint)
        # After the refusal is written: if this fails, the bad packages are not tried again.
        self._drain.reopen()

    def _refuse(self, text: str, why: RequirementsRefused) -> None:
        # Where the tip's own text is refused already, that is what its author is told.
        self.refused = self.refused or str(why)
        refusal, now = Refusal(str(why), why.path), self.parts.clock.now()
        self.parts.journal.refuse(meaning.parse(text).fingerprint, refusal, at=now)

    def _parse_with_it(self, tip: Tree, good: Sequence[str]) -> None:
        """See that it spoils no DAG file which parses with today's packages.

        Raises:
            RequirementsRefused
            PreflightError: with today's packages the parser does not work either.
        """
        for result in self._examined_with_it(tip, good):
            reason = result.harm and f"with it {result.path} {result.harm}"
            if error := result.error:
                reason = f"with it {result.path} no longer parses: {error.type}: {error.message}"
            if reason:
                raise RequirementsRefused(reason, path=result.path)

    def _examined_with_it(self, tip: Tree, paths: Sequence[str]) -> tuple[Examined, ...]:
        try:
            return self.parts.examiner.examine(tip, paths, on_built=True)
        except PreflightError:  # by chance, perhaps (docs/decisions/017)
            self.parts.examiner.warm_up()
        try:
            return self.parts.examiner.examine(tip, paths, on_built=True)
        except PreflightError as exc:
            raise RequirementsRefused(f"with it {exc}") from exc

    def _empty_pools(self) -> None:
        """Let nothing new start, and wait for what runs."""

        def lives() -> bool:
            # What its executor runs ends with it, and nobody else would take note of an end.
            if SCHEDULER not in self._services:
                return True
            try:
                return self.parts.services.vitals(SCHEDULER).life is not None
            except ServicesError:  # for a moment, perhaps
                return True

        with self.step(StepName.DRAIN) as note:
            try:
                self._drain.close()
                left = self._drain.wait(lambda words: note.tell(_of_packages(words)), lives)
            except AirflowUnreachable as exc:
                # Perhaps these packages mend it; the scheduler's own grace must do.
                note.text, note.skipped = str(exc), True
                return
            note.text = "no task runs"
            if left:
                why = "still running" if lives() else "not waited for, no scheduler runs"
                note.text = f"{why}: {in_words(left)}"

    def _move(self) -> None:
        """Recreate the services on what was built, or on what they ran before.

        Raises:
            RequirementsRefused: Airflow did not start, twice, and both times did on the packages
                before, on which it runs.
            ServicesError: it may not run at all.
        """
        why = self._try(keep=True)
        if why:  # by chance, perhaps: its database was away (docs/decisions/017)
            why = self._try()
        if why:
            raise RequirementsRefused(f"Airflow does not start with it: {why}") from why

    def _try(self, *, keep: bool = False) -> NotHealthy | None:
        """Recreate the services on what was built; else put them back, and return why.

        `keep`: what was built can be tried again then.

        Raises:
            ServicesError: they may not run at all.
        """
        try:
            with self.step(StepName.RECREATE) as note:
                # Dying here leaves services on either set of packages.
                note.text = self.parts.services.recreate(self._services)
            with self.step(StepName.HEALTH) as note:
                note.text = self.parts.services.wait_healthy(self._services)
        except NotHealthy as exc:
            self._put_back(keep=keep)
            return exc
        except ServicesError:
            self._put_back()
            raise
        return None

    def _put_back(self, *, keep: bool = False) -> None:
        with self.step(StepName.ROLLBACK, "packages change: taking them back") as note:
            note.text = self.parts.services.put_back(self._services, keep=keep)
        with self.step(StepName.HEALTH) as note:
            note.text = self.parts.services.wait_healthy(self._services)


def _of_packages(words: str) -> str:
    return f"packages change: {words}"


def in_words(busy: Sequence[TaskInstance]) -> str:
    """Return who is busy, the first by name: `lasse_taxi_pipeline.ingest and 2 more`."""
    first, *others = sorted({f"{task.dag_id}.{task.task_id}" for task in busy})
    return f"{first} and {len(others)} more" if others else first
