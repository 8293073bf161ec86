"""The operator's compose file as values; how packages come into its services; how a copy differs.

Pure: takes what `docker compose config --format json` printed (the form is that of
https://github.com/compose-spec/compose-spec/blob/main/05-services.md).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Final

from deployer.core.airflow_version import SETTING
from deployer.core.model import COMPOSE_FILE
from deployer.errors import ServicesError

PIP_AT_START: Final = "_PIP_ADDITIONAL_REQUIREMENTS"
"""Airflow's own image installs this at each start: the plain way."""
TAG: Final = "current"
"""Of the image that is built: the image way."""
MOUNTED_AT: Final = "/opt/class"
"""Where all Airflow containers see CHECKOUT_DIR; the class's bundle looks there."""
PACKAGES: Final = f"{MOUNTED_AT}/packages"
"""Where they see the packages of the plain way."""
FILES: Final = "/opt/deployer/airflow"
"""Where they have the deployer's own files for Airflow."""
# docs.docker.com/reference/compose-file/services: stop_grace_period
_DEFAULT_GRACE_S: Final = 10.0
_PARTS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


@dataclass(frozen=True, slots=True)
class Mount:
    """What a container sees at `target`; `bind`: `source` is a path of the host."""

    source: str
    target: str
    bind: bool
    read_only: bool


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the file.

    Attributes:
        image: as the file names it, None if it is built without a name of its own.
        build_args: of its `build`, None if it has none.
        command: words of it, none: the image's own.
        environment: variables of its containers; holds secrets.
        stop_grace_s: seconds between SIGTERM and SIGKILL.
    """

    image: str | None = None
    build_args: Mapping[str, str] | None = None
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    mounts: tuple[Mount, ...] = ()
    stop_grace_s: float = _DEFAULT_GRACE_S


@dataclass(frozen=True, slots=True)
class Stack:
    """The whole file: its services by name."""

    file: PurePath
    services: Mapping[str, Service]

    def require(self, services: Sequence[str]) -> None:
        """See that it has all of `services`.

        Raises:
            ServicesError
        """
        if missing := [name for name in services if name not in self.services]:
            raise ServicesError(
                f"{self.file} has no service {', '.join(missing)}: set DEPLOYER_RECREATE_SERVICES"
                f" to some of {', '.join(sorted(self.services))}"
            )

    def plain(self, services: Sequence[str]) -> bool:
        """Tell whether `services` install their packages themselves, at each start.

        Raises:
            ServicesError: some do, and some do not.
        """
        given = {name: self.services[name].environment.get(PIP_AT_START, "") for name in services}
        plain = [name for name in services if given[name].strip()]
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

    def built(self, services: Sequence[str]) -> str | None:
        """Return the repository of the image that is built for `services`; None: the plain way.

        Raises:
            ServicesError: packages could not be moved either way, and what to change.
        """
        image = self.image(services)
        if self.plain(services):
            return None
        self.base(image)  # a mistake there is told at the start
        repository, _, tag = image.rpartition(":")
        if tag != TAG:
            raise ServicesError(
                f"{self.file}: the image {image} must be named NAME:{TAG}, since the deployer"
                " builds it and moves that tag"
            )
        return repository


def parse(file: PurePath, config: Mapping[str, Any]) -> Stack:
    """Return the stack of what `docker compose config --format json` printed."""
    services = config.get("services") or {}
    return Stack(file, {name: _service(entry) for name, entry in services.items()})


def seconds(duration: str) -> float:
    """Return a duration as Compose prints it (`1m30s`) in seconds."""
    parts = re.findall(r"([0-9.]+)(ms|h|m|s)", duration)
    return sum(float(number) * _PARTS[unit] for number, unit in parts)


def _service(entry: Mapping[str, Any]) -> Service:
    build = entry.get("build")
    grace = entry.get("stop_grace_period")
    return Service(
        image=entry.get("image"),
        build_args=None if build is None else _texts(build.get("args")),
        command=tuple(entry.get("command") or ()),
        environment=_texts(entry.get("environment")),
        mounts=tuple(
            Mount(
                source=one.get("source") or "",
                target=one.get("target") or "",
                bind=one.get("type") == "bind",
                read_only=bool(one.get("read_only")),
            )
            for one in entry.get("volumes") or ()
        ),
        stop_grace_s=_DEFAULT_GRACE_S if grace is None else seconds(grace),
    )


def _texts(values: Mapping[str, str | None] | None) -> dict[str, str]:
    """Return variables that have a value; Compose doubles each `$`, so that it stays one."""
    return {name: v.replace("$$", "$") for name, v in (values or {}).items() if v is not None}


def drift(pushed: str | None, own: str | None) -> str | None:
    """Return a sentence that says the two differ, None if they do not.

    A repository without the file, or an operator without a copy (the embedded Airflow), has
    nothing to differ. Line ends and blank ends of lines do not count.
    """
    if pushed is None or own is None or _lines(pushed) == _lines(own):
        return None
    return (
        f"{COMPOSE_FILE} of the repository differs from the operator's copy, which stays in use;"
        " the teacher may look at the difference and copy it by hand"
    )


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
