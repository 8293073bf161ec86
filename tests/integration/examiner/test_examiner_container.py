"""The parser in a container: every kind of file again, what it can't reach, how it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from deployer.core.model import Examined
from deployer.demo.stage import free_port
from deployer.edges.parser import container as container_module
from deployer.edges.parser.container import ContainerParser, ContainerPlace
from deployer.edges.parser.examiner import IsolatedExaminer
from deployer.edges.parser.protocol import Limits
from deployer.errors import PreflightError
from tests.integration.examiner import unstorable
from tests.integration.examiner.conftest import PROJECT
from tests.integration.examiner.files import GOOD, HARMFUL, HEAD, MEMORY_MB, ORDINARY, holding
from tests.integration.examiner.world import Disk, Real

pytestmark = pytest.mark.docker

WORKER = """
import sys, time
from pathlib import Path
from deployer.edges.parser.container import ContainerParser, ContainerPlace
place = ContainerPlace(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
process = ContainerParser(lambda: place).start()
print("ready", flush=True)
time.sleep(600)
"""


def wait_until(condition: Callable[[], bool], what: str, bound_s: float = 60.0) -> None:
    until = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < until, f"not within {bound_s} s: {what}"
        time.sleep(0.05)


def containers(engine: docker.DockerClient, project: str = PROJECT) -> list[str]:
    found = engine.api.containers(all=True, filters={"label": f"class-deployer.parser={project}"})
    return [str(one["Id"]) for one in found]


def only_container(engine: docker.DockerClient) -> str:
    """Return the one container there is, once those that were ended before are removed."""
    wait_until(lambda: len(containers(engine)) == 1, "there is one container")
    (found,) = containers(engine)
    return found


def examiner_at(place: ContainerPlace) -> IsolatedExaminer:
    parser = ContainerParser(lambda: place)
    disk = Disk(place.checkout_dir / "releases")
    return IsolatedExaminer(now=parser, built=parser, materialiser=disk)


def test_every_kind_of_file_ends_as_it_does_in_the_embedded_parser(
    container: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    # All in one request, so that those which run into a bound do so at the same time.
    monkeypatch.setattr("deployer.edges.parser.protocol.PARALLEL", 4)
    expected: dict[str, Examined | tuple[object, ...]] = {}

    def add(content: str) -> str:
        return container.disk.write(f"dags/k{len(expected)}/x.py", content)

    for case in GOOD:
        content, dag_ids = case.values
        path = add(str(content))
        expected[path] = Examined(path, dag_ids)  # type: ignore[arg-type]  # of a table
    for case in ORDINARY:
        content, error = case.values
        path = add(str(content))
        kind, message, line = error  # type: ignore[misc]  # of a table
        expected[path] = (kind, str(message).replace("dags/lasse/x.py", path), line)
    for case in HARMFUL:
        content, harm = case.values
        path = add(HEAD + str(content))
        expected[path] = Examined(path, harm=str(harm))

    for content, harm in unstorable.HELD.values():
        path = add(content)
        expected[path] = Examined(path, harm=harm)

    found = container.examine(*expected)

    assert {
        one.path: (one.error.type, one.error.message, one.error.line) if one.error else one
        for one in found
    } == expected


def test_a_file_can_reach_nothing_but_itself(container: Real, place: ContainerPlace) -> None:
    found = container.look_at(
        f"""{HEAD}
import os, pathlib, socket
can = [name for name in os.environ if "DEPLOYER" in name]
for place in ("/opt/airflow/x", "/home/airflow/x", __file__, {str(place.checkout_dir / "x")!r}):
    try:
        open(place, "a")
        can.append(f"write {{place}}")
    except OSError:
        pass
can += [name for _, name in socket.if_nameindex() if name != "lo"]
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
can += [name for name in ("CapEff", "CapPrm", "CapBnd") if int(status[name], 16)]
can += [] if status["NoNewPrivs"].strip() == "1" else ["gain privileges"]
can += ["be root"] if 0 in os.getresuid() else []
can += ["see the engine"] if os.path.exists("/var/run/docker.sock") else []
pathlib.Path("/tmp/own").write_text("temporary files are all right")
assert not can, can
"""
        + holding("alone")
    )

    assert found == Examined("dags/lasse/x.py", ("alone",))


def test_processes_without_end_stop_at_the_containers_bound_and_spoil_nothing(
    container: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = container.disk.write("dags/eve/x.py", f"{HEAD}import os\nwhile True: os.fork()\n")
    good = container.disk.write("dags/amy/x.py", holding("amy"))

    with monkeypatch.context() as patch:
        patch.setattr(container.examiner, "_limits", Limits(wall_s=2, memory_mb=MEMORY_MB))
        (found,) = container.examine(bomb)

    assert found.harm
    assert container.examine(good) == (Examined(good, ("amy",)),)


def test_no_file_can_kill_the_parser(container: Real) -> None:
    found = container.look_at(
        f"{HEAD}import os, signal\nfor _ in range(3): os.kill(1, signal.SIGKILL)\n"
        + holding("vain")
    )

    assert found == Examined("dags/lasse/x.py", ("vain",))


def test_releases_that_the_containers_user_cannot_read_are_the_operators_fault(
    container: Real, place: ContainerPlace
) -> None:
    place.checkout_dir.chmod(0o700)
    try:
        with pytest.raises(PreflightError, match="PermissionError"):
            container.look_at(holding("x"))
    finally:
        place.checkout_dir.chmod(0o755)


def test_another_image_under_the_name_is_used_from_the_next_examination_on(
    container: Real, engine: docker.DockerClient, image: str
) -> None:
    assert container.look_at(holding("before")).dag_ids == ("before",)
    before = only_container(engine)
    container.look_at(holding("before"))
    assert containers(engine) == [before]
    own = engine.images.get(image)
    try:
        changed = engine.containers.create(image, labels=[PROJECT])
        try:
            changed.commit(*image.split(":"))
        finally:
            changed.remove()
        assert container.look_at(holding("after")).dag_ids == ("after",)
        after = only_container(engine)
    finally:
        other = engine.images.get(image)
        own.tag(*image.split(":"))
        container.examiner.close()
        wait_until(lambda: not containers(engine), "nothing runs on the image")
        engine.images.remove(str(other.id), force=True)

    assert after != before


def test_no_container_outlives_a_worker_that_was_killed(
    engine: docker.DockerClient, image: str, place: ContainerPlace, tmp_path: Path
) -> None:
    project = f"{PROJECT}-killed"
    paths = (str(place.checkout_dir), str(place.files))
    argv = (sys.executable, "-c", WORKER, image, project, *paths)
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env) as worker:
        try:
            assert worker.stdout is not None
            assert worker.stdout.readline() == b"ready\n"
            assert len(containers(engine, project)) == 1
        finally:
            worker.kill()

    wait_until(lambda: not containers(engine, project), "the container is gone")


def test_no_container_outlives_its_docker_command_and_the_next_examination_starts_another(
    container: Real, engine: docker.DockerClient
) -> None:
    """As systemd kills: the worker's whole control group."""
    container.look_at(holding("before"))
    process = container.examiner._now._process
    assert process is not None
    process._process.kill()

    wait_until(lambda: not containers(engine), "the container is gone")
    assert container.look_at(holding("after")).dag_ids == ("after",)


def test_closing_removes_a_container_that_does_not_end_by_itself(
    container: Real, engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(container_module, "END_S", 0.1)
    container.look_at(holding("x"))
    running = only_container(engine)
    engine.api.pause(running)

    container.examiner.close()

    assert not containers(engine)


def test_an_image_that_is_not_there_is_named(place: ContainerPlace) -> None:
    examiner = examiner_at(replace(place, image="f-examiner:nowhere"))

    with pytest.raises(PreflightError, match="no image f-examiner:nowhere: make"):
        examiner.warm_up()


def test_an_engine_that_refuses_is_quoted(place: ContainerPlace) -> None:
    examiner = examiner_at(replace(place, checkout_dir=place.checkout_dir / "gone"))

    with pytest.raises(PreflightError, match=r"did not start: .*gone"):
        examiner.warm_up()


def test_without_an_engine_it_says_what_to_do(
    place: ContainerPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")

    with pytest.raises(PreflightError, match="see that it runs"):
        examiner_at(place).warm_up()


def test_in_the_plain_way_it_installs_the_packages_at_start_and_has_no_network_then(
    place: ContainerPlace, class_files: Path
) -> None:
    packages = place.checkout_dir / "packages"
    (packages / "1").mkdir(parents=True)
    (packages / "1" / "requirements.txt").write_text("text-unidecode==1.3\n")
    (packages / "current").symlink_to("1")
    plain = replace(
        place,
        files=class_files,
        pip_requirements="--requirement /opt/class/packages/current/requirements.txt",
    )
    parser = ContainerParser(lambda: plain)
    with closing(examiner_at(plain)) as examiner:
        disk = Disk(place.checkout_dir / "releases")
        examiner._materialiser = disk

        found = Real(examiner, disk).look_at(
            f"{HEAD}import socket, text_unidecode\n"
            "assert [name for _, name in socket.if_nameindex()] == ['lo']\n" + holding("plain")
        )
    before = parser.runs_on()
    (packages / "current").unlink()
    (packages / "current").symlink_to("2")

    assert found == Examined("dags/lasse/x.py", ("plain",))
    assert parser.runs_on() != before
