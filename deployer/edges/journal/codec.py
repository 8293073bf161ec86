"""The core's values as the JSON that the journal keeps, and made of that or of a row.

Pure: into JSON by `asdict` and `dumps`, out of it by `made`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args, get_type_hints

from deployer.core.model import ParseError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Value = TypeVar("Value", bound=DataclassInstance)

TRACES_KEPT = 1_000_000
"""Characters of all traces of one deployment; each of its broken files gets its share of them."""
LEAST_OF_A_TRACE = 500

# A NUL, which PostgreSQL's text refuses, and halves of surrogate pairs, which are not UTF-8.
# Both reach us from outside: a JSON escape in a payload, an exception's text in a DAG file.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Return `text` with what no database takes as text replaced by U+FFFD."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def dumps(value: object) -> str:
    """Return `value` as JSON, each text in it `clean`, each time as ISO 8601 has it."""
    return json.dumps(_cleaned(value))


def _cleaned(value: object) -> object:
    match value:
        case str():
            return clean(value)
        case datetime():
            return value.isoformat()
        case dict():
            return {name: _cleaned(one) for name, one in value.items()}
        case list() | tuple():
            return [_cleaned(one) for one in value]
        case _:
            return value


def made(kind: type[Value], stored: Mapping[str, Any], **parts: object) -> Value:
    """Return the `kind` that JSON or a row tells of, with `parts` in place of what stands there.

    Each field is what its type says. What is lacking has its default; what this version does not
    know is passed over.
    """
    told = {
        name: _as(wanted, stored[name])
        for name, wanted in _types_of(kind).items()
        if name in stored and name not in parts
    }
    return kind(**told | parts)


_types_of: Final = cache(get_type_hints)


def _as(wanted: object, stored: object) -> object:
    """Return what is stored as a field of that type has it, and what is within it likewise.

    Types are those of fields of the core's values: of unions `X | None` alone, of tuples those of
    one type.
    """
    if isinstance(wanted, UnionType):
        return None if stored is None else _as(get_args(wanted)[0], stored)
    if isinstance(stored, list) and get_args(wanted):
        return tuple(_as(get_args(wanted)[0], one) for one in stored)
    if isinstance(stored, dict) and isinstance(wanted, type) and is_dataclass(wanted):
        return made(wanted, stored)
    if isinstance(stored, str) and isinstance(wanted, type):
        if issubclass(wanted, StrEnum):
            return wanted(stored)
        if issubclass(wanted, datetime):
            return datetime.fromisoformat(stored)
    return stored


def share_of_traces(broken: int) -> int:
    """Return how many characters are kept of each trace of so many broken files."""
    return max(TRACES_KEPT // max(broken, 1), LEAST_OF_A_TRACE)


def error_to_json(error: ParseError, trace_kept: int) -> dict[str, Any]:
    """Return `error` with the end of its trace, which says most."""
    return asdict(replace(error, trace=error.trace[-trace_kept:]))
