"""How one file ended."""

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
