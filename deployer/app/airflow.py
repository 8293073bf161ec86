"""Where Airflow runs: in containers of the operator's compose file, or as processes here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from deployer.config import Settings
from deployer.core.settings import in_plain
from deployer.core.stack import Stack
from deployer.errors import SettingsError
from deployer.ports import Services

if TYPE_CHECKING:
    from deployer.edges.compose.proving import Prover
    from deployer.edges.compose.runner import ComposeRunner
    from deployer.edges.compose.services import Way
    from deployer.edges.embedded.airflow import LocalAirflow
    from deployer.edges.parser.warm_parser import Where

GROUP_OF_AIRFLOW = 0
"""In the official image, its user is 50000:0."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where Airflow runs: what recreates it, and where files are parsed on its packages.

    `group`: of Airflow's user, None: it is this one.
    """

    services: Services
    now: Where
    built: Where
    username: str | None
    password: str | None
    group: int | None


def on_this_machine(settings: Settings) -> Host:
    from deployer.edges.embedded.airflow_settings import parsing_environment
    from deployer.edges.parser.warm_parser import LocalParser

    airflow = local_airflow(settings)
    script, env = airflow.layout.files / "preflight.py", parsing_environment(airflow.layout.files)
    return Host(
        services=airflow,
        now=LocalParser(lambda: airflow.python, script, env),
        built=LocalParser(lambda: airflow.built_python, script, env),
        username=settings.airflow_username or airflow.username,
        password=in_plain(settings.airflow_password) or airflow.password,
        group=None,
    )


def in_compose(settings: Settings, *, reading: bool = False) -> Host:
    """Return the Airflow that the operator's compose file describes; asks no engine.

    `reading`: make and change nothing.

    Raises:
        ServicesError: the file can't be used; what to change in it.
        DiskError: the list of packages that containers start on can't be written.
    """
    from deployer.edges.compose.engine import LazyClient
    from deployer.edges.compose.plain_way import PlainWay
    from deployer.edges.compose.proving import Bounds, Prover
    from deployer.edges.compose.services import ComposeServices
    from deployer.edges.disk import airflow_files
    from deployer.edges.embedded.airflow_settings import SETTINGS
    from deployer.edges.packages.slots import Slot
    from deployer.edges.parser.container import ContainerParser, ContainerPlace

    client, runner, needed = LazyClient(), compose_runner(settings), settings.recreate_services
    checkout = settings.checkout_dir.absolute()
    bounds = Bounds(resolve_s=settings.resolve_timeout_s)
    prover = Prover(client, project=settings.compose_project, bounds=bounds)
    way = choose_way(lambda: runner.stack(needed), needed, prover, checkout / "packages")
    if isinstance(way, PlainWay) and not reading:
        way.ensure_current()

    def place(slot: Slot) -> ContainerPlace:
        image, at_start = way.packages(slot)
        return ContainerPlace(
            image=image,
            project=settings.compose_project,
            checkout_dir=checkout,
            files=airflow_files(),
            pip_requirements=at_start,
            env={f"AIRFLOW__{name}": value for name, value in SETTINGS.items()},
        )

    return Host(
        services=ComposeServices(
            client,
            runner,
            way,
            services=needed,
            airflow_url=settings.airflow_url,
            health_timeout_s=settings.health_timeout_s,
        ),
        now=ContainerParser(lambda: place(Slot.CURRENT)),
        built=ContainerParser(lambda: place(Slot.NEXT)),
        username=settings.airflow_username,
        password=in_plain(settings.airflow_password),
        group=GROUP_OF_AIRFLOW,
    )


def choose_way(
    read: Callable[[], Stack],
    services: Sequence[str],
    prover: Prover,
    packages: Path,
) -> Way:
    """Return the way in which packages get into `services`, which must all run one image.

    `read` reads the operator's file, now and before each image is built: it may name a new Airflow.
    `packages` is the directory of the plain way's.

    Raises:
        ServicesError: the file can't go either way, and what to change in it.
    """
    from deployer.edges.compose.image_way import ImageWay
    from deployer.edges.compose.plain_way import PlainWay

    stack = read()
    image, repository = stack.image(services), stack.built(services)
    if repository is None:
        return PlainWay(prover, packages, image)
    return ImageWay(prover, repository, lambda: read().base(image))


def compose_runner(settings: Settings) -> ComposeRunner:
    """Return what runs Compose for the class's project."""
    from deployer.edges.compose.runner import ComposeRunner, Project

    project = Project(settings.compose_project, settings.compose_file)
    return ComposeRunner(project, settings.state_dir / "compose.log", environ=os.environ)


def local_airflow(
    settings: Settings, *, progress: Callable[[str], None] = lambda _: None
) -> LocalAirflow:
    """Return the embedded Airflow of this state; the demo starts and stops it.

    Raises:
        SettingsError: AIRFLOW_URL names no port.
    """
    from deployer.edges.embedded.airflow import LocalAirflow

    port = urlsplit(settings.airflow_url).port
    if port is None:
        raise SettingsError(["DEPLOYER_AIRFLOW_URL must name a port for the embedded Airflow"])
    return LocalAirflow(
        settings.state_dir / "airflow",
        root=settings.checkout_dir,
        port=port,
        resolve_timeout_s=settings.resolve_timeout_s,
        health_timeout_s=settings.health_timeout_s,
        progress=progress,
    )
