"""Put the parts of this package together, by the settings and the operator's compose file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deployer.config import Settings
from deployer.edges.airflow.files import airflow_files, dockerfile
from deployer.edges.compose.choosing import choose_way
from deployer.edges.compose.commands import Project
from deployer.edges.compose.engine import LazyClient
from deployer.edges.compose.plain_way import PlainWay
from deployer.edges.compose.proving import Bounds
from deployer.edges.compose.runner import ComposeRunner
from deployer.edges.compose.services import ComposeServices
from deployer.edges.compose.stack import read_stack
from deployer.edges.compose.ways import Way
from deployer.edges.embedded.settings import SETTINGS
from deployer.edges.packages.slots import Slot
from deployer.edges.parser.container import ContainerParser, ContainerPlace

OUTPUT = "compose.log"


@dataclass(frozen=True, slots=True)
class ComposeAirflow:
    """The class's services, and where files are parsed on their packages."""

    services: ComposeServices
    now: ContainerParser
    built: ContainerParser


def compose_airflow(
    settings: Settings, environ: Mapping[str, str], *, reading: bool = False
) -> ComposeAirflow:
    """Return the Airflow that the operator's compose file describes; asks no engine.

    `reading`: make and change nothing.

    Raises:
        ServicesError: the file can't be used; what to change in it.
        DiskError: the list of packages that containers start on can't be written.
    """
    client = LazyClient()
    project = Project(settings.compose_project, settings.compose_file)
    runner = ComposeRunner(project, settings.state_dir / OUTPUT, environ=environ)
    way = choose_way(
        lambda: read_stack(runner, settings.recreate_services),
        settings.recreate_services,
        client=client,
        project=project.name,
        packages=settings.checkout_dir.absolute() / "packages",
        dockerfile=dockerfile(),
        files=airflow_files(),
        bounds=Bounds(resolve_s=settings.resolve_timeout_s),
    )
    if isinstance(way, PlainWay) and not reading:
        way.ensure_current()
    services = ComposeServices(
        client,
        runner,
        way,
        services=settings.recreate_services,
        airflow_url=settings.airflow_url,
        health_timeout_s=settings.health_timeout_s,
    )
    return ComposeAirflow(
        services,
        now=ContainerParser(lambda: _place(settings, way, Slot.CURRENT)),
        built=ContainerParser(lambda: _place(settings, way, Slot.NEXT)),
    )


def _place(settings: Settings, way: Way, slot: Slot) -> ContainerPlace:
    packages = way.packages(slot)
    return ContainerPlace(
        image=packages.image,
        project=settings.compose_project,
        checkout_dir=settings.checkout_dir.absolute(),
        # Always of this version of the deployer, whatever the image was built by.
        files=airflow_files(),
        pip_requirements=packages.at_start,
        env={f"AIRFLOW__{name}": value for name, value in SETTINGS.items()},
    )
