"""What the check-up makes of Docker: a real engine with a project of its own, and its absence."""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import docker as sdk
import pytest

from deployer.core.doctor import Ailment
from deployer.core.model import ContainerState
from deployer.demo.stage import free_port
from deployer.doctor import docker
from deployer.edges.compose import runner
from deployer.edges.compose.engine import Containers, LazyClient
from deployer.edges.compose.runner import ComposeRunner
from deployer.edges.compose.runner import Project as Named
from deployer.errors import ServicesError
from deployer.ports.doctor import About, Seen
from tests.doctor_world import nothing_but

BOUND_S = 60.0
SLEEPS = {"image": "class-deployer/postgres:test", "entrypoint": ["sleep", "600"], "init": True}
QUICK = {"interval": "1s", "timeout": "20s"}
SERVICES = {
    "well": {**SLEEPS, "healthcheck": {"test": ["CMD", "true"], **QUICK}},
    "sick": {**SLEEPS, "healthcheck": {"test": ["CMD", "false"], **QUICK, "retries": 1}},
    "young": {**SLEEPS, "healthcheck": {"test": ["CMD", "true"], "interval": "1h"}},
    "unchecked": SLEEPS,
    "done": {**SLEEPS, "entrypoint": ["sh", "-c", "echo fine; echo passed over: line 3 >&2"]},
    "crashed": {**SLEEPS, "entrypoint": ["sh", "-c", "exit 3"]},
}


@dataclass(frozen=True)
class Project:
    """A running Compose project; `file` names it for the remedy."""

    name: str
    file: Path

    def compose(self, *args: str) -> None:
        subprocess.run(
            ["docker", "compose", "--project-name", self.name, "--file", str(self.file), *args],
            check=True,
            capture_output=True,
        )

    def states(self) -> dict[str, str]:
        """Return each service's health, else its status."""
        client = sdk.from_env()
        try:
            found = client.containers.list(
                all=True, filters={"label": f"com.docker.compose.project={self.name}"}
            )
            return {
                container.labels["com.docker.compose.service"]: state.get("Health", {}).get(
                    "Status", state["Status"]
                )
                for container in found
                for state in [container.attrs["State"]]
            }
        finally:
            client.close()


@pytest.fixture(scope="module")
def engine() -> None:
    """Require an engine that runs."""
    ran = subprocess.run(["docker", "info"], check=False, capture_output=True)
    if ran.returncode != 0:
        reason = "no Docker engine runs; scripts/docker up starts one"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def project(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    file = tmp_path_factory.mktemp("doctor") / "docker-compose.yaml"
    file.write_text(json.dumps({"services": SERVICES}))  # JSON is YAML
    made = Project(f"e-doctor-{uuid.uuid4().hex[:8]}", file)
    expected = {"well": "healthy", "sick": "unhealthy", "unchecked": "running"}
    expected |= {"young": "starting"}
    expected |= {"done": "exited", "crashed": "exited"}
    try:
        made.compose("up", "--detach")
        deadline = time.monotonic() + BOUND_S
        while (states := made.states()) != expected:
            assert time.monotonic() < deadline, states
            time.sleep(0.05)
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "0")


@contextmanager
def containers(name: str = "class") -> Iterator[Containers]:
    with closing(LazyClient()) as client:
        yield Containers(client, name)


def compose(file: Path = Path("docker-compose.yaml")) -> ComposeRunner:
    return ComposeRunner(Named("class", file), Path("unused.log"), environ=os.environ)


def look(project: Project, *needed: str) -> str:
    with containers(project.name) as engine:
        return docker.services(
            nothing_but(engine=engine, recreate_services=needed, compose_project=project.name)
        )


def told_of(project: Project, *needed: str) -> Ailment:
    with pytest.raises(Ailment) as told:
        look(project, *needed)
    return told.value


@pytest.fixture
def fake_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the program that is found as `docker`; not there until a test writes it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "docker"


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


# --- the engine --------------------------------------------------------------------


@pytest.mark.docker
def test_an_engine_that_answers_passes(engine: None) -> None:
    with containers() as asked:
        found = asked.about()
        assert docker.engine(nothing_but(engine=asked)) == f"Docker {found.version} answers"
    assert found.data.is_absolute()


def test_an_engine_that_is_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not a socket in the file system: docker-py leaves one unclosed that does not connect.
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")
    engine = Containers(LazyClient(), "class")
    for ask in (engine.containers, lambda: docker.engine(nothing_but(engine=engine))):
        with pytest.raises(ServicesError, match="Docker did not answer"):
            ask()
    assert "systemctl start docker" in docker.START


class Old:
    """An engine of long ago."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def about(self) -> About:
        return About("19.03.15", self.data)


def test_an_old_engine_is_told(tmp_path: Path) -> None:
    with pytest.raises(Ailment, match=r"Docker 19\.03\.15 answers") as told:
        docker.engine(nothing_but(engine=Old(tmp_path)))
    assert told.value.remedy == "install Docker 20.10 or newer"


# --- Compose -------------------------------------------------------------------------


@pytest.mark.docker
def test_a_compose_of_version_2_passes(engine: None) -> None:
    assert docker.plugin(nothing_but(compose=compose())).startswith("Compose ")


def test_no_docker_command_is_told(fake_docker: Path) -> None:
    with pytest.raises(ServicesError, match="docker can't be started"):
        docker.plugin(nothing_but(compose=compose()))
    assert "install Compose 2.24" in docker.INSTALL


def test_a_docker_without_compose_is_told(fake_docker: Path) -> None:
    script(fake_docker, "exit 1")
    with pytest.raises(ServicesError, match="docker has no `compose`"):
        docker.plugin(nothing_but(compose=compose()))


@pytest.mark.parametrize("version", ["1.29.2", "2.23.3"])
def test_an_old_compose_is_told(fake_docker: Path, version: str) -> None:
    script(fake_docker, f"echo {version}")
    with pytest.raises(Ailment, match=rf"{version} is too old") as told:
        docker.plugin(nothing_but(compose=compose()))
    assert "docker-compose-plugin" in told.value.remedy


def test_a_compose_that_hangs_is_ended_with_its_children(
    fake_docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_ASK_S", 0.2)
    script(fake_docker, "/bin/sleep 60 &\nwait")
    with pytest.raises(ServicesError, match=r"did not finish within 0\.2 s"):
        docker.plugin(nothing_but(compose=compose()))


def test_compose_gets_no_setting_of_the_deployer(
    fake_docker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEPLOYER_GITHUB_TOKEN", "3.0")
    script(fake_docker, 'echo "${DEPLOYER_GITHUB_TOKEN:-2.24}"')
    assert docker.plugin(nothing_but(compose=compose())) == "Compose 2.24"


# --- the compose file ------------------------------------------------------------------


@pytest.mark.docker
def test_a_file_is_read_as_compose_understands_it(engine: None, tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yaml"
    file.write_text(json.dumps({"services": {"well": {**SLEEPS, "stop_grace_period": "90s"}}}))
    read = docker.stack(nothing_but(compose=compose(file), compose_file=file))
    assert read.services["well"].stop_grace_s == 90


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Ailment, match="there is no ") as told:
        docker.stack(nothing_but(compose=compose(), compose_file=tmp_path / "docker-compose.yaml"))
    assert "DEPLOYER_COMPOSE_FILE" in told.value.remedy


@pytest.mark.docker
def test_a_file_that_compose_refuses_is_told_without_its_secrets(
    engine: None, tmp_path: Path
) -> None:
    file = tmp_path / "docker-compose.yaml"
    file.write_text(json.dumps({"services": {"well": SLEEPS}}))
    (tmp_path / ".env").write_text("A PASSWORD=hunter2hunter2\n")
    with pytest.raises(Ailment, match="Compose refuses") as told:
        docker.stack(nothing_but(compose=compose(file), compose_file=file))
    assert f"--file {file} config --quiet" in told.value.remedy
    assert "hunter2" not in str(told.value)


# --- the containers ----------------------------------------------------------------------


@pytest.mark.docker
def test_containers_that_ail_are_named_each(project: Project) -> None:
    told = told_of(project, "well", "missing")
    assert told.detail == (
        "missing has no container; crashed ended with exit code 3; sick is unhealthy; "
        "done: passed over: line 3"
    )
    assert f"docker compose --project-name {project.name} --file " in told.remedy
    assert ".yaml logs; then start it" in told.remedy


@pytest.mark.docker
def test_a_service_that_should_run_and_ended_well_is_told(project: Project) -> None:
    assert "done ended with exit code 0" in told_of(project, "done").detail


@pytest.mark.docker
def test_containers_that_run_and_are_healthy_pass(project: Project) -> None:
    project.compose("rm", "--stop", "--force", "--volumes", "sick", "crashed", "done")
    assert look(project, "well", "young", "unchecked") == (
        "unchecked, well, young run, and start: young; without a health check: unchecked"
    )
    project.compose("rm", "--stop", "--force", "--volumes", "young")
    assert look(project, "well", "unchecked") == (
        "unchecked, well run and are healthy; without a health check: unchecked"
    )


@pytest.mark.docker
def test_a_paused_container_is_told(project: Project) -> None:
    project.compose("pause", "unchecked")
    try:
        assert "unchecked is paused" in told_of(project, "unchecked").detail
    finally:
        project.compose("unpause", "unchecked")


class Listed:
    """An engine with one container."""

    def __init__(self, state: ContainerState) -> None:
        self._state = state

    def about(self) -> About:
        return About("28.2.2", Path("/var/lib/docker"))

    def containers(self) -> tuple[Seen, ...]:
        return (Seen("well", self._state),)


def test_one_that_ends_again_and_again_is_told_also_while_it_starts() -> None:
    starts = partial(ContainerState, "running", "starting")
    once = nothing_but(engine=Listed(starts(restarts=1)), recreate_services=("well",))
    assert docker.services(once) == "well run, and start: well"
    with pytest.raises(Ailment, match="well is starting, 41 times started again"):
        docker.services(
            nothing_but(engine=Listed(starts(restarts=41)), recreate_services=("well",))
        )
