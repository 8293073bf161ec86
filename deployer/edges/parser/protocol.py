"""What is said between the isolated parser and its client, and what that says of a file.

The protocol, JSON lines, is described in `include/airflow/preflight.py`, which runs at the other
end. Pure.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from deployer.core.model import DAGS, Examined, ParseError
from deployer.core.verdicts import trace

PARALLEL = 2
"""Files of one request parsed at a time."""


class ParserGone(Exception):
    """The parser died, fell silent or talks nonsense in the middle of a request."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may take.

    Attributes:
        wall_s: as Airflow's `[dag_processor] dag_file_processor_timeout`.
        memory_mb: MiB on top of what a bare Airflow takes.
    """

    wall_s: float = 25.0
    memory_mb: int = 1024


class End(StrEnum):
    """How the parse of one file ended, as the protocol says; the last two are said here."""

    REPORTED = "reported"
    HARMFUL = "harmful"
    RAISED = "raised"
    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    LEFT = "left"
    WARDEN = "warden"
    SETUP = "setup"
    PROCESSES = "processes"
    UNEXAMINED = "unexamined"


@dataclass(frozen=True, slots=True)
class Started:
    """The parse of a file begins."""

    path: str


@dataclass(frozen=True, slots=True)
class Answer:
    """How the parse of one file ended; the fields are those of the protocol."""

    path: str
    end: End
    code: int = 0
    what: str = ""
    dag_ids: tuple[str, ...] = ()
    brought: Mapping[str, str] = field(default_factory=dict)
    assets: tuple[tuple[str, str], ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing of a request runs any more, or will."""


Said = Started | Answer | Done

# -- the lines


def request(
    number: int, root: Path, paths: Sequence[str], limits: Limits, *, more_processes: int | None
) -> bytes:
    value = {
        "id": number,
        "root": str(root),
        "paths": list(paths),
        "parallel": PARALLEL,
        "limits": {
            "wall_s": limits.wall_s,
            "memory_bytes": limits.memory_mb << 20,
            "more_processes": more_processes,
        },
    }
    return json.dumps(value).encode() + b"\n"


def cancellation(number: int) -> bytes:
    return json.dumps({"cancel": number}).encode() + b"\n"


def is_ready(line: bytes) -> bool:
    """Tell whether a line is the protocol's first."""
    try:
        return bool(json.loads(line).get("ready"))
    except (AttributeError, ValueError, RecursionError):
        return False


def read(line: bytes) -> tuple[int, Said]:
    """Return what is said, and of which request.

    Raises:
        ParserGone: it is none of the protocol's.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise ParserGone("it does not speak JSON") from exc
    try:
        number = int(value["id"])
        if value.get("done"):
            return number, Done()
        if "started" in value:
            return number, Started(str(value["started"]))
        return number, _answer(value)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ParserGone("it does not keep to the protocol") from exc


def _answer(value: Mapping[str, Any]) -> Answer:
    return Answer(
        path=str(value["path"]),
        end=End(value["ended"]),
        code=int(value.get("code") or 0),
        what=str(value.get("what") or ""),
        dag_ids=tuple(value.get("dag_ids") or ()),
        brought=dict(value.get("brought") or {}),
        assets=tuple((name, uri) for name, uri in value.get("assets") or ()),
        errors=tuple((value.get("errors") or {}).items()),
        advice=tuple(value.get("advice") or ()),
    )


# -- what is to be said of a file whose parse ended so or so

_TOOK_TOO_MUCH = {"MemoryError": End.MEMORY, "BlockingIOError": End.PROCESSES}
"""What Python raises at a bound of memory, and where no process can be forked any more (EAGAIN)."""


def weighed(answer: Answer, root: Path) -> Answer:
    """Return an answer as it counts: some errors are ordinary in Airflow, and harm all the same.

    What such a file took until then, it took from all.
    """
    error = _first_error(answer, root) if answer.end is End.REPORTED else None
    for kind, end in _TOOK_TOO_MUCH.items():
        if error and error.type.endswith(kind):
            return replace(answer, end=end)
    return answer


def may_be_anothers_fault(answer: Answer) -> bool:
    """Say whether a file that was parsed at the same time could have caused it.

    One may fork up to the bound: then no parser can be made for the next, or that one can
    start no program.
    """
    return answer.end in {End.SETUP, End.PROCESSES}


def examined(answer: Answer, root: Path, limits: Limits) -> Examined:
    """Judge a weighed answer, any but that no parser could be made."""
    if answer.end is not End.REPORTED:
        return Examined(answer.path, harm=harm(answer, limits))
    return Examined(
        answer.path,
        answer.dag_ids,
        _first_error(answer, root),
        advice=answer.advice,
        brought=answer.brought,
        assets=answer.assets,
    )


def harm(answer: Answer, limits: Limits) -> str:
    """Say in one short sentence, without its subject, what the file does."""
    if answer.end is End.SIGNAL:
        name = signal.strsignal(answer.code) or "unknown"
        return f"crashes its parser (signal {answer.code}, {name.lower()})"
    return {
        End.HARMFUL: answer.what,
        End.EXIT: f"ends its parser with os._exit({answer.code})",
        End.RAISED: f"ends its parser with {answer.what}, which Airflow does not catch",
        End.TIMEOUT: f"did not finish parsing within {limits.wall_s:g} s",
        End.MEMORY: f"needs more than {limits.memory_mb} MB of memory to parse",
        End.PROCESSES: "starts more processes than one file may have",
        End.LEFT: "starts a process that outlives its parse",
        End.WARDEN: "takes down the process that watches its parser",
        End.UNEXAMINED: "was not examined: the files of this push take too long to parse",
    }[answer.end]


def _first_error(answer: Answer, root: Path) -> ParseError | None:
    """Return what Airflow would say of this file, with paths as in the repository.

    A zip may have several errors, by the absolute path of the module within.
    """
    own = answer.path.removeprefix(DAGS)
    errors = sorted(answer.errors, key=lambda error: (error[0] != own, error[0]))
    return trace.read(errors[0][1].replace(f"{root}/", ""), answer.path) if errors else None
