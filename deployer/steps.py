"""Write into the journal how each step of a deployment went, and how long it took."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from deployer.core.model import StepName, StepRecord
from deployer.errors import DeployerError
from deployer.ports import Clock, Journal

log = structlog.get_logger()

SLOW = frozenset(
    {
        StepName.RESOLVE,
        StepName.BUILD,
        StepName.DRAIN,
        StepName.RECREATE,
        StepName.HEALTH,
        StepName.ROLLBACK,
    }
)
"""Steps that may take a minute: whoever follows the log is told when one begins."""


@dataclass(slots=True)
class Note:
    """What a step leaves in the journal.

    Attributes:
        text: its detail.
        skipped: there was nothing that it could do.
    """

    text: str = ""
    skipped: bool = False


class Steps:
    """The steps of one deployment."""

    def __init__(self, journal: Journal, clock: Clock, deployment: int) -> None:
        self._journal = journal
        self._clock = clock
        self._deployment = deployment

    @contextmanager
    def __call__(self, name: StepName) -> Iterator[Note]:
        """Hand out the note of a step and write it down, whatever becomes of the step."""
        clock, note = self._clock, Note()
        started_at, started = clock.now(), clock.monotonic()
        state = "failed"
        if name in SLOW:
            log.info("begins", doing=str(name))
        try:
            yield note
            state = "skipped" if note.skipped else "ok"
        except DeployerError as exc:
            note.text = str(exc)
            raise
        finally:
            record = StepRecord(name, state, started_at, clock.now(), note.text)
            self._journal.add_step(self._deployment, record)
            write = log.info if state == "ok" else log.warning
            seconds = round(clock.monotonic() - started, 3)
            write("step", step=str(name), state=state, seconds=seconds, detail=note.text)
