"""What PostgreSQL refuses: columns and values in, a sentence out."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

FILES = Path(__file__).parents[2] / "include" / "airflow"

with pytest.MonkeyPatch.context() as patched:
    # As the isolated parser has it: from a directory on its path.
    patched.syspath_prepend(str(FILES))
    limits = import_module("preflight_limits")

HALF = "\ud800"
DAG = Table(
    "dag",
    MetaData(),
    Column("id", String(1500), primary_key=True),
    Column("uri", String(1500), index=True),
    Column("owners", String(5)),
    Column("description", Text),
    Column("small", SmallInteger),
    Column("number", Integer),
    Column("big", BigInteger),
    Column("paused", Boolean),
    Column("at", DateTime),
    Column("data", JSON().with_variant(JSONB(), "postgresql")),
    Column("extra", JSON),
)


def harm(values: Mapping[str, object], where: str = "in DAG 'a'") -> str | None:
    """Return what is said of a row with these values."""
    row = limits.Row(tuple((DAG.c[name], value) for name, value in values.items()), where)
    found: str | None = limits.harm([limits.Row(()), row])
    return found


REFUSED = [
    ({"owners": 5}, "owners of 5 in DAG 'a'; … takes text: put it in quotes"),
    ({"number": float("inf")}, "a number of inf in DAG 'a'; … takes whole numbers: mend it"),
    ({"number": "5"}, "a number of '5' in DAG 'a'; … takes whole numbers: mend it"),
    ({"owners": "123456"}, "owners of 6 characters in DAG 'a'; … takes 5: shorten it"),
    (
        {"description": "a\0"},
        "a description with a NUL character in DAG 'a'; … takes none: remove it",
    ),
    ({"owners": "\0" * 9}, "owners with a NUL character in DAG 'a'; … takes none: remove it"),
    (
        {"description": f"æ{HALF}"},
        r"a description with the broken character '\ud800' in DAG 'a'; … takes none: remove it",
    ),
    ({"small": 2**15}, "a small of 32768 in DAG 'a'; … takes 32767 at most: mend it"),
    ({"number": 2**31}, "a number of 2147483648 in DAG 'a'; … takes 2147483647 at most: mend it"),
    (
        {"number": -(2**31) - 1},
        "a number of -2147483649 in DAG 'a'; … takes 2147483647 at most: mend it",
    ),
    (
        {"big": 2**63},
        "a big of 9223372036854775808 in DAG 'a'; … takes 9223372036854775807 at most: mend it",
    ),
    ({"paused": "yes"}, "a paused of 'yes' in DAG 'a'; … does not take that (TypeError): mend it"),
    (
        {"data": {"x": {1}}},
        "a data of {'x': {1}} in DAG 'a'; … does not take that (TypeError): mend it",
    ),
    ({"data": {"doc": "\0"}}, "a 'doc' with a NUL character in DAG 'a'; … takes none: remove it"),
    ({"data": {"\0": 1}}, r"a '\x00' with a NUL character in DAG 'a'; … takes none: remove it"),
    ({"data": "\0"}, "a data with a NUL character in DAG 'a'; … takes none: remove it"),
    (
        {"data": {"tasks": [{"__var": {"task_id": "t", "doc": ["x", HALF]}}]}},
        (
            r"a 'doc' with the broken character '\ud800' in task 't' of DAG 'a'; "
            "… takes none: remove it"
        ),
    ),
    (
        {"extra": {"y": [1.5, float("nan")]}},
        "a 'y' that holds nan in DAG 'a'; … takes no such number: replace it",
    ),
    (
        {"data": [float("-inf")]},
        "a data that holds -inf in DAG 'a'; … takes no such number: replace it",
    ),
]  # fmt: skip
"""Values, then the harm with `…` for the database."""

TAKEN = [
    {"owners": "12345"},
    {"owners": "😀" * 5},
    {"description": "x" * 100_000},
    {"description": None, "number": None, "data": None},
    {"small": 2**15 - 1, "number": 2**31 - 1, "big": 2**63 - 1},
    {"small": -(2**15), "number": -(2**31), "big": -(2**63)},
    {"number": True, "paused": False},
    {"data": {"doc": r"\u0000 \ud800 NaN Infinity", "😀": 1e308, "n": 2**100}},
    {"extra": {"text": f"\0{HALF}"}},
    {"uri": "u" * 1400, "id": "i" * 1400},
]
"""Just not that."""


@pytest.mark.parametrize(("values", "expected"), REFUSED)
def test_what_the_database_refuses_is_told(values: dict[str, object], expected: str) -> None:
    assert harm(values) == f"has {expected}".replace("…", "Airflow's database")


@pytest.mark.parametrize("values", TAKEN)
def test_what_it_takes_is_no_harm(values: dict[str, object]) -> None:
    assert harm(values) is None


def test_values_of_one_index_share_a_third_of_a_page() -> None:
    pair = Table(
        "asset",
        MetaData(),
        Column("name", String(1500), primary_key=True),
        Column("uri", String(1500), primary_key=True),
    )
    rows = [
        limits.Row(((pair.c.name, "n" * length), (pair.c.uri, "u" * 1340)), "in asset 'n'")
        for length in (1340, 1341)
    ]

    assert limits.harm(rows[:1]) is None
    assert limits.harm(rows) == (
        "has an asset's name and an asset's uri of 2681 bytes in all in asset 'n'; "
        "Airflow's database takes 2680: shorten them"
    )


def test_of_several_the_first_is_told_and_long_names_are_cut() -> None:
    found = harm({"data": {"tasks": [{"task_id": "t" * 99, "a": "\0", "b": "\0"}]}}, where="")

    assert found == (
        f"has a 'a' with a NUL character in task '{'t' * 39}…'; "
        "Airflow's database takes none: remove it"
    )
