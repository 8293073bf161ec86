"""How serious each of the class's rules is, and where its limit lies: `class_rules.toml`.

The only I/O is `read`. Nothing of Airflow or of the deployer is imported.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path

FILE = Path(__file__).with_name("class_rules.toml")

DUPLICATE = "duplicate"
"""The one rule that takes more than one DAG to judge."""
RULES = ("folder", "dag_id", "tag", DUPLICATE, "schedule", "runs_at_once", "owner")
"""The names of all rules, in the order in which violations are told."""


_TABLES = ("levels", "limits")


class Level(StrEnum):
    """How serious a rule is."""

    ERROR = "error"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of the agreement."""

    least_minutes_between_runs: float = 15
    most_runs_at_once: float = 16
    most_runs_at_once_catching_up: float = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """The level of every rule, and the limits."""

    levels: Mapping[str, Level]
    limits: Limits = Limits()


DEFAULTS: Mapping[str, Level] = {**dict.fromkeys(RULES, Level.ERROR), "owner": Level.WARN}
"""What holds for a rule that the file does not name: it is older than the rule."""
ADVICE = Agreement(dict.fromkeys(RULES, Level.WARN))
"""What holds while the file is broken: a slip of the teacher's stops nobody's DAG."""


class BrokenLevels(Exception):
    """The file can't be read as one; the message names it and the lines."""


def read(file: Path = FILE) -> Agreement:
    """Return the agreement that a levels file states.

    Raises:
        BrokenLevels: it is not there, no TOML, or states a rule or limit wrong, or one that there
            is not; all mistakes of the latter kinds at once.
    """
    try:
        text = file.read_text(encoding="utf-8")
        stated = tomllib.loads(text)
    except (OSError, ValueError) as exc:
        raise BrokenLevels(f"{file}: {exc}") from exc  # TOML's own message has the line
    limits = tuple(field.name for field in fields(Limits))
    mistakes = [
        *_unknown(text, stated, _TABLES, "table"),
        *_no_tables(text, stated),
        *_wrong(text, _table(stated, "levels"), RULES, _is_level, 'say "error", "warn" or "off"'),
        *_wrong(text, _table(stated, "limits"), limits, _is_limit, "say a number above 0"),
    ]
    if mistakes:
        raise BrokenLevels("; ".join(f"{file}:{line} {what}" for line, what in mistakes))
    levels = {rule: Level(level) for rule, level in _table(stated, "levels").items()}
    return Agreement({**DEFAULTS, **levels}, Limits(**_table(stated, "limits")))


_Mistakes = list[tuple[int, str]]
"""Line number and sentence."""


def _table(stated: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = stated.get(name)
    return table if isinstance(table, dict) else {}


def _is_level(value: object) -> bool:
    return value in list(Level)


def _is_limit(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _no_tables(text: str, stated: Mapping[str, object]) -> _Mistakes:
    return [
        (_line(text, name), f"{name} = {stated[name]!r}: write [{name}], and the names below it")
        for name in _TABLES
        if name in stated and not isinstance(stated[name], dict)
    ]


def _unknown(text: str, stated: Mapping[str, object], known: Iterable[str], kind: str) -> _Mistakes:
    return [
        (_line(text, name), f"there is no {kind} {name!r}: take it out")
        for name in stated.keys() - set(known)
    ]


def _wrong(
    text: str,
    table: Mapping[str, object],
    names: Iterable[str],
    is_right: Callable[[object], bool],
    advice: str,
) -> _Mistakes:
    names = tuple(names)
    wrong = [
        (_line(text, name), f"{name} = {table[name]!r}: {advice}")
        for name in names
        if name in table and not is_right(table[name])
    ]
    return sorted([*_unknown(text, table, names, "rule or limit"), *wrong])


def _line(text: str, name: str) -> int:
    """Return the number of the line that states `name`, the last one if none does."""
    lines = text.splitlines() or [""]
    stating = re.compile(rf"\s*\[?\s*[\"']?{re.escape(name)}[\"']?\s*[]=]")
    return next((n for n, line in enumerate(lines, 1) if name and stating.match(line)), len(lines))
