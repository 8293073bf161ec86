"""Recreating services through Compose, on a real engine, with containers that start at once."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from deployer.edges.compose.engine import LazyClient
from deployer.edges.compose.runner import Project
from deployer.errors import NotHealthy, ServicesError
from tests.integration.compose_world import (
    SERVICES,
    UNRELATED,
    ComposeWorld,
    compose_world,
    write_stack,
)
from tests.integration.waiting import eventually

pytestmark = pytest.mark.docker

SCHEDULER = SERVICES[0]
BOUND_S = 60.0


@pytest.fixture(scope="module")
def module_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeWorld]:
    with compose_world(tmp_path_factory.mktemp("compose"), "c2-services") as world:
        yield world


@pytest.fixture
def world(module_world: ComposeWorld) -> Iterator[ComposeWorld]:
    yield module_world
    module_world.health.beat = None
    (module_world.way.directory / "busy").unlink(missing_ok=True)


@contextmanager
def watching(world: ComposeWorld) -> Iterator[list[tuple[str, str]]]:
    """Collect, while it is entered, which service's container died or started, in that order.

    Not asked for afterwards: the engine remembers 256 events, and health checks are events too.
    """
    label = f"com.docker.compose.project={world.project.name}"
    what = {"label": label, "event": ["start", "die"]}
    # The engine answers before it listens to itself: with a time it tells what came in between.
    since = f"{time.time():.9f}"
    # For mypy whole seconds alone; the engine takes their fractions, too.
    stream = world.client.events(since, decode=True, filters=what)  # type: ignore[call-overload]
    told: list[tuple[str, str]] = []

    def listen() -> None:
        told.extend(
            (event["Action"], event["Actor"]["Attributes"]["com.docker.compose.service"])
            for event in stream
        )

    thread = Thread(target=listen)
    thread.start()
    try:
        yield told
    finally:
        stream.close()
        thread.join(BOUND_S)


# -- recreate


def test_services_are_recreated_one_after_the_other_and_no_two_of_one_ever_run_at_once(
    world: ComposeWorld,
) -> None:
    services = world.services()
    before = {name: container.id for name, container in world.containers().items()}
    expected = [(what, service) for service in SERVICES for what in ("die", "start")]
    with watching(world) as told:
        said = services.recreate(SERVICES)
        eventually(lambda: len(told) >= len(expected), BOUND_S)
    assert told == expected
    after = {name: container.id for name, container in world.containers().items()}
    unrelated = f"{world.project.name}-{UNRELATED}-1"
    assert {name for name in before if before[name] == after[name]} == {unrelated}
    assert after.keys() == before.keys()
    assert said.startswith("recreated airflow-scheduler in ")


def test_only_what_is_asked_for_is_recreated(world: ComposeWorld) -> None:
    before = {name: container.id for name, container in world.containers().items()}
    world.services().recreate([SCHEDULER])
    after = {name: container.id for name, container in world.containers().items()}
    assert [name for name in before if before[name] != after[name]] == [
        f"{world.project.name}-{SCHEDULER}-1"
    ]


def test_a_service_without_a_container_gets_one(world: ComposeWorld) -> None:
    world.container(SCHEDULER).remove(force=True, v=True)
    assert world.services().installed() is None
    world.services().recreate([SCHEDULER])
    world.services().wait_healthy(SERVICES)
    assert world.services().installed() == ""


def test_a_service_that_is_stopped_is_not_known_to_run_on_anything(world: ComposeWorld) -> None:
    world.container(SCHEDULER).kill()
    assert world.services().installed() is None
    world.services().recreate([SCHEDULER])


def test_an_image_that_is_not_here_is_an_error_and_is_asked_of_nobody(
    world: ComposeWorld, tmp_path: Path
) -> None:
    file = tmp_path / "other.yaml"
    write_stack(file, world.way.directory, image="class-deployer/no-such-image:c2")
    running = world.container(SCHEDULER).id
    with pytest.raises(ServicesError, match=r"docker compose up failed: (?s:.*)o such image"):
        world.services(project=Project(world.project.name, file)).recreate([SCHEDULER])
    assert world.container(SCHEDULER).id == running


# -- what died half-way


PARENT = """
import os, sys
from pathlib import Path
from deployer.edges.compose.runner import Project, up
from deployer.edges.compose.runner import ComposeRunner
name, file, output, service = sys.argv[1:]
runner = ComposeRunner(Project(name, Path(file)), Path(output), environ=os.environ)
runner.run(up(service), within_s=60)
"""


@pytest.fixture
def worker(world: ComposeWorld) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in the middle of a recreate: the old scheduler has tasks and is waited for."""
    (world.way.directory / "busy").touch()
    project, output = world.project, world.state / "compose.log"
    argv = [project.name, str(project.file), str(output), SCHEDULER]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *argv])
    try:
        eventually(lambda: twins(world), BOUND_S)
        yield parent
    finally:
        parent.kill()
        parent.wait()
        (world.way.directory / "busy").unlink(missing_ok=True)
        world.runner().wait_idle(BOUND_S)


def twins(world: ComposeWorld) -> list[str]:
    return [name for name in world.containers() if not name.startswith(world.project.name)]


def test_compose_ends_what_a_killed_worker_began_and_is_waited_for(
    world: ComposeWorld, worker: subprocess.Popen[bytes]
) -> None:
    worker.kill()
    worker.wait()
    old = world.container(SCHEDULER).id
    tidying = Thread(target=world.services().tidy)
    tidying.start()
    assert twins(world)  # Compose still needs it
    with pytest.raises(ServicesError):
        world.runner().wait_idle(0)
    (world.way.directory / "busy").unlink()
    tidying.join(BOUND_S)
    assert not twins(world)
    assert world.container(SCHEDULER).id != old
    assert world.container(SCHEDULER).status == "running"


def test_what_a_killed_compose_leaves_is_removed_and_stops_no_later_recreate(
    world: ComposeWorld, worker: subprocess.Popen[bytes]
) -> None:
    (child,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    os.killpg(int(child), signal.SIGKILL)
    worker.wait(BOUND_S)
    world.runner().wait_idle(BOUND_S)
    unrelated = world.container(UNRELATED).id
    (twin,) = twins(world)
    world.services().tidy()
    assert not twins(world)
    # The same once more, without anybody tidying in between.
    made = world.client.containers.create(
        "class-deployer/postgres:test", name=twin, labels=world.container(SCHEDULER).labels
    )
    made.reload()
    volumes = {mount["Name"] for mount in made.attrs["Mounts"]}
    assert volumes
    (world.way.directory / "busy").unlink()
    world.services().recreate([SCHEDULER])
    world.services().wait_healthy([SCHEDULER])
    assert not twins(world)
    assert volumes.isdisjoint(volume.name for volume in world.client.volumes.list())
    assert world.container(UNRELATED).id == unrelated


# -- health


def test_a_heartbeat_of_the_scheduler_before_is_not_enough(world: ComposeWorld) -> None:
    patient, impatient = world.services(), world.services(health_timeout_s=1)
    patient.recreate([SCHEDULER])
    started_at = datetime.fromisoformat(world.container(SCHEDULER).attrs["State"]["StartedAt"])
    world.health.beat = started_at - timedelta(seconds=1)
    with pytest.raises(
        ServicesError, match=r"^airflow-scheduler is not healthy after 1 s: Airflow does not"
    ):
        impatient.wait_healthy([SCHEDULER])
    world.health.beat = None
    assert patient.wait_healthy([SCHEDULER]).startswith("airflow-scheduler healthy after ")


def test_an_api_server_is_healthy_when_it_is_ready_for_tasks(world: ComposeWorld) -> None:
    world.health.asked.clear()
    world.services().wait_healthy(["airflow-apiserver"])
    assert "/execution/health" in world.health.asked


def test_a_service_that_ends_again_and_again_is_told_at_once_with_its_log_lines(
    world: ComposeWorld,
) -> None:
    services = world.services(health_timeout_s=600)
    services.build("broken by a package\n")
    others = {name: world.container(name).id or "" for name in SERVICES if name != SCHEDULER}
    with pytest.raises(NotHealthy) as caught:
        services.recreate(SERVICES)
    first, *lines = str(caught.value).splitlines()
    error = "ImportError: broken by a package"
    assert re.fullmatch(rf"airflow-scheduler ends again and again: \d restarts: {error}", first)
    assert lines[-1] == error
    assert len(lines) <= 10
    # What breaks the first takes no other down.
    assert {name: world.container(name).id for name in others} == others
    world.way.settled = set(others.values())
    services.put_back(SERVICES)
    services.wait_healthy(SERVICES)
    assert services.installed() == ""
    assert {name: world.container(name).id for name in others} == others
    world.way.settled = set()


# -- the operator's mistakes


def test_a_compose_file_that_is_not_there_is_told_with_what_to_do(world: ComposeWorld) -> None:
    services = world.services(project=Project(world.project.name, Path("/nowhere/compose.yaml")))
    for ask in (services.own_stack, lambda: services.recreate(SERVICES)):
        with pytest.raises(ServicesError, match=r"/nowhere/compose.yaml is not there: copy"):
            ask()


@pytest.mark.parametrize(
    "text", ["services: [", "services: {a: {image: x, environment: {A: '${B:?set B}'}}}"]
)
def test_a_compose_file_that_compose_refuses_is_told_with_its_words(
    world: ComposeWorld, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "docker-compose.yaml"
    file.write_text(text)
    services = world.services(project=Project(world.project.name, file))
    with pytest.raises(ServicesError, match=r"docker-compose\.yaml can't be used: docker compose"):
        services.recreate(SERVICES)
    assert services.own_stack() == text


def test_a_service_that_the_file_does_not_have_is_told_with_those_it_has(
    world: ComposeWorld,
) -> None:
    with pytest.raises(ServicesError, match=r"has no service triggerer: .*airflow-scheduler"):
        world.services().recreate([SCHEDULER, "triggerer"])


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_an_engine_that_is_away_when_the_worker_starts_is_told_when_it_is_needed(
    world: ComposeWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
        client = LazyClient()
        services = replace(world, client=client).services()
        with pytest.raises(ServicesError, match=r"Docker did not answer when asked to list"):
            services.installed()
    gc.collect()  # to it the SDK leaves the socket of a connection that failed
    # It is there now.
    assert services.installed() == ""
    client.close()
