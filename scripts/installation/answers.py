"""What the teacher says: by flags, by a file of flags, by answering; and what is kept of it."""

from __future__ import annotations

import argparse
import getpass
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.installation.machine import Failed

KEPT = ("repo", "branch", "name", "airflow_name", "tls")
"""Said once: the next run has them from the file `install.conf`."""
OWNER_AND_NAME = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
STUDENT = re.compile(r"[a-z0-9][a-z0-9._-]*")
SETTING = re.compile(r"[A-Z][A-Z0-9_]*=.*")


def read(argv: Sequence[str], kept: Path) -> argparse.Namespace:
    """Return the answers, those of `argv` before those kept; asks for what is missing.

    What files hold is read too: a mistake in one is known before anything is changed.

    Raises:
        Failed: something is missing and nobody is there to ask, or can't be so.
    """
    before = [f"@{kept}"] if kept.exists() else []
    given = _parser().parse_args([*before, *argv])
    given.setting = dict(one.split("=", 1) for one in given.setting)
    given.now = {one.partition("=")[0] for one in _parser().parse_args([*argv]).setting}
    if given.mode == "install":
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
    given.airflow_name = given.airflow_name or f"airflow.{given.name}"
    for flag, value, form in (
        ("--repo", given.repo, OWNER_AND_NAME),
        ("--name", given.name, HOST),
        ("--airflow-name", given.airflow_name, HOST),
    ):
        if not form.fullmatch(value):
            raise Failed(f"{flag} can't be {value!r}")


def _ask(given: argparse.Namespace) -> None:
    if not sys.stdin.isatty():
        if given.dry_run:
            given.repo, given.name = given.repo or "OWNER/NAME", given.name or "host.example.org"
            return
        raise Failed("give --repo OWNER/NAME and --name HOST (--help says what else there is)")
    given.repo = given.repo or input("The class's repository on GitHub (owner/name): ").strip()
    given.branch = input(f"Branch that is live [{given.branch}]: ").strip() or given.branch
    given.name = given.name or input("Public name of this machine (deployer.school.org): ").strip()
    theirs = f"airflow.{given.name}"
    given.airflow_name = input(f"Airflow's public name [{theirs}]: ").strip() or theirs
    listed = input("File with the students' names, one a line [none yet]: ").strip()
    given.students = given.students or (Path(listed) if listed else None)
    given.token = getpass.getpass("GitHub token, not shown [none yet]: ").strip()


def _setting(text: str) -> str:
    if not SETTING.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/install",
        description="Install the deployer on this machine; again: change what has to change.",
        epilog="@FILE: flags out of a file, one a line. docs/install.md is the whole way.",
        fromfile_prefix_chars="@",
    )
    say = parser.add_argument
    say("--repo", metavar="OWNER/NAME", help="the class's repository on GitHub")
    say("--branch", default="main", help="that is live (main)")
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
