"""How one file ended, and what proves it; how a deployment ended: what its commits are told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How one file ended."""

    PARSED = "parsed"
    BROKEN = "broken"
    HELD = "held"
    NO_DAG = "no_dag"
    TIMEOUT = "timeout"
    DELETED = "deleted"


class Proof(StrEnum):
    """What makes a verdict final."""

    RELEASE = "release"  # the dag-processor named the release that was read
    LISTING = "listing"  # its listing of the release does not hold the file
    PREFLIGHT = "preflight"  # the isolated parse
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ParseError:
    """Why a file does not parse.

    Attributes:
        type: the exception's class, or ours for what is held.
        message: its words.
        line: in the student's own file, None if unknown.
        trace: the whole traceback, empty if there is none.
    """

    type: str
    message: str
    line: int | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one file ended, and what proves it.

    Attributes:
        path: of the file; one that ends in `/` is a folder, with all that is in it.
        dag_ids: its DAGs.
        error: why it is not good; None if it is, or nobody knows.
        waited_s: from when its release went live to the verdict.
        warnings: what is wrong and no matter of colour, a sentence each.
    """

    path: str
    outcome: Outcome
    dag_ids: tuple[str, ...] = ()
    error: ParseError | None = None
    proof: Proof = Proof.NONE
    waited_s: float = 0.0
    warnings: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.outcome in {Outcome.PARSED, Outcome.NO_DAG, Outcome.DELETED}

    @property
    def gone(self) -> bool:
        """Whether Airflow does not look at it: it is deleted, ignored, or names no DAG any more."""
        return self.outcome is Outcome.DELETED or self.proof is Proof.LISTING


@dataclass(frozen=True, slots=True)
class Examined:
    """What the isolated parse found in one file.

    Attributes:
        dag_ids: its DAGs; none of a file with an error.
        error: an ordinary import error, which goes live; None if it parsed.
        harm: why the file would hurt others and is held, in one sentence; None: harmless.
        advice: what the class has agreed on and the file does not keep, where that is no error;
            and of what Airflow warns.
        brought: DAGs that were made in another file which this one imports: its path, by dag_id.
        assets: name and URI of each that its DAGs use.
    """

    path: str
    dag_ids: tuple[str, ...] = ()
    error: ParseError | None = None
    harm: str | None = None
    advice: tuple[str, ...] = ()
    brought: Mapping[str, str] = field(default_factory=dict)
    assets: tuple[tuple[str, str], ...] = ()


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
        return f"dag_id {self.dag_id!r} is already used by {self.other}: choose another"

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
