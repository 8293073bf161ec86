"""What is said between the isolated parser and its client: JSON lines, and what they mean.

The protocol is described in `include/airflow/preflight.py`, which runs at the other end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


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


def request(
    number: int,
    root: Path,
    paths: Sequence[str],
    limits: Limits,
    *,
    parallel: int,
    more_processes: int | None,
) -> bytes:
    value = {
        "id": number,
        "root": str(root),
        "paths": list(paths),
        "parallel": parallel,
        "limits": {
            "wall_s": limits.wall_s,
            "memory_bytes": limits.memory_mb << 20,
            "more_processes": more_processes,
        },
    }
    return json.dumps(value).encode() + b"\n"


def cancellation(number: int) -> bytes:
    return json.dumps({"cancel": number}).encode() + b"\n"


def parsed(line: bytes) -> dict[str, Any]:
    """Return the value of one line.

    Raises:
        ParserGone: it is none of the protocol's.
    """
    try:
        value = json.loads(line)
    except ValueError as exc:
        raise ParserGone("it does not speak JSON") from exc
    if not isinstance(value, dict):
        raise ParserGone("it does not keep to the protocol")
    return value


def read(line: bytes) -> tuple[int, Said]:
    """Return what is said, and of which request.

    Raises:
        ParserGone: it is none of the protocol's.
    """
    value = parsed(line)
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
