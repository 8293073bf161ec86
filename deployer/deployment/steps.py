"""Write into the journal how each step of a deployment went, and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from deployer.core.model import Running, StepName, StepRecord
from deployer.deployment.parts import Parts
from deployer.errors import DeployerError

log = structlog.get_logger()

LONG: Mapping[StepName, str] = {
    StepName.RESOLVE: "packages change: checking that they install",
    StepName.BUILD: "packages change: building them",
    StepName.DRAIN: "packages change: waiting for running tasks",
    StepName.RECREATE: "packages change: restarting Airflow",
    StepName.HEALTH: "packages change: waiting for Airflow to be healthy",
}
"""Steps that may take a minute, in which nobody else is served: those who wait are told, of each
what stands before its colon."""

SHOWN = frozenset({StepName.PREFLIGHT, StepName.PARSE})
"""Others that can be seen while they run; the rest are over before anybody looks."""


@dataclass(slots=True)
class Note:
    """What a step leaves in the journal.

    Attributes:
        tell: given what it waits for, in a few words, whenever that changes.
        text: its detail.
        skipped: there was nothing that it could do.
    """

    tell: Callable[[str], None]
    text: str = ""
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of one deployment; `tell` is given what a long one waits for."""

    parts: Parts
    deployment: int
    tell: Callable[[str], None]

    @contextmanager
    def __call__(self, name: StepName, words: str = "") -> Iterator[Note]:
        """Hand out the note of a step and write it down, whatever becomes of the step.

        `words`: as those in `LONG`, for a step that is long in some deployments.
        """
        journal, clock = self.parts.journal, self.parts.clock
        started_at, started = clock.now(), clock.monotonic()

        def tell(words: str) -> None:
            journal.doing(self.deployment, Running(name, started_at, words))
            self.tell(words)

        note, state = Note(tell), "failed"
        if long := words or LONG.get(name):
            log.info("begins", doing=str(name))
            tell(long)
        elif name in SHOWN:
            journal.doing(self.deployment, Running(name, started_at))
        try:
            yield note
            state = "skipped" if note.skipped else "ok"
        except DeployerError as exc:
            note.text = str(exc)
            raise
        finally:
            record = StepRecord(name, state, started_at, clock.now(), note.text)
            journal.add_step(self.deployment, record)
            write = log.info if state == "ok" else log.warning
            seconds = round(clock.monotonic() - started, 3)
            write("step", step=str(name), state=state, seconds=seconds, detail=note.text)
