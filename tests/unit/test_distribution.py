"""What the deployer is called where packages are installed, and that each page says so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NAME = PROJECT["name"]
A_STRANGERS = re.compile(r"install [^\n]*(?<![\w-])deployer(?:\[\w+\]|['\"](?!s)| @)")
"""`deployer` as a distribution; the command, the module and the folder are called so."""


def test_the_distribution_has_a_name_of_its_own_and_the_command_is_deployer() -> None:
    assert NAME == "airflow-class-deployer"
    assert set(PROJECT["scripts"]) == {"deployer"}


@pytest.mark.parametrize(
    "path",
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("deployer/**/*.py"),
        ROOT / "Dockerfile",
        ROOT / "scripts/environment",
    ],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_nobody_is_sent_to_a_strangers_project(path: Path) -> None:
    assert not A_STRANGERS.search(path.read_text())


@pytest.mark.parametrize(("page", "extra"), [("README.md", "demo"), ("docs/check.md", "check")])
def test_a_page_that_says_how_to_get_it_says_from_where(page: str, extra: str) -> None:
    assert f"'{NAME}[{extra}] @ git+https://" in (ROOT / page).read_text()


def test_each_extra_is_named_in_the_readme() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(re.findall(r"`\[(\w+)\]`", (ROOT / "README.md").read_text())) == set(extras)
