"""A tiny Compose project on the real engine: containers that start and stop in no time.

The tests play Airflow's health and the way in which packages come: what a container finds in
`/way/current` is what it "runs on", and `broken` in it ends it at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from docker.client import DockerClient
from docker.models.containers import Container

from deployer.edges.compose.engine import LazyClient
from deployer.edges.compose.runner import ComposeRunner, Project
from deployer.edges.compose.services import ComposeServices
from deployer.edges.packages.slots import Slot, Slots
from deployer.errors import RequirementsRefused

SERVICES = ("airflow-scheduler", "airflow-apiserver", "airflow-dag-processor")
UNRELATED = "postgres"

# The scheduler asks for it by its file: a stop that lasts until the test says so.
_RUN = """
read -r text </way/current
case $$text in *broken*) printf "start\\nImportError: $$text\\n" >&2; exit 1 ;; esac
exec 9<> <(:)
pause() { read -rt 0.05 -u 9 || :; }
trap 'while [ -e /way/busy ]; do pause; done; exit 0' TERM
: >/tmp/is_up
while :; do
    if [ -e /way/end ]; then cat /way/end >&2; exit 1; fi
    pause
done
"""


class FakeWay(Slots[str]):
    """Implements `Way` with a text file that the containers read at their start."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self.refuses: dict[str, str] = {}
        self.settled: set[str | None] = set()  # the ids of those that run on `current` for sure
        self.litter = 0
        if self.target(Slot.CURRENT) is None:
            self.point(Slot.CURRENT, "")

    def target(self, slot: Slot) -> str | None:
        try:
            return (self.directory / slot).read_text()
        except FileNotFoundError:
            return None

    def point(self, slot: Slot, target: str) -> None:
        (self.directory / slot).write_text(target)

    def drop(self, slot: Slot) -> None:
        (self.directory / slot).unlink(missing_ok=True)

    @property
    def slots(self) -> Slots[str]:
        return self

    def packages(self, slot: Slot) -> tuple[str, None]:
        return f"played:{slot}", None

    def installed(self, containers: Sequence[Container]) -> str | None:
        if not all(container.status == "running" for container in containers):
            return None
        return None if self.target(Slot.PREVIOUS) is not None else self.target(Slot.CURRENT)

    def on_current(self, container: Container) -> bool:
        return container.id in self.settled

    def resolve(self, text: str) -> tuple[str, ...]:
        if text in self.refuses:
            raise RequirementsRefused(self.refuses[text], line=1)
        return tuple(text.split())

    def build(self, text: str) -> tuple[str, ...]:
        self.point(Slot.NEXT, text)
        return tuple(text.split())

    def tidy(self) -> None:
        self.litter = 0


@dataclass
class Health:
    """What the played api-server answers; `beat` None: a heartbeat of right now."""

    url: str = ""
    beat: datetime | None = None
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        beat = (self.beat or datetime.now(UTC)).isoformat()
        return {
            "metadatabase": {"status": "healthy"},
            "scheduler": {"latest_scheduler_heartbeat": beat},
            "dag_processor": {"latest_dag_processor_heartbeat": beat},
        }


@contextmanager
def airflow_health() -> Iterator[Health]:
    """Play Airflow's health on a free port of loopback."""
    health = Health()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            said = json.dumps(health.answer(self.path)).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its parent's
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        health.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield health
        finally:
            server.shutdown()
            thread.join()


@dataclass
class ComposeWorld:
    """One project and what belongs to it."""

    project: Project
    state: Path
    way: FakeWay
    health: Health
    client: DockerClient
    names: tuple[str, ...]

    def runner(self, project: Project | None = None) -> ComposeRunner:
        output = self.state / "compose.log"
        return ComposeRunner(project or self.project, output, environ=os.environ)

    def services(
        self, *, project: Project | None = None, health_timeout_s: float = 120
    ) -> ComposeServices:
        return ComposeServices(
            self.client,
            self.runner(project),
            self.way,
            services=self.names,
            airflow_url=self.health.url,
            health_timeout_s=health_timeout_s,
        )

    def containers(self) -> dict[str, Container]:
        """Return what there is of the project, twins and all, by the container's name."""
        label = f"com.docker.compose.project={self.project.name}"
        found = self.client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
        return {str(container.name): container for container in found}

    def container(self, service: str) -> Container:
        return self.containers()[f"{self.project.name}-{service}-1"]

    def end(self, service: str) -> None:
        """Have a service's container end by itself; Docker starts it again."""
        order, began = self.way.directory / "end", self._started_at(service)
        # By rename: a container that finds it empty would end without a word.
        new = self.way.directory / "end.new"
        new.write_text("ImportError: of a sudden\n")
        new.replace(order)
        until = time.monotonic() + 60
        while self._started_at(service) == began:
            assert time.monotonic() < until, f"{service} never ended"
            Event().wait(0.05)
        order.unlink()

    def _started_at(self, service: str) -> str:
        started_at: str = self.container(service).attrs["State"]["StartedAt"]
        return started_at

    def compose(self, *args: str) -> None:
        project = ("--project-name", self.project.name, "--file", str(self.project.file))
        subprocess.run(
            ["docker", "compose", *project, *args], check=True, capture_output=True, timeout=180
        )


def write_stack(
    file: Path,
    way: Path,
    *,
    names: Sequence[str] = SERVICES,
    image: str = "class-deployer/postgres:test",
) -> None:
    """Write a stack of services of Airflow's and one that is none of the deployer's."""
    base = {
        "image": image,
        "entrypoint": ["/usr/bin/dumb-init", "--single-child", "--", "bash", "-c", _RUN],
        "stop_signal": "SIGTERM",
        "restart": "unless-stopped",
        "network_mode": "none",
        # Else the image's own volume stays behind each container that is removed alone.
        "tmpfs": ["/var/lib/postgresql/data"],
        "volumes": [f"{way}:/way:ro"],
        "stop_grace_period": "20s",
        # Docker itself will not make it within a test.
        "healthcheck": {"test": ["CMD", "test", "-e", "/tmp/is_up"], "interval": "1h"},  # noqa: S108
    }
    services = {name: dict(base) for name in (*names, UNRELATED)}
    # Airflow vouches for it: as much is known of it without a check of Docker's.
    services.get("airflow-dag-processor", {}).pop("healthcheck", None)
    file.write_text(json.dumps({"services": services}))


@contextmanager
def compose_world(
    place: Path, name: str, names: tuple[str, ...] = SERVICES
) -> Iterator[ComposeWorld]:
    """Start the project `name`, whole; end it and all that it left."""
    client = LazyClient()
    try:
        client.ping()
    except Exception as exc:  # noqa: BLE001 - whatever says that there is none
        reason = f"no Docker engine: scripts/docker up ({exc})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    way = FakeWay(place / "way")
    file = place / "docker-compose.yaml"
    write_stack(file, way.directory, names=names)
    with airflow_health() as health:
        world = ComposeWorld(Project(name, file), place / "state", way, health, client, names)
        try:
            world.compose("up", "--detach")
            yield world
        finally:
            (way.directory / "busy").unlink(missing_ok=True)
            world.compose("down", "--volumes", "--timeout", "1")
            client.close()
