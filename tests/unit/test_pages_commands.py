"""Each command that a page tells to type: run by a test, or parsed, or said why not.

Each command, flag, setting and metric that a page names is there, and those of the installer and
of `/metrics` are on a page.
"""

from __future__ import annotations

import ast
import re
import shlex
from datetime import UTC, datetime
from functools import cache

import pytest

from deployer import config
from deployer.cli import COMMANDS, imported
from deployer.web import Receiving, create_app
from scripts.installation import answers
from tests.fakes.bell import FakeBell
from tests.fakes.journal import FakeJournal
from tests.pages import ALL as EVERY_PAGE
from tests.pages import INSTALL, ROOT, of_install, spans
from tests.pages import commands as on_page

PAGES = (INSTALL, "docs/operations.md", "README.md")
ON_A_VM = ROOT / "tests/integration/install/test_on_a_vm.py"
NOT_HERE = {
    "apt-get update": "Debian's own; the VM of the tests has them in its image",
    "git clone": "the VM of the tests has this checkout",
    "cd deployer": "the same",
    "docker compose": "needs an engine and the class's own stack: tests/e2e/compose has one",
    "curl -H": "tests/integration/test_web_access.py asks with the token",
    "proxy_set_header": "lines for nginx, no command",
    "scripts/demo": "run by hand: it sets up a whole Airflow",
    "scripts/test": "what runs this",
    "scripts/docker": "scripts/test calls it",
    "scripts/check": "what a change has to pass: CONTRIBUTING.md",
    "scripts/bench": "run by hand: docs/benchmarks.md",
    "scripts/release": "run by hand: docs/releasing.md",
}
"""Beginnings of commands, and why no test takes them off the page."""
ALL = sorted({(page, command) for page in PAGES for command in on_page(page)})


@cache
def run_on_the_vm() -> set[str]:
    """Return the commands that a test takes off the page, by `of_install("…")`."""
    tree = ast.parse(ON_A_VM.read_text(encoding="utf-8"))
    return {
        of_install(call.args[0].value)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "of_install"
        and isinstance(call.args[0], ast.Constant)
        and isinstance(call.args[0].value, str)
    }


@pytest.mark.parametrize(("page", "command"), ALL)
def test_each_command_of_a_page_is_known(page: str, command: str) -> None:
    program, *words = shlex.split(command)
    if program == "deployer":
        name, *arguments = words
        assert name in COMMANDS
        imported(name).make_context(name, arguments)  # parses, and runs nothing
    elif program == "scripts/install":
        answers.parser().parse_args(words)
    elif command not in run_on_the_vm():
        assert any(command.startswith(known) for known in NOT_HERE), f"no test has {command}"


def test_what_a_test_is_said_to_have_is_on_a_page() -> None:
    unused = [one for one in NOT_HERE if not any(cmd.startswith(one) for _, cmd in ALL)]
    assert unused == []


def test_the_vm_runs_what_a_teacher_types_each_week_and_when_it_breaks() -> None:
    types = {"deployer status", "deployer unfreeze", "deployer login", "deployer doctor"}
    assert types <= run_on_the_vm()


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_a_command_that_a_text_names_has_these_options(page: str) -> None:
    unknown = {
        span
        for span in spans((ROOT / page).read_text(encoding="utf-8"))
        if (named := re.match(r"deployer ([a-z][a-z-]+)(?: |$)", span))
        and not (
            named[1] in COMMANDS
            and set(re.findall(r"(?<!\S)\[?(--[a-z-]+)", span))
            <= {option for param in imported(named[1]).params for option in param.opts}
        )
    }
    assert unknown == set()


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_a_setting_that_a_page_names_is_one(page: str) -> None:
    named = set(re.findall(r"\bDEPLOYER_[A-Z_]*[A-Z]\b", (ROOT / page).read_text(encoding="utf-8")))
    assert named <= {*config._NAMES, *config._FILES, config._ENV_FILE}


def test_each_flag_of_the_installer_is_on_its_page() -> None:
    text = (ROOT / INSTALL).read_text(encoding="utf-8")
    flags = {flag for one in answers.parser()._actions for flag in one.option_strings}
    assert {flag for flag in flags if flag not in text} <= {"-h", "--help"}


def test_each_metric_is_on_the_page_and_no_other() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    journal = FakeJournal(now=lambda: now)
    journal.beat(at=now, tip="a" * 40, tip_checked_at=now)
    app = create_app(
        journal=journal,
        bell=FakeBell(),
        receiving=Receiving(("a secret of thirty-two characters",), "class/airflow", "main"),
        public_url=None,
        now=lambda: now,
    )
    served = set(re.findall(r"^# TYPE (\w+)", app.test_client().get("/metrics").text, re.MULTILINE))
    page = (ROOT / "docs/api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(deployer_\w+)", page)) == served
