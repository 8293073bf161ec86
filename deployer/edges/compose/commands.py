"""Every command line of Compose, built here and run in `runner`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, assert_never

from deployer.errors import ServicesError

# github.com/compose-spec/compose-go: loader/normalize.go, schema/compose-spec.json
_SERVICE = re.compile(r"[a-zA-Z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Project:
    """The operator's own compose file, and the name under which Compose runs it."""

    name: str
    file: Path


@dataclass(frozen=True, slots=True)
class Config:
    """Print the file as Compose understands it, as JSON; changes nothing, asks no engine."""


@dataclass(frozen=True, slots=True)
class Version:
    """Print which Compose this is; reads no file."""


@dataclass(frozen=True, slots=True)
class Up:
    """Recreate one service, whatever it runs on, and start it; does not wait for its health.

    Compose makes the new container, stops the old one, removes it, and only then starts the
    new: never two at once.

    Attributes:
        stop_within_s: how long the old one may take to stop; None: its own `stop_grace_period`.
    """

    service: str
    stop_within_s: int | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """Start services as the file has them, and wait until they are healthy; no others."""

    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop services, where they run."""

    services: tuple[str, ...]
    within_s: int


@dataclass(frozen=True, slots=True)
class Exec:
    """Run a script of the shell in the service's container."""

    service: str
    script: str


@dataclass(frozen=True, slots=True)
class Run:
    """Run a command to its end in a container of the service for that alone; none: its own."""

    service: str
    command: tuple[str, ...] = ()


Command: TypeAlias = Config | Version | Up | Start | Stop | Exec | Run


def argv(project: Project, command: Command) -> tuple[str, ...]:  # noqa: PLR0911 - one for each
    """Return the command line, the program's name first.

    Raises:
        ServicesError: a service's name is none.
    """
    docker = (
        *("docker", "compose", "--ansi", "never", "--progress", "plain"),
        *("--project-name", project.name, "--file", str(project.file)),
    )
    match command:
        case Config():
            return (*docker, "config", "--format", "json")
        case Version():
            return ("docker", "compose", "version", "--short")
        case Up(service, stop_within_s):
            if not _SERVICE.fullmatch(service):
                raise ServicesError(
                    f"{service!r} is no service's name: see DEPLOYER_RECREATE_SERVICES"
                )
            # --no-deps: the database stays untouched. --pull never: what runs was proven here;
            # a missing image is an error, and never somebody else's of the same name.
            return (
                *(*docker, "up", "--detach", "--no-deps", "--no-build", "--force-recreate"),
                *(() if stop_within_s is None else ("--timeout", str(stop_within_s))),
                *("--pull", "never", "--", service),
            )
        case Start(services):
            return (*docker, "up", "--detach", "--wait", "--no-deps", "--", *services)
        case Stop(services, within_s):
            return (*docker, "stop", "--timeout", str(within_s), "--", *services)
        case Exec(service, script):
            return (*docker, "exec", "-T", service, "sh", "-c", script)
        case Run(service, alone):
            return (*docker, "run", "--rm", "--no-deps", "-T", service, *alone)
        case _ as never:
            assert_never(never)
