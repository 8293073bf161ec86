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

from deployer.core.model import SCHEDULER, Busy, Examined, Refusal, StepName, Tree
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
    ) -> tuple[Busy, ...]:
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


class Rollout:
    """The packages' part of one deployment; `refused`: why they are not those of the tip."""

    def __init__(self, parts: Parts, drain: Drain, step: Steps) -> None:
        self._services = parts.services
        self._examiner = parts.examiner
        self._journal = parts.journal
        self._clock = parts.clock
        self._drain = drain
        self._step = step
        self._built: str | None = None
        self.refused: str | None = None

    def prove(self, text: str, tip: Tree, examined: Collection[Examined]) -> None:
        """Build what `text` asks for, if it installs and works; else remember that it is refused.

        `examined`: what the DAG files of `tip` gave with today's packages.

        Raises:
            ServicesError, DiskError, PreflightError
            GitError: the tip's files can't be read.
        """
        self._built = None
        try:
            with self._step(StepName.RESOLVE) as note:
                self._services.tidy()
                note.text = self._services.resolve(text)
            with self._step(StepName.BUILD) as note:
                # Dying here leaves a build that nobody runs; the next one replaces it.
                note.text = self._services.build(text)
                self._parse_with_it(tip, [e.path for e in examined if not (e.error or e.harm)])
        except RequirementsRefused as exc:  # nothing that runs was touched
            self._refuse(text, exc)
        else:
            self._built = text

    def recreate(self, services: Sequence[str], *, known: bool) -> None:
        """Move `services` to what was built, if anything was; healthy, or back.

        `known`: which packages run; see `stay`.

        Raises:
            ServicesError, AirflowError
        """
        if self._built is None:
            self.stay(services, known=known)
            return
        try:
            self._empty_pools(services)
            self._move(services)
        except RequirementsRefused as exc:
            self._refuse(self._built, exc)
        except OperatorError:  # it is not known how Airflow stands, and tried again in minutes
            with suppress(AirflowError):
                self._drain.reopen(over=False)
            raise
        else:
            self._journal.lift(meaning.parse(self._built).fingerprint)
        # After the refusal is written: if this fails, the bad packages are not tried again.
        self._drain.reopen()

    def stay(self, services: Sequence[str], *, known: bool) -> None:
        """Leave the packages as they are, but not what a deployment left that died among them.

        Unless it is `known` which run, the services go back to what was found healthy last.

        Raises:
            ServicesError, AirflowError
        """
        if self.refused and not known:
            self._drain.begin()
            self._put_back(services)
        self._drain.reopen()

    def runs_on(self, asked: str, kept: str | None) -> str | None:
        """Return the packages that belong to what goes live, None: that is not known.

        Raises:
            ServicesError
        """
        if self.refused is None:
            return asked
        # Refused and `kept` all the same: they are the live commit's own, and are gone.
        known = packages.parsed(kept)
        if known is not None and known == packages.parsed(asked):
            return kept
        return self._services.installed()

    def _refuse(self, text: str, why: RequirementsRefused) -> None:
        # Where the tip's own text is refused already, that is what its author is told.
        self.refused = self.refused or str(why)
        refusal = Refusal(str(why), why.path)
        self._journal.refuse(meaning.parse(text).fingerprint, refusal, at=self._clock.now())

    def _parse_with_it(self, tip: Tree, good: Sequence[str]) -> None:
        """See that it spoils no DAG file which parses with today's packages.

        Raises:
            RequirementsRefused
            PreflightError: with today's packages the parser does not work either.
        """
        for result in self._examined_with_it(tip, good):
            if result.error:
                why = f"{result.error.type}: {result.error.message}"
                reason = f"with it {result.path} no longer parses: {why}"
                raise RequirementsRefused(reason, path=result.path)
            if result.harm:
                reason = f"with it {result.path} {result.harm}"
                raise RequirementsRefused(reason, path=result.path)

    def _examined_with_it(self, tip: Tree, paths: Sequence[str]) -> tuple[Examined, ...]:
        try:
            return self._examiner.examine(tip, paths, on_built=True)
        except PreflightError:  # by chance, perhaps (docs/decisions/017)
            self._examiner.warm_up()
        try:
            return self._examiner.examine(tip, paths, on_built=True)
        except PreflightError as exc:
            raise RequirementsRefused(f"with it {exc}") from exc

    def _empty_pools(self, services: Sequence[str]) -> None:
        """Let nothing new start, and wait for what runs."""

        def lives() -> bool:
            # What its executor runs ends with it, and nobody else would take note of an end.
            if SCHEDULER not in services:
                return True
            try:
                return self._services.vitals(SCHEDULER).life is not None
            except ServicesError:  # for a moment, perhaps
                return True

        with self._step(StepName.DRAIN) as note:
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

    def _move(self, services: Sequence[str]) -> None:
        """Recreate `services` on what was built, or on what they ran before.

        Raises:
            RequirementsRefused: Airflow did not start, twice, and both times did on the packages
                before, on which it runs.
            ServicesError: it may not run at all.
        """
        why = self._try(services, keep=True)
        if why:  # by chance, perhaps: its database was away (docs/decisions/017)
            why = self._try(services)
        if why:
            raise RequirementsRefused(f"Airflow does not start with it: {why}") from why

    def _try(self, services: Sequence[str], *, keep: bool = False) -> NotHealthy | None:
        """Recreate `services` on what was built; else put them back, and return why.

        `keep`: what was built can be tried again then.

        Raises:
            ServicesError: they may not run at all.
        """
        try:
            with self._step(StepName.RECREATE) as note:
                # Dying here leaves services on either set of packages.
                note.text = self._services.recreate(services)
            with self._step(StepName.HEALTH) as note:
                note.text = self._services.wait_healthy(services)
        except NotHealthy as exc:
            self._put_back(services, keep=keep)
            return exc
        except ServicesError:
            self._put_back(services)
            raise
        return None

    def _put_back(self, services: Sequence[str], *, keep: bool = False) -> None:
        with self._step(StepName.ROLLBACK, "packages change: taking them back") as note:
            note.text = self._services.put_back(services, keep=keep)
        with self._step(StepName.HEALTH) as note:
            note.text = self._services.wait_healthy(services)


def _of_packages(words: str) -> str:
    return f"packages change: {words}"


def in_words(busy: Sequence[Busy]) -> str:
    """Return who is busy, the first by name: `lasse_taxi_pipeline.ingest and 2 more`."""
    first, *others = sorted({f"{task.dag_id}.{task.task_id}" for task in busy})
    return f"{first} and {len(others)} more" if others else first
