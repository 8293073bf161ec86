"""The command that begins a class."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click

from deployer import app
from deployer.cli import named, wrong_use

# https://docs.github.com/en/enterprise-cloud@latest/admin/managing-iam/iam-configuration-reference/username-considerations-for-external-authentication
_LOGIN = re.compile(r"[A-Za-z0-9_-]{1,39}")


def login(given: str) -> str:
    """Accept a GitHub login, with or without the @."""
    name = given.removeprefix("@")
    if not _LOGIN.fullmatch(name):
        raise click.BadParameter(f"{name!r} is no GitHub login")
    return name


@click.command("new-class")
@click.argument("place", metavar="DIR", type=named)
@click.option(
    "--teacher",
    "teachers",
    metavar="LOGIN",
    multiple=True,
    type=login,
    help="GitHub login for roster and CODEOWNERS; may be given more than once.",
)
def new_class(place: str, teachers: tuple[str, ...]) -> None:
    """Write the class's own repository into DIR, with its first commit.

    It is not a fork of the deployer's: dags/, include/, requirements.txt, the test and the
    workflow for pull requests, CODEOWNERS, roster, and the students' pages. DIR is new or
    empty. Needs no settings and no network.
    """
    with wrong_use():
        count = app.new_class(Path(place), teachers)
    click.echo(f"{place} holds the class's repository: {count} files, one commit on main")
    if not teachers:
        click.echo("put your GitHub login into roster.yaml and .github/CODEOWNERS, and commit")
    click.echo("make an empty repository on GitHub, then, with its address:")
    git = f"git -C {shlex.quote(place)}"
    click.echo(f"  {git} remote add origin https://github.com/OWNER/REPOSITORY.git")
    click.echo(f"  {git} push -u origin main")
