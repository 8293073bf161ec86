"""The operator's stack, as Compose itself understands the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployer.core.airflow_version import SETTING
from deployer.core.doctor.stack_rules import PIP_AT_START, seconds
from deployer.core.model import COMPOSE_FILE
from deployer.edges.compose.runner import ComposeRunner
from deployer.errors import ServicesError

# docs.docker.com/reference/compose-file/services: stop_grace_period
_DEFAULT_GRACE_S = 10.0


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the file.

    Attributes:
        image: as the file names it, None if it is built without a name of its own.
        build_args: of its `build`, None if it has none.
        environment: variables of its containers; holds secrets.
        stop_grace_s: seconds between SIGTERM and SIGKILL.
    """

    image: str | None = None
    build_args: Mapping[str, str] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    stop_grace_s: float = _DEFAULT_GRACE_S


@dataclass(frozen=True, slots=True)
class Stack:
    """The whole file: its services by name."""

    file: Path
    services: Mapping[str, Service]

    def plain(self, services: Sequence[str]) -> bool:
        """Tell whether `services` install their packages themselves, at each start (`ways`).

        Raises:
            ServicesError: some do, and some do not.
        """
        plain = [name for name in services if self.services[name].environment.get(PIP_AT_START)]
        others = [name for name in services if name not in plain]
        if plain and others:
            raise ServicesError(
                f"{self.file}: {', '.join(plain)} set {PIP_AT_START} and {', '.join(others)} do"
                " not; set it for all of them or for none"
            )
        return bool(plain)

    def image(self, services: Sequence[str]) -> str:
        """Return the one image that all of `services` run.

        Raises:
            ServicesError: there is none, and what to change.
        """
        images = {self.services[name].image or "" for name in services}
        if len(images) != 1 or "" in images:
            raise ServicesError(f"{self.file}: give {', '.join(services)} one and the same `image`")
        return images.pop()

    def base(self, image: str) -> str:
        """Return the Airflow that `image` is built from; one `build` will do for all that run it.

        Raises:
            ServicesError: none is named, or several, and what to change.
        """
        given = {
            service.build_args.get(SETTING, "")
            for service in self.services.values()
            if service.image == image and service.build_args is not None
        }
        if len(given) != 1 or "" in given:
            raise ServicesError(
                f"{self.file}: give a service with the image {image} a `build`, and each such"
                f" `build` one and the same argument {SETTING}, e.g. apache/airflow:3.3.2"
            )
        return given.pop()


def read_stack(runner: ComposeRunner, services: Sequence[str]) -> Stack:
    """Let Compose read the file (0.1 s); `services` must be in it.

    Raises:
        ServicesError: there is no such file, Compose refuses it, or a service is missing.
    """
    file = runner.project.file
    read_text(file)
    try:
        stack = parse(file, runner.config())
    except ServicesError as exc:
        raise ServicesError(f"{file} can't be used: {exc}") from exc
    if missing := [name for name in services if name not in stack.services]:
        raise ServicesError(
            f"{file} has no service {', '.join(missing)}: set DEPLOYER_RECREATE_SERVICES to some"
            f" of {', '.join(sorted(stack.services))}"
        )
    return stack


def shared_file(file: Path) -> Path:
    """Return the operator's copy of the file that the class repository has as well.

    It is COMPOSE_FILE itself, unless that (as the plain way's) builds upon one beside it.
    """
    beside = file.with_name(COMPOSE_FILE)
    return beside if beside.exists() else file


def read_text(file: Path) -> str:
    """Return the file as it is written.

    Raises:
        ServicesError
    """
    try:
        return file.read_text()
    except FileNotFoundError as exc:
        raise ServicesError(
            f"{file} is not there: copy docker-compose.yaml and what it names to it, or set"
            " DEPLOYER_COMPOSE_FILE"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ServicesError(f"{file} can't be read: {exc}") from exc


def parse(file: Path, config: Mapping[str, Any]) -> Stack:
    """Return the stack of what `docker compose config --format json` printed."""
    services = config.get("services") or {}
    return Stack(file, {name: _service(entry) for name, entry in services.items()})


def _service(entry: Mapping[str, Any]) -> Service:
    build = entry.get("build")
    grace = entry.get("stop_grace_period")
    return Service(
        image=entry.get("image"),
        build_args=None if build is None else _texts(build.get("args")),
        environment=_texts(entry.get("environment")),
        stop_grace_s=_DEFAULT_GRACE_S if grace is None else seconds(grace),
    )


def _texts(values: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return variables that have a value; Compose doubles each `$`, so that it stays one."""
    return {name: v.replace("$$", "$") for name, v in (values or {}).items() if v is not None}
