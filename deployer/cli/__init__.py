"""The command line: one file a command, named after it; `printing` is what they print with.

What is typed for a commit, a place or another name is looked at here: click tells of a mistake.

Exit status: 0 success, 1 the thing asked about failed, 2 wrong use or settings,
3 a part that is needed is out of reach.
"""

from __future__ import annotations

import codecs
import getpass
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from deployer import __version__
from deployer.errors import DeployerError, OperatorError, SettingsError, WorkerRunning, WrongPlace
from deployer.masking import printable

if TYPE_CHECKING:
    from deployer.core.model import Pulse

EXIT_FAILED, EXIT_USE, EXIT_OUT_OF_REACH = 1, 2, 3

COMMANDS = {
    "web": ("web", "Receive GitHub's deliveries; serve health, JSON and pages."),
    "worker": ("worker", "Deploy what was pushed: one deployment at a time."),
    "deploy": ("deploy", "Deploy the branch's tip now, and judge all of it anew."),
    "rollback": ("rollback", "Make an earlier commit live again, and freeze."),
    "freeze": ("freeze", "Deploy nothing: what is live stays, what is pushed waits."),
    "unfreeze": ("freeze", "Deploy again: first of all the branch's tip."),
    "status": ("status", "Show what is live, and whether all is well."),
    "show": ("show", "Show one deployment, by its id or by a commit."),
    "explain": ("explain", "Tell what became of a delivery or a commit, with times."),
    "logs": ("logs", "Show the log of web and worker."),
    "check": ("check", "Parse DAG files as a push would, before you push."),
    "doctor": ("doctor", "Check all that a deployment needs, and say what to mend."),
    "github": ("github", "Check the token's rights on GitHub; make or mend the hook."),
    "notify": ("notify", "Tell the teacher what is wrong, or mended, by mail or chat."),
    "backup": ("backup", "Write all that can't be made anew to one file."),
    "restore": ("backup", "Put a backup back; what it replaces is kept aside."),
    "airflow-version": ("airflow_version", "Install another Airflow, or leave all as it was."),
    "new-class": ("new_class", "Begin a class: write its own repository, ready to push."),
    "login": ("login", "Let a browser or a program see the pages and the JSON."),
    "demo": ("demo", "Try it all on this machine, without GitHub or Docker."),
}
"""Where each command is, and what `deployer --help` says of it."""

SERVICES = {"web", "worker"}

FULL, SHORTEST = 40, 7
"""Hex digits of a commit's id."""
_HEX = frozenset("0123456789abcdef")

json_option = click.option("--json", "in_json", is_flag=True, help="Print JSON.")

_SPELT = {"✓": "ok", "✗": "X", "…": "..."}


def me() -> str:
    """Return who gives the command."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def tell(*lines: str) -> None:
    """Say what is no part of a command's output."""
    for line in lines:
        click.echo(f"deployer: {printable(line)}", err=True)


def tell_if_alone(pulse: Pulse) -> None:
    """Say so where no worker is alive to do what was asked for."""
    from deployer.core.reporting.readiness import by_name  # noqa: PLC0415 - few need it

    if silent := by_name(pulse, datetime.now(UTC)).get("heartbeat"):
        tell(f"{silent}; start `deployer worker`: what you asked for is kept in the journal")


def print_json(shown: object) -> None:
    click.echo(json.dumps(shown, indent=2))


def full_commit(value: str) -> str:
    """Accept 40 hex digits: the worker's git alone could complete a shorter one."""
    if len(value) != FULL or not _is_hex(value):
        raise click.BadParameter(f"a full commit id has {FULL} hex digits (git rev-parse HEAD)")
    return value.lower()


def short_commit(value: str) -> str:
    """Accept the beginning of a commit's id."""
    if not SHORTEST <= len(value) <= FULL or not _is_hex(value):
        raise click.BadParameter(f"a commit id has {SHORTEST} to {FULL} hex digits")
    return value.lower()


def commit_or_number(value: str) -> str:
    """Accept a deployment's id too."""
    if not value or not _is_hex(value) or len(value) > FULL:
        raise click.BadParameter("give a deployment's id or a commit")
    if not value.isdigit() and len(value) < SHORTEST:
        raise click.BadParameter(f"a shortened commit needs {SHORTEST} digits")
    return value.lower()


def _is_hex(value: str) -> bool:
    return set(value.lower()) <= _HEX


def named(given: str) -> str:
    """Accept what is not empty: as a path, an empty text would be the current directory."""
    if not given:
        raise click.BadParameter("it is empty: a variable of your shell may not be set")
    return given


@contextmanager
def wrong_use() -> Iterator[None]:
    """Tell of a place at which a command can do nothing as click tells of a mistake."""
    try:
        yield
    except WrongPlace as exc:
        raise click.UsageError(printable(str(exc))) from exc


def imported(name: str) -> click.Command:
    """Return a command, whose module is imported only now."""
    if name in SERVICES:
        # structlog and httpx load rich where it is: 5 MB for what a service never draws.
        sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # can't be imported then
    module, _ = COMMANDS[name]
    command: click.Command = getattr(
        import_module(f"deployer.cli.{module}"), name.replace("-", "_")
    )
    return command


class _Commands(click.Group):
    """Lists its commands by name, and imports the one that is run: `web` stays small in memory.

    What it lists says what a command does, and has none of its options.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, _, rest = super().resolve_command(ctx, args)
        return name, imported(name) if name else None, rest


@click.group(
    cls=_Commands,
    commands={name: click.Command(name, short_help=says) for name, (_, says) in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="deployer")
def commands() -> None:
    """Deploy the class repository to the class's Airflow, and say how it went.

    Settings are environment variables DEPLOYER_…, or stand in the file that
    DEPLOYER_ENV_FILE names; the README lists them.
    """


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and exit; each error is a readable line and its exit status.

    `args`: those of the process if None.
    """
    if sys.stdout is None:  # `>&-`
        sys.stdout = _nowhere()
    if isinstance(sys.stdout, TextIOWrapper):
        codecs.register_error("spelt", _spelt)
        sys.stdout.reconfigure(errors="spelt")
    try:
        commands(args, prog_name="deployer")
    except SettingsError as exc:
        _end(EXIT_USE, *exc.mistakes)
    except (OperatorError, WorkerRunning) as exc:
        _end(EXIT_OUT_OF_REACH, str(exc))
    except DeployerError as exc:
        _end(EXIT_FAILED, str(exc))
    except OSError as exc:  # click ends quietly where nobody reads on; here: a full disk, say
        _give_up(sys.stdout)
        where = f": {exc.filename}" if exc.filename else ""
        _end(EXIT_OUT_OF_REACH, f"{exc.strerror or exc}{where}")


def _spelt(error: UnicodeError) -> tuple[str, int]:
    """Spell what the terminal's encoding has not: `✗` must not look like `✓`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_SPELT.get(letter, "?") for letter in lacking), error.end


def _end(status: int, *lines: str) -> NoReturn:
    try:
        tell(*lines)
    except OSError:
        _give_up(sys.stderr)
    sys.exit(status)


def _give_up(stream: TextIO) -> None:
    """Write nothing to it any more; else Python tries once more at its end, and ends with 120."""
    with suppress(OSError), _nowhere() as sink:
        os.dup2(sink.fileno(), stream.fileno())


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")
