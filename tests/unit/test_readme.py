"""The README's tables against the code: each command and option, each request that is answered."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

from deployer.cli import COMMANDS, imported
from deployer.web import Receiving, create_app
from tests.fakes.bell import FakeBell
from tests.fakes.journal import FakeJournal

STATIC = "/static/<path:filename>"
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return what stands under a heading."""
    return re.split(r"^## ", README.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def calls() -> list[list[str]]:
    """Return the words of each call of the table of commands."""
    rows = re.findall(r"^\| (`deployer .+?`) \| ", section("Commands"), re.MULTILINE)
    return [call.split() for row in rows for call in re.findall(r"`deployer (.+?)`", row)]


def options(command: str) -> set[str]:
    """Return the options of a command but `--help`, short where they have a short one."""
    return {min(p.opts, key=len) for p in imported(command).params if isinstance(p, click.Option)}


def test_the_readme_has_each_command_in_the_order_of_help() -> None:
    assert list(dict.fromkeys(call[0] for call in calls())) == list(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_readme_has_each_option_of_a_command(command: str) -> None:
    words = " ".join(" ".join(call) for call in calls() if call[0] == command)
    assert set(re.findall(r"(?<!\w)--?\w[\w-]*", words)) == options(command)


def test_the_readme_has_each_request_that_is_answered() -> None:
    app = create_app(
        journal=FakeJournal(now=lambda: datetime(2026, 3, 1, tzinfo=UTC)),
        bell=FakeBell(),
        receiving=Receiving(("a secret of thirty-two characters",), "class/airflow", "main"),
        public_url=None,
        now=lambda: datetime(2026, 3, 1, tzinfo=UTC),
    )
    answered = {
        re.sub(r"<.+?>", "*", rule.rule) for rule in app.url_map.iter_rules() if rule.rule != STATIC
    }
    rows = re.findall(r"^\| (`(?:GET|POST).+?) \| ", section("HTTP"), re.MULTILINE)
    told = {path for row in rows for path in re.findall(r"(?<![\w/])/[\w/]*", row)}
    assert {re.sub(r"\b[A-Z]+\b", "*", path) for path in told} == answered
