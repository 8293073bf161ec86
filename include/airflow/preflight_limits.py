"""Say what Airflow's metadata database would choke on: values in, one sentence out.

A value that PostgreSQL refuses is met when the dag-processor stores what a file holds: the
error is swallowed, the session's commit raises, and the dag-processor ends for everybody
(airflow 3.3.2, dag_processing/manager.py:1297, utils/session.py:43); again after each restart,
as long as the file is there. A few refusals only keep the file's DAGs from ever being stored.

Nothing of Airflow is imported, and no limit stands here that its columns tell themselves.
`preflight_rows` says what would be stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from json import dumps
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, SmallInteger, String
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.types import JSON, TypeDecorator

CALLED: Mapping[str, str] = {
    "dag.dag_display_name": "a dag_display_name",
    "dag.owners": "owners",
    "dag.timetable_description": "a schedule with a description",
    "dag.timetable_summary": "a schedule",
    "dag_code.fileloc": "a path",
    "dag_code.source_code": "a text",
    "dag_owner_attributes.link": "a link in owner_links",
    "dag_owner_attributes.owner": "an owner in owner_links",
    "dag_schedule_asset_name_reference.name": "a name in Asset.ref",
    "dag_schedule_asset_uri_reference.uri": "a uri in Asset.ref",
    "dag_tag.name": "a tag",
    "asset.extra": "an extra",
    "asset.name": "an asset's name",
    "asset.uri": "an asset's uri",
    "asset_alias.name": "an asset alias's name",
    "asset_watcher.name": "a watcher's name",
    "callback.data": "a deadline with arguments of its callback",
    "deadline_alert.callback_def": "a deadline with arguments of its callback",
    "deadline_alert.name": "a deadline's name",
    "dag_run.run_id": "a schedule with a run_id",
    "import_error.stacktrace": "an error message",
    "task_instance.max_tries": "retries",
    "task_instance.operator": "an operator's name",
    "task_instance.custom_operator_name": "an operator's name",
    "task_instance.pool_slots": "pool_slots",
    "trigger.classpath": "a trigger's class",
}
"""What students call what is stored in a column; all others by the column's name."""

_DIALECT = PGDialect(json_serializer=dumps)  # itself, no driver is needed; nor a file's own `dumps`
_BITS = ((SmallInteger, 16), (BigInteger, 64), (Integer, 32))
"""postgresql.org/docs/16/datatype-numeric.html; the last is a base of the others."""
_MAX_INDEXED_BYTES = 2680
"""A third of a page of 8 KiB (postgresql.org/docs/16/btree.html: 2704) less two values' headers."""
_MAX_SHOWN = 40
MOST_TASKS = 10_000
"""Of one run, which are made all at once: of a million nobody's DAG runs, and no page of Airflow's
comes up, for minutes (10,000 made a neighbour's run wait for 40 s). The scheduler's bound as well
(`class_expansion`)."""


@dataclass(frozen=True, slots=True)
class Row:
    """What would be stored in one row.

    Attributes:
        values: by column.
        where: `in DAG 'a'`, so that its author finds it; may be empty.
    """

    values: tuple[tuple[Column[Any], object], ...]
    where: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a value is not taken: `has a description {problem} …; Airflow's database {mend}`.

    Attributes:
        place: within the value, in words: `task 't'`; may be empty.
        called: what the value is called there, if it is a part of a larger one.
    """

    problem: str
    mend: str
    place: str = ""
    called: str = ""


def harm(rows: Iterable[Row]) -> str | None:
    """Return what a file has that the database refuses, without its subject; None: nothing."""
    for row in rows:
        for column, value in row.values:
            if found := refusal(column, value):
                called = found.called or _called(column)
                return _sentence(called, found, row.where)
        if broken := _index_refusal(row):
            return broken
    return None


def _sentence(called: str, found: Refusal, where: str) -> str:
    if found.place:
        where = f"{found.place} {where.replace('in', 'of', 1)}".strip()
    words = ["has", called, found.problem, where]
    return f"{' '.join(word for word in words if word)}; Airflow's database {found.mend}"


def _called(column: Column[Any]) -> str:
    return CALLED.get(f"{column.table.name}.{column.name}", f"a {column.name}")


def shown(text: object, most: int = _MAX_SHOWN) -> str:
    """Return a text as one can show it, cut to a length for a sentence."""
    quoted = repr(text)
    return quoted if len(quoted) <= most else f"{quoted[:most]}…{quoted[0]}"


# --- one value -------------------------------------------------------------


def refusal(column: Column[Any], value: object) -> Refusal | None:
    """Return why PostgreSQL, or SQLAlchemy on its behalf, would not take a value; None: it does."""
    if value is None:
        return None
    kind = column.type.dialect_impl(_DIALECT)
    processor = kind.bind_processor(_DIALECT)
    try:
        sent = processor(value) if processor else value
    except Exception as exc:  # noqa: BLE001  # each type has its own
        return Refusal(f"of {shown(value)}", f"does not take that ({type(exc).__name__}): mend it")
    if isinstance(kind, TypeDecorator):  # Airflow's own: as what it is stored
        kind = kind.impl_instance
    if isinstance(kind, JSON):
        return _refusal_of_json(value, sent, binary=isinstance(kind, JSONB))
    if isinstance(kind, String):
        return _refusal_of_string(sent, kind.length)
    if isinstance(kind, Integer):
        return _refusal_of_number(sent, kind)
    return None


def _refusal_of_string(text: object, most: int | None) -> Refusal | None:
    if not isinstance(text, str):
        return Refusal(f"of {shown(text)}", "takes text: put it in quotes")
    return _refusal_of_text(text) or _refusal_of_length(text, most)


def _refusal_of_text(text: str) -> Refusal | None:
    if "\0" in text:
        return Refusal("with a NUL character", "takes none: remove it")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            half = ascii(text[exc.start])
            return Refusal(f"with the broken character {half}", "takes none: remove it")
    return None


def _refusal_of_length(text: str, most: int | None) -> Refusal | None:
    if most is None or len(text) <= most:
        return None
    return Refusal(f"of {len(text)} characters", f"takes {most}: shorten it")


def _refusal_of_number(number: object, kind: Integer) -> Refusal | None:
    if not isinstance(number, int):
        return Refusal(f"of {shown(number)}", "takes whole numbers: mend it")
    bits = next(bits for one, bits in _BITS if isinstance(kind, one))
    most = 2 ** (bits - 1) - 1
    if -most - 1 <= number <= most:
        return None
    return Refusal(f"of {number}", f"takes {most} at most: mend it")


# --- JSON ------------------------------------------------------------------

_SUSPICIOUS = (r"\u0000", r"\ud", "NaN", "Infinity")


def _refusal_of_json(value: object, sent: object, *, binary: bool) -> Refusal | None:
    """Judge a value by its leaves and keys, if its text gives a reason to look at them.

    `json` keeps what is escaped as it is, `jsonb` does not
    (postgresql.org/docs/16/datatype-json.html).
    """
    if not any(sign in str(sent) for sign in _SUSPICIOUS):
        return None
    for path, leaf in _leaves(value):
        found = None
        if isinstance(leaf, float) and not math.isfinite(leaf):
            found = Refusal(f"that holds {leaf}", "takes no such number: replace it")
        elif binary and isinstance(leaf, str):
            found = _refusal_of_text(leaf)
        if found:
            return _placed(found, path)
    return None


Path = tuple[object, ...]
"""Keys and containers, from the outermost on."""


def _leaves(value: object, path: Path = ()) -> Iterator[tuple[Path, object]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield (*path, value, key), key
            yield from _leaves(one, (*path, value, key))
    elif isinstance(value, list | tuple | set):
        for one in value:
            yield from _leaves(one, path)
    else:
        yield path, value


def _placed(found: Refusal, path: Path) -> Refusal:
    """Add what Airflow's serialization calls the value, and the task that has it."""
    names = [one for one in path if isinstance(one, str) and not one.startswith("__")]
    tasks = [one["task_id"] for one in path if isinstance(one, Mapping) and "task_id" in one]
    return Refusal(
        found.problem,
        found.mend,
        place=f"in task {shown(tasks[-1])}" if tasks else "",
        called=f"a {shown(names[-1])}" if names else "",
    )


# --- several values --------------------------------------------------------


def _index_refusal(row: Row) -> str | None:
    """Judge what shares an index. PostgreSQL may compress it, so this is the stricter one."""
    sizes = {column: len(text.encode()) for column, text in row.values if isinstance(text, str)}
    tables = {id(column.table): column.table for column in sizes}
    for table in tables.values():
        for index in (table.primary_key, *table.indexes):
            inside = [column for column in index.columns if column in sizes]
            size = sum(sizes[column] for column in inside)
            if size > _MAX_INDEXED_BYTES:
                called = " and ".join(_called(column) for column in inside)
                found = Refusal(
                    f"of {size} bytes in all", f"takes {_MAX_INDEXED_BYTES}: shorten them"
                )
                return _sentence(called, found, row.where)
    return None
