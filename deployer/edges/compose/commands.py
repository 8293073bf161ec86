"""Every command line of Compose, built here and run in `runner`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from deployer.errors import ServicesError

# github.com/compose-spec/compose-go: loader/normalize.go, schema/compose-spec.json
_SERVICE = re.compile(r"[a-zA-Z0-9._-]+")

Command: TypeAlias = tuple[str, ...]
"""What comes behind `docker compose` and its own options."""


@dataclass(frozen=True, slots=True)
class Project:
    """The operator's own compose file, and the name under which Compose runs it."""

    name: str
    file: Path


CONFIG: Final = ("config", "--format", "json")
"""Print the file as Compose understands it, as JSON; changes nothing, asks no engine."""
VERSION: Final = ("version", "--short")
"""Print which Compose this is; reads no file."""


def up(service: str) -> Command:
    """Recreate one service, whatever it runs on, and start it; does not wait for its health.

    Compose makes the new container, stops the old one, removes it, and only then starts the
    new: never two at once.

    Raises:
        ServicesError: a service's name is none.
    """
    if not _SERVICE.fullmatch(service):
        raise ServicesError(f"{service!r} is no service's name: see DEPLOYER_RECREATE_SERVICES")
    # --no-deps: the database stays untouched. --pull never: what runs was proven here;
    # a missing image is an error, and never somebody else's of the same name.
    return (
        *("up", "--detach", "--no-deps", "--no-build", "--force-recreate"),
        *("--pull", "never", "--", service),
    )


def start(services: Sequence[str]) -> Command:
    """Start services as the file has them, and wait until they are healthy; no others."""
    return ("up", "--detach", "--wait", "--no-deps", "--", *services)


def stop(services: Sequence[str], within_s: int) -> Command:
    """Stop services, where they run."""
    return ("stop", "--timeout", str(within_s), "--", *services)


def script(service: str, text: str) -> Command:
    """Run a script of the shell in the service's container."""
    return ("exec", "-T", service, "sh", "-c", text)


def run(service: str, *alone: str) -> Command:
    """Run a command to its end in a container of the service for that alone; none: its own."""
    return ("run", "--rm", "--no-deps", "-T", service, *alone)


def argv(project: Project, command: Command) -> tuple[str, ...]:
    """Return the command line, the program's name first."""
    if command == VERSION:
        return ("docker", "compose", *command)
    return (
        *("docker", "compose", "--ansi", "never", "--progress", "plain"),
        *("--project-name", project.name, "--file", str(project.file), *command),
    )
