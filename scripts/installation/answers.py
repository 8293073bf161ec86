"""What the teacher says: by flags, by a file of flags, by answering; and what is kept of it."""

from __future__ import annotations

import argparse
import getpass
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from scripts.installation.machine import Failed

Read = TypeVar("Read")

KEPT = ("repo", "branch", "name", "airflow_name", "tls")
"""Said once: the next run has them from the file `install.conf`."""
SETTINGS_OF = {
    "repo": ("DEPLOYER_GITHUB_REPO", "CLASS_REPO_URL"),
    "branch": ("DEPLOYER_BRANCH",),
    "name": ("DEPLOYER_PUBLIC_URL",),
    "airflow_name": ("AIRFLOW_BASE_URL",),
}
OWNER_AND_NAME = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
STUDENT = re.compile(r"[a-z0-9][a-z0-9._-]*")
SETTING = re.compile(r"[A-Z][A-Z0-9_]*=.*")


def read(argv: Sequence[str], kept: Path) -> argparse.Namespace:
    """Return the answers, those of `argv` before those kept; asks for what is missing.

    What files hold is read too: a mistake in one is known before anything is changed.
    `now` of the answers: the names of settings that `argv` gives a value.

    Raises:
        Failed: something is missing and nobody is there to ask, or can't be so.
    """
    before = [f"@{kept}"] if kept.exists() else []
    given = parser().parse_args([*before, *argv])
    given.setting = dict(one.split("=", 1) for one in given.setting)
    said = parser().parse_args([*argv])
    given.now = {one.partition("=")[0] for one in said.setting}
    given.now.update(*(names for flag, names in SETTINGS_OF.items() if getattr(said, flag)))
    if given.mode not in {"uninstall", "purge"}:
        _settle(given)
    given.names = students(given.students)
    given.token = _text(given.token_file) if given.token_file else given.token
    return given


def keep(given: argparse.Namespace) -> str:
    """Return the answers as a file of flags."""
    lines = [f"--{name.replace('_', '-')}={getattr(given, name)}" for name in KEPT]
    lines += [f"--setting={name}={value}" for name, value in given.setting.items()]
    return "\n".join([*lines, *(["--without-services"] if given.without_services else []), ""])


def students(path: Path | None) -> list[str]:
    """Return the names in a file, one a line; `#` begins a comment.

    Raises:
        Failed: it can't be read, or one can't be a name.
    """
    if path is None:
        return []
    lines = [line.partition("#")[0].strip() for line in _text(path).splitlines()]
    for name in filter(None, lines):
        if not STUDENT.fullmatch(name):
            raise Failed(f"{path}: {name!r} can't be a student's name: small letters and digits")
    return [name for name in lines if name]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise Failed(f"{path} can't be read: {exc}") from exc


def _settle(given: argparse.Namespace) -> None:
    """Ask for what an install must know, and look at the form of it."""
    if not given.repo or not given.name:
        _ask(given)
    given.branch = given.branch or "main"
    given.airflow_name = given.airflow_name or f"airflow.{given.name}"
    _repo(given.repo)
    _host(given.name)
    _host(given.airflow_name)


def _ask(given: argparse.Namespace) -> None:
    """Ask for what no flag said, each until it can be so."""
    if not sys.stdin.isatty():
        if given.dry_run:
            given.repo, given.name = given.repo or "OWNER/NAME", given.name or "host.example.org"
            return
        raise Failed("give --repo OWNER/NAME and --name HOST (--help says what else there is)")
    given.repo = given.repo or _asked("The class's repository on GitHub (owner/name)", _repo)
    given.branch = given.branch or _asked("Branch that is live [main]", str)
    given.name = given.name or _asked("Public name of this machine (deployer.school.org)", _host)
    theirs = f"airflow.{given.name}"
    given.airflow_name = given.airflow_name or _asked(
        f"Airflow's public name [{theirs}]", lambda said: _host(said or theirs)
    )
    given.students = given.students or _asked(
        "File with the students' names, one a line [none yet]", _list
    )
    if not given.token_file:
        given.token = getpass.getpass("GitHub token, not shown [none yet]: ").strip()


def _asked(question: str, read: Callable[[str], Read]) -> Read:
    while True:
        try:
            return read(input(f"{question}: ").strip())
        except Failed as exc:
            print(exc)


def _repo(said: str) -> str:
    if not OWNER_AND_NAME.fullmatch(said):
        raise Failed(f"{said!r} can't be --repo: as in https://github.com/OWNER/NAME")
    return said


def _host(said: str) -> str:
    if not HOST.fullmatch(said):
        raise Failed(f"{said!r} can't be --name or --airflow-name: as in deployer.school.org")
    return said


def _list(said: str) -> Path | None:
    path = Path(said) if said else None
    students(path)
    return path


def _setting(text: str) -> str:
    if not SETTING.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return text


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/install",
        description="Install the deployer on this machine; again: change what has to change.",
        epilog="@FILE: flags out of a file, one a line. docs/install.md is the whole way.",
        fromfile_prefix_chars="@",
    )
    say = parser.add_argument
    say("--repo", metavar="OWNER/NAME", help="the class's repository on GitHub")
    say("--branch", help="that is live (main)")
    say("--name", metavar="HOST", help="public name of this machine")
    say("--airflow-name", metavar="HOST", help="Airflow's (airflow.HOST)")
    say("--students", type=Path, metavar="FILE", help="names, one a line: accounts are added")
    say("--token-file", type=Path, metavar="FILE", help="holds the GitHub token; is copied")
    say("--tls", choices=("acme", "internal"), default="acme", help="who signs the certificate")
    say(
        *("--setting",),
        action="append",
        default=[],
        type=_setting,
        metavar="NAME=VALUE",
        help="DEPLOYER_…: of web and worker; any other: of Airflow's .env. Repeatable",
    )
    say("--without-services", action="store_true", help="leave Docker and Airflow alone")
    say("--dry-run", action="store_true", help="tell what would be done")
    modes = parser.add_mutually_exclusive_group()
    for mode, does in (
        ("upgrade", "to this checkout's version"),
        ("rollback-upgrade", "to the version before the last upgrade"),
        ("uninstall", "leave state and backups"),
        ("purge", "leave nothing"),
    ):
        modes.add_argument(f"--{mode}", dest="mode", action="store_const", const=mode, help=does)
    parser.set_defaults(mode="install", token="")
    return parser
