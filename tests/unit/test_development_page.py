"""docs/development.md and the rooms that it maps: what is named is there, and the other way."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from deployer.config import Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
PACKAGE = ROOT / "deployer"
IMAGES = {"apache/airflow"}
ELSEWHERE = {"CODEOWNERS", "Caddyfile", "Literal", "TEST_POSTGRES_URL"}
SETTINGS = {one.name.upper() for one in fields(Settings)}
FILES = [
    file for place in ("deployer", "include", "tests") for file in (ROOT / place).rglob("*.py")
]
ROOMS = sorted(
    init.parent
    for init in PACKAGE.rglob("__init__.py")
    if init.parent.name not in {"deployer", "cli"}
)
"""All but those that say themselves that a file is named after what is in it."""


def paths() -> list[str]:
    """Return what stands in backticks and is a path; of a command, its first word."""
    words = {span.split()[0] for span in re.findall(r"`([^`\n]+)`", PAGE)} - IMAGES
    return sorted(
        word for word in words if re.fullmatch(r"[\w./-]+(/\w*|\.(py|md|toml|txt))", word)
    )


def test_the_map_names_many_places() -> None:
    assert {
        "core/",
        "worker/intake.py",
        "scripts/check",
        "include/airflow/class_rules.toml",
    } <= set(paths())
    assert len(paths()) > 60


@pytest.mark.parametrize("path", paths())
def test_what_the_map_names_is_there(path: str) -> None:
    assert any((place / path).exists() for place in (ROOT, PACKAGE, ROOT / "docs"))


def names() -> list[str]:
    """Return what stands in backticks and is a class, one of its attributes, or a constant."""
    return sorted(set(re.findall(r"`([A-Z]\w+(?:\.\w+)?)`", PAGE)) - ELSEWHERE - SETTINGS)


@pytest.mark.parametrize("name", names())
def test_what_the_map_calls_by_its_name_is_called_so(name: str) -> None:
    owner, _, attribute = name.partition(".")
    sources = [file.read_text(encoding="utf-8") for file in FILES]
    made = rf"^(class {owner}\b|{owner}\b.*? = |    {owner} = )"
    there = [text for text in sources if re.search(made, text, re.MULTILINE)]
    assert any(re.search(rf"\b{attribute}\b", text) for text in there)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(PACKAGE)))
def test_a_room_says_what_each_of_its_files_is(room: Path) -> None:
    said = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
    here = {file.stem for file in room.glob("*.py")} | {
        init.parent.name for init in room.glob("*/__init__.py")
    }
    told = {name for name in here if re.search(rf"\b{name}\b", said)}
    assert here - told == {"__init__"}


@pytest.mark.parametrize(
    "room", [room for room in ROOMS if room.parent in {PACKAGE, PACKAGE / "core"}], ids=str
)
def test_the_map_has_each_room(room: Path) -> None:
    assert f"`{room.relative_to(PACKAGE)}/`" in PAGE
