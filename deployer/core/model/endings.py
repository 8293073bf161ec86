"""How a deployment ended: what all commits are told of that it answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deployer.core.model.verdicts import Verdict


class State(StrEnum):
    """Where a deployment stands; the last five are its end."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    BROKEN = "broken"
    FAILED = "failed"
    ERROR = "error"
    SUPERSEDED = "superseded"

    @property
    def ended(self) -> bool:
        return self not in {State.QUEUED, State.RUNNING}


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A file to be held.

    Attributes:
        path: the file.
        dag_id: what it claims.
        other: the file that has it, or claims it as well.
        both: nobody had it, and `other` is held too.
        imported: `path` imports `other`, and its DAG comes along.
    """

    path: str
    dag_id: str
    other: str
    both: bool = False
    imported: bool = False

    @property
    def reason(self) -> str:
        """Why the file is held, for its own folder."""
        if self.imported:
            return (
                f"importing {self.other} brings its DAG {self.dag_id!r} along: move what is "
                "needed of it into a module without a DAG"
            )
        if self.both:
            return f"dag_id {self.dag_id!r} is claimed by {self.other} too: choose another"
        return f"dag_id {self.dag_id!r} is already that of {self.other}: choose another"

    @property
    def note(self) -> str:
        """What the other's owner is told."""
        if self.imported:
            return f"{self.path} imports {self.other} and brings its DAG {self.dag_id!r} along"
        whose = f"and so does {self.other}" if self.both else f"of {self.other}"
        return f"{self.path} claims dag_id {self.dag_id!r} {whose}"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a deployment ended, or how far it came.

    Attributes:
        tip: the commit that was deployed.
        state: never queued, running or superseded.
        seconds: from the announcement to the end.
        waited_s: those of them before it was begun.
        verdicts: of all files of the deployment.
        refused: why `requirements.txt` was not installed, None if it was or did not move.
        reason: why it failed, for `failed` and `error`.
        duplicates: files held because another has their `dag_id`.
        broke: files that are bad now and were good before, though their own text did not move.
    """

    tip: str
    state: State
    seconds: float = 0.0
    verdicts: tuple[Verdict, ...] = ()
    refused: str | None = None
    reason: str = ""
    duplicates: tuple[Duplicate, ...] = ()
    broke: tuple[str, ...] = ()
    waited_s: float = 0.0
