"""Running Compose: bounded, one at a time, and without taking it along into death.

A stand-in plays `docker`; tests/integration/test_compose_services.py has the real one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from deployer.edges.compose.engine import ENGINE
from deployer.edges.compose.runner import CONFIG, Command, ComposeRunner, Project, up
from deployer.edges.parser import container
from deployer.edges.parser.container import ContainerParser, ContainerPlace
from deployer.errors import PreflightError, ServicesError
from tests.integration.waiting import eventually

BOUND_S = 60.0

# As `docker` does with its plugin, it runs another program, which has what it inherited.
DOCKER = """#!/bin/sh
here=$(dirname "$0")
echo "begins" >>"$here/order"
env >"$here/environment"
sh "$here/plugin" "$@"
status=$?
echo "ends" >>"$here/order"
exit $status
"""
WAITS = """
echo $$ >"$(dirname "$0")/pid.new"
mv "$(dirname "$0")/pid.new" "$(dirname "$0")/pid"
for _ in $(seq 1000); do [ -e "$(dirname "$0")/go" ] && exit 0; sleep 0.02; done
exit 1
"""


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Return a directory with a `docker` that waits for a file `go`."""
    there = tmp_path / "bin"
    there.mkdir()
    (there / "docker").write_text(DOCKER)
    (there / "docker").chmod(0o755)
    (there / "plugin").write_text(WAITS)
    return there


@pytest.fixture
def runner(programs: Path, tmp_path: Path) -> ComposeRunner:
    return make_runner(tmp_path, programs)


def make_runner(place: Path, programs: Path) -> ComposeRunner:
    environ = {**os.environ, "PATH": f"{programs}:/usr/bin:/bin", "DEPLOYER_SECRET": "x"}
    project = Project("c2-runner", place / "docker-compose.yaml")
    return ComposeRunner(project, place / "state" / "compose.log", environ=environ)


PARENT = """
import sys
import time
from pathlib import Path
from tests.integration.test_compose_runner import make_runner
from deployer.edges.compose.runner import up
make_runner(Path(sys.argv[1]), Path(sys.argv[2])).run(up("x"), within_s=60)
"""


@pytest.fixture
def orphan(programs: Path, tmp_path: Path) -> Iterator[None]:
    """A Compose whose worker was killed."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path), str(programs)])
    try:
        eventually((programs / "pid").exists, BOUND_S)
    finally:
        parent.kill()
        parent.wait()
    yield
    (programs / "go").touch()
    make_runner(tmp_path, programs).wait_idle(BOUND_S)


def order(programs: Path) -> list[str]:
    return (programs / "order").read_text().split()


def test_compose_outlives_its_worker_and_the_next_one_waits_for_it(
    orphan: None, runner: ComposeRunner, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServicesError):
        runner.wait_idle(0)
    assert order(programs) == ["begins"]
    # Only a runner that waits lets the orphan go on.
    monkeypatch.setattr(time, "sleep", lambda _: (programs / "go").touch())
    runner.run(up("x"), within_s=BOUND_S)
    assert order(programs) == ["begins", "ends", "begins", "ends"]
    runner.wait_idle(0)


def test_an_orphan_is_waited_for_within_bounds(orphan: None, runner: ComposeRunner) -> None:
    with pytest.raises(ServicesError, match=r"has not ended in 0\.2 s"):
        runner.run(up("x"), within_s=0.2)
    with pytest.raises(ServicesError, match="has not ended"):
        runner.wait_idle(0.1)


def test_a_command_that_takes_too_long_is_killed_with_its_children(
    runner: ComposeRunner, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (programs / "plugin").write_text(f"echo Container x Stopping\n{WAITS}")
    start = runner._child

    @contextmanager
    def start_and_see_it_run(
        command: Command, out: IO[bytes] | int, err: int
    ) -> Iterator[subprocess.Popen[bytes]]:
        with start(command, out, err) as child:
            # Five programs start one another before anything is said: no part of what is timed.
            eventually((programs / "pid").exists, BOUND_S)
            yield child

    monkeypatch.setattr(runner, "_child", start_and_see_it_run)
    with pytest.raises(ServicesError, match=r"up did not finish within 0\.5 s:\nContainer x Stop"):
        runner.run(up("x"), within_s=0.5)
    eventually(lambda: not alive(int((programs / "pid").read_text())), BOUND_S)
    runner.wait_idle(BOUND_S)  # its own children die by the same signal, each in its time


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_failure_ends_with_the_last_lines(runner: ComposeRunner, programs: Path) -> None:
    (programs / "plugin").write_text(
        '[ "$2" = version ] && exit 0\nfor i in $(seq 9); do echo line $i >&2; done; exit 4\n'
    )
    lines = "\n".join(f"line {i}" for i in range(5, 10))
    with pytest.raises(ServicesError) as caught:
        runner.run(up("x"), within_s=BOUND_S)
    assert str(caught.value) == f"docker compose up failed: {lines}"
    with pytest.raises(ServicesError, match="docker compose config failed: line 5"):
        runner.ask(CONFIG)


def test_what_is_asked_for_comes_without_the_warnings_beside_it(
    runner: ComposeRunner, programs: Path
) -> None:
    (programs / "plugin").write_text("echo 'variable is not set' >&2; echo '{}'\n")
    assert runner.ask(CONFIG) == "{}\n"


def test_a_file_that_compose_does_not_print_as_json_is_told(
    runner: ComposeRunner, programs: Path
) -> None:
    (programs / "plugin").write_text("echo services:\n")
    with pytest.raises(ServicesError, match="docker compose config printed no JSON"):
        runner.config()


@pytest.mark.parametrize(
    ("told", "config"),
    [
        ({"DOCKER_HOST": "tcp://engine:2376", "DOCKER_TLS_VERIFY": "1"}, "/home/x/.docker"),
        ({"DOCKER_CONTEXT": "away"}, "/home/x/.docker"),
        ({"DOCKER_CONFIG": "/etc/docker-cli", "DOCKER_CERT_PATH": "/etc/certs"}, "/etc/docker-cli"),
    ],
)
def test_compose_and_the_isolated_parser_are_told_the_same_engine(
    programs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    told: dict[str, str],
    config: str,
) -> None:
    (programs / "plugin").write_text("exit 0")
    for name in ENGINE:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**told, "HOME": "/home/x", "PATH": f"{programs}:/usr/bin:/bin"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(container, "_remove_orphans", lambda *_: None)  # it asks a real engine
    wanted = {**told, "DOCKER_CONFIG": config}

    make_runner(tmp_path, programs).ask(CONFIG)
    assert engine_told(programs) == wanted
    place = ContainerPlace("class-airflow:current", "class", tmp_path, tmp_path)
    with pytest.raises(PreflightError, match="it died"):
        ContainerParser(lambda: place).start()
    assert engine_told(programs) == wanted


def engine_told(programs: Path) -> dict[str, str]:
    """Return what the stand-in for `docker` was told last of an engine."""
    lines = (programs / "environment").read_text().splitlines()
    told = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: value for name, value in told.items() if name in ENGINE}


def test_compose_sees_no_secret_of_the_deployers(runner: ComposeRunner, programs: Path) -> None:
    (programs / "plugin").write_text("exit 0\n")
    runner.run(up("x"), within_s=BOUND_S)
    seen = (programs / "environment").read_text()
    assert "PATH=" in seen
    assert "DEPLOYER_SECRET" not in seen


def test_a_docker_without_compose_is_told_with_what_to_install(
    runner: ComposeRunner, programs: Path
) -> None:
    (programs / "plugin").write_text("echo \"'compose' is not a docker command\"; exit 1\n")
    with pytest.raises(ServicesError, match="install docker-compose-v2"):
        runner.run(up("x"), within_s=BOUND_S)


def test_a_machine_without_docker_is_told_with_what_to_install(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    project = Project("c2-runner", tmp_path / "x.yaml")
    runner = ComposeRunner(project, tmp_path / "compose.log", environ={"PATH": str(empty)})
    with pytest.raises(ServicesError, match="install Docker Engine"):
        runner.run(up("x"), within_s=BOUND_S)


def test_a_state_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(ServicesError, match="can't be written"):
        make_runner(tmp_path, tmp_path).wait_idle(0)
