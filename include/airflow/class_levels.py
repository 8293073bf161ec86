"""How serious each of the class's rules is, and where its limit lies: `class_rules.toml`.

The only I/O is `read`. Nothing of Airflow or of the deployer is imported.
"""

from __future__ import annotations

import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

FILE = Path(__file__).with_name("class_rules.toml")

DUPLICATE = "duplicate"
"""The one rule that takes more than one DAG to judge."""


class Level(StrEnum):
    """How serious a rule is."""

    ERROR = "error"
    WARN = "warn"
    OFF = "off"


class Levels(BaseModel, frozen=True, extra="forbid"):
    """The level of each rule, in the order in which violations are told."""

    folder: Level = Level.ERROR
    dag_id: Level = Level.ERROR
    tag: Level = Level.ERROR
    duplicate: Level = Level.ERROR
    schedule: Level = Level.ERROR
    runs_at_once: Level = Level.ERROR
    owner: Level = Level.WARN


_Minutes = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
_Runs = Annotated[float, Field(ge=1, strict=True, allow_inf_nan=False)]
"""Fewer than one, or no number at all, would refuse each DAG that there can be."""


class Limits(BaseModel, frozen=True, extra="forbid"):
    """Numbers of the agreement."""

    least_minutes_between_runs: _Minutes = 15
    most_runs_at_once: _Runs = 16
    most_runs_at_once_catching_up: _Runs = 3


class Agreement(BaseModel, frozen=True, extra="forbid"):
    """All that the file states; what it does not name, being older, is as it stands here."""

    levels: Levels = Levels()
    limits: Limits = Limits()


RULES = tuple(Levels.model_fields)
"""The names of all rules."""
ADVICE = Agreement(levels=Levels(**dict.fromkeys(RULES, Level.WARN)))
"""What holds while the file is broken: a slip of the teacher's stops nobody's DAG."""


class BrokenLevels(Exception):
    """The file can't be read as one; the message names it, and each name that is wrong in it."""


def read(file: Path = FILE) -> Agreement:
    """Return the agreement that a levels file states.

    Raises:
        BrokenLevels: it is not there, no TOML, or states a rule or limit wrong, or one that there
            is not; all mistakes of the latter kinds at once.
    """
    try:
        return Agreement.model_validate(tomllib.loads(file.read_text("utf-8-sig")))
    except ValidationError as exc:
        mistakes = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in exc.errors())
        raise BrokenLevels(f"{file}: {'; '.join(mistakes)}") from exc
    except RecursionError as exc:
        raise BrokenLevels(f"{file}: is nested too deeply") from exc
    except (OSError, ValueError) as exc:
        raise BrokenLevels(f"{file}: {exc}") from exc  # TOML's own message has the line
