"""What the class's dag-processor tells over the parse feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class ProcessorCame:
    """A dag-processor is connected.

    Attributes:
        life: names this life of it; another one means that it was started anew.
        airflow: Airflow's version.
        unfit: why it will tell nothing, in one sentence; empty: it will.
    """

    life: str
    airflow: str
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class ProcessorLeft:
    """Its connection closed; told again, with `ended`, once its process is known to have ended."""

    life: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A refresh is over: Airflow's DAG files of a release, and all others are gone from it.

    Attributes:
        release: its name; None: there is none yet.
        paths: relative to the repository's root.
    """

    release: str | None
    paths: frozenset[str]


class ParseEnd(StrEnum):
    """How the parse of one file ended."""

    PARSED = "parsed"  # with DAGs, errors or neither, and that is stored
    DIED = "died"  # its process ended without a result
    TIMEOUT = "timeout"  # it was ended, `[dag_processor] dag_file_processor_timeout`
    REFUSED = "refused"  # by the database


@dataclass(frozen=True, slots=True)
class ParseResult:
    """One parse.

    Attributes:
        release: the release that was really read.
        path: relative to the repository's root.
        dag_ids: sorted.
        errors: traces by path; of a zip, by that of the module in it.
        warnings: what Airflow says beside, a sentence each.
        seconds: from the fork to the end.
        code: exit status of a parser that died; negative: by that signal.
        words: why the database refused it, or no parser could be made.
    """

    release: str
    path: str
    end: ParseEnd
    dag_ids: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    code: int = 0
    words: str = ""


Told: TypeAlias = ProcessorCame | ProcessorLeft | Listed | ParseResult
