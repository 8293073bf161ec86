"""Both ways of packages on a real engine: proven, named, read back, tidied."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import docker
import pytest
from docker import DockerClient
from docker.models.containers import Container

from deployer.core.requirements.blame import CommandEnd
from deployer.demo.stage import free_port
from deployer.edges.compose.engine import ENGINE_ERRORS
from deployer.edges.compose.image_way import IMAGE_LABEL, ImageSlots, ImageWay
from deployer.edges.compose.plain_way import PlainWay
from deployer.edges.compose.proving import PROJECT_LABEL, Bounds, Prover
from deployer.edges.packages.slots import LinkSlots, Slot
from deployer.errors import DiskError, RequirementsRefused, ServicesError

pytestmark = pytest.mark.docker

AIRFLOW = "class-deployer/airflow:test"
POSTGRES = "class-deployer/postgres:test"
TEXT = "# ours\ncowsay==6.1  # moo\n"
# Airflow's start alone, without bytecode, takes minutes where ten others want the processor.
BOUNDS = Bounds(resolve_s=600, build_s=1800, check_s=600, probe_s=300, cpus=2)


@pytest.fixture(scope="module")
def client() -> Iterator[DockerClient]:
    try:
        found = docker.from_env()
        found.images.get(AIRFLOW)
    except ENGINE_ERRORS as exc:
        reason = f"no Docker engine with {AIRFLOW}: run scripts/docker up ({exc})"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    yield found
    found.close()


@pytest.fixture
def project(client: DockerClient) -> Iterator[str]:
    """A project's name; what carries its labels is removed afterwards."""
    name = f"c1-{uuid4().hex[:8]}"
    yield name
    for container in client.containers.list(all=True, filters={"label": f"{PROJECT_LABEL}={name}"}):
        container.remove(force=True, v=True)
    for tag in names_of(client, name):  # the images have other names that are not ours
        client.images.remove(f"{name}:{tag}", force=True, noprune=True)
    image_way(client, name).tidy()


def image_way(client: DockerClient, project: str, bounds: Bounds = BOUNDS) -> ImageWay:
    prover = Prover(client, project=project, bounds=bounds)
    return ImageWay(prover, project, lambda: AIRFLOW)


def plain_way(client: DockerClient, project: str, directory: Path) -> PlainWay:
    return PlainWay(Prover(client, project=project, bounds=BOUNDS), directory, AIRFLOW)


def started(client: DockerClient, project: str, image: str) -> Container:
    """Start a container that stands for one of Airflow's."""
    return again(
        client.containers.run(
            image,
            ["infinity"],
            entrypoint=["sleep"],
            labels={PROJECT_LABEL: project},
            network_mode="none",
            detach=True,
        )
    )


def again(container: Container) -> Container:
    """Return it as it would be listed now."""
    container.reload()
    return container


def names_of(client: DockerClient, project: str) -> dict[str, str | None]:
    """Return the image id by tag, of the project's own tags."""
    return {
        tag.rpartition(":")[2]: image.id
        for image in client.images.list(project)
        for tag in image.tags
        if tag.startswith(f"{project}:")
    }


def left_of(client: DockerClient, project: str) -> list[object]:
    """Return containers with a label of the project, and its images without a name."""
    found = {
        container.id: container
        for label in (PROJECT_LABEL, IMAGE_LABEL)
        for container in client.containers.list(all=True, filters={"label": f"{label}={project}"})
    }
    nameless = {"label": f"{IMAGE_LABEL}={project}", "dangling": True}
    return [*found.values(), *client.images.list(filters={**nameless})]


# -- throwaway containers


def small(client: DockerClient, project: str) -> Prover:
    return Prover(client, project=project, bounds=Bounds(memory_mb=64))


def test_a_throwaway_container_has_no_rights_and_nothing_is_left_of_it(
    client: DockerClient, project: str
) -> None:
    script = "grep -E 'CapBnd|NoNewPrivs' /proc/self/status; cat /tmp/given; ls /sys/class/net"
    ended = small(client, project).run(
        AIRFLOW, ["-c", f"{script}; exit 7"], within_s=30, files={"tmp/given": b"a text\n"}
    )
    assert (ended.end, ended.status) == (CommandEnd.EXITED, 7)
    assert ended.text.split() == ["CapBnd:", "0" * 16, "NoNewPrivs:", "1", "a", "text", "lo"]
    assert left_of(client, project) == []


def test_a_throwaway_container_is_killed_when_its_time_is_over(
    client: DockerClient, project: str
) -> None:
    ended = small(client, project).run(AIRFLOW, ["-c", "echo began; sleep 60"], within_s=5)
    assert (ended.end, ended.text) == (CommandEnd.OUT_OF_TIME, "began\n")
    assert left_of(client, project) == []


@pytest.mark.parametrize("then", ["", "; exit 5"], ids=["itself", "its child"])
def test_a_throwaway_container_that_wants_too_much_memory_is_told_so(
    client: DockerClient, project: str, then: str
) -> None:
    script = f"python -c 'bytearray(1 << 29)'{then}"
    ended = small(client, project).run(AIRFLOW, ["-c", script], within_s=30)
    assert ended.end is CommandEnd.OUT_OF_MEMORY


def test_an_engine_that_is_away_is_the_operators_affair() -> None:
    away = DockerClient(base_url=f"tcp://127.0.0.1:{free_port()}", version="1.41")
    try:
        with pytest.raises(ServicesError, match="see that it runs"):
            image_way(away, "c1-away").tidy()
    finally:
        away.close()


# -- the image way


def test_the_names_of_images_are_moved_and_gone_back_from(
    client: DockerClient, project: str
) -> None:
    old, new = (client.images.get(name).id for name in (AIRFLOW, POSTGRES))
    names = ImageSlots(client, project)
    names.point(Slot.CURRENT, old or "")
    names.point(Slot.NEXT, new or "")
    names.advance()
    assert names_of(client, project) == {"current": new, "previous": old}
    names.go_back()
    assert names_of(client, project) == {"current": old}
    assert names.target(Slot.NEXT) is None


def test_an_image_is_built_named_and_its_text_read_back_once_it_was_healthy(
    client: DockerClient, project: str
) -> None:
    way = image_way(client, project)
    before = client.images.get(AIRFLOW)
    before.tag(project, tag="current")
    assert way.build(TEXT) == ("cowsay==6.1",)
    assert names_of(client, project)["current"] == before.id
    without_text = started(client, project, f"{project}:current")
    assert way.installed([without_text]) == "", "whatever it holds, it is not the class's"

    way.slots.advance()
    container = started(client, project, f"{project}:current")
    assert way.installed([container]) is None, "it was not found healthy yet"
    way.slots.confirm()
    assert list(names_of(client, project)) == ["current"]
    assert way.installed([container]) == TEXT
    assert way.installed([container, without_text]) is None, "they do not agree"
    container.stop(timeout=0)
    assert way.installed([again(container)]) is None, "it does not run"

    # Somebody rebuilds the image by hand, and then recreates the services.
    container.start()
    before.tag(project, tag="current")
    assert way.installed([again(container)]) is None, "he is at work"
    by_hand = started(client, project, f"{project}:current")
    assert way.installed([by_hand]) == ""


def test_an_image_whose_name_somebody_took_away_is_told_with_what_to_do(
    client: DockerClient, project: str
) -> None:
    way = image_way(client, project)
    client.images.get(AIRFLOW).tag(project, tag="current")
    container = started(client, project, f"{project}:current")
    way.slots.drop(Slot.CURRENT)
    with pytest.raises(ServicesError, match=rf"no image {project}:current: .*docker compose build"):
        way.installed([container])


def test_what_cannot_be_installed_is_refused_with_its_line_and_nothing_is_named(
    client: DockerClient, project: str
) -> None:
    way = image_way(client, project)
    for text, said in {
        "six\nno-such-package-anywhere-zz==1\n": "no-such-package-anywhere-zz was not found",
        "six\napache-airflow==1.10\n": "you require apache-airflow==1.10",
        "six\nsklearn==0.0.post12\n": "use 'scikit-learn'",
        "cowsay\nsix===what\n": "expected version to start with a number",
    }.items():
        with pytest.raises(RequirementsRefused) as caught:
            way.resolve(text)
        assert said in caught.value.reason
        assert caught.value.line == 2
    with pytest.raises(RequirementsRefused) as caught:
        way.build("six\nmysqlclient==2.1.0\n")
    assert caught.value.reason == (
        "Failed to build `mysqlclient==2.1.0`: OSError: mysql_config not found"
    )
    assert caught.value.line == 2
    assert names_of(client, project) == {}


def test_what_installs_and_does_not_work_is_refused_before_it_has_a_name(
    client: DockerClient, project: str
) -> None:
    # Its module needs a name that Python 3.10 took out of `collections`.
    with pytest.raises(RequirementsRefused, match="installs, but import fails: attrdict: ImportE"):
        image_way(client, project).build("attrdict==2.0.1\n")
    assert names_of(client, project) == {}


def test_an_index_out_of_reach_is_not_the_authors_fault(client: DockerClient, project: str) -> None:
    bounds = dataclasses.replace(BOUNDS, resolve_s=1, probe_s=1, index_network="none")
    with pytest.raises(ServicesError, match="package index does not answer"):
        image_way(client, project, bounds).resolve(TEXT)


def test_searching_for_too_long_is_refused(client: DockerClient, project: str) -> None:
    # Less than uv needs to start and to ask the index once.
    bounds = dataclasses.replace(BOUNDS, resolve_s=0.1)
    with pytest.raises(RequirementsRefused, match=r"did not resolve .* within 0\.1 s"):
        image_way(client, project, bounds).resolve("dbt-core<2\n")


def test_without_room_nothing_is_built_and_both_figures_are_told(
    client: DockerClient, project: str
) -> None:
    bounds = dataclasses.replace(BOUNDS, needs_bytes=1 << 60)
    with pytest.raises(DiskError, match=r"has [\d.]+ GiB free .* needs 1073741824\.0 GiB"):
        image_way(client, project, bounds).build(TEXT)
    assert names_of(client, project) == {}


def test_tidy_removes_what_a_deployer_or_an_engine_that_died_left_and_nothing_else(
    client: DockerClient, project: str
) -> None:
    label = f"LABEL {IMAGE_LABEL}={project}"
    source = client.containers.create(AIRFLOW, ["true"])
    source.commit(repository=project, tag="current", changes=label)
    built = client.images.get(f"{project}:current")
    kept = client.containers.create(f"{project}:current", ["true"])  # one of the class's
    try:
        source.commit(changes=label)  # a build that was not named
        client.containers.create(built.id or "", ["true"])  # as the builder makes its own
        started(client, project, AIRFLOW)
        assert len(left_of(client, project)) == 4
        image_way(client, project).tidy()
        assert left_of(client, project) == [kept]
        assert names_of(client, project) == {"current": built.id}
    finally:
        kept.remove(force=True, v=True)
        source.remove(force=True, v=True)


# -- the plain way


def test_pins_are_proven_named_and_known_of_containers_that_started_on_them(
    client: DockerClient, project: str, tmp_path: Path
) -> None:
    umask = os.umask(0o077)
    try:
        way = plain_way(client, project, tmp_path / "packages")
        way.ensure_current()
        first = started(client, project, AIRFLOW)
        assert way.installed([first]) == ""
        assert way.build(TEXT) == ("cowsay==6.1",)
    finally:
        os.umask(umask)
    assert (tmp_path / "packages/next/requirements.txt").read_text() == "cowsay==6.1\n"
    assert (tmp_path / "packages/current/requirements.txt").read_text() == ""

    way.slots.advance()
    way.slots.confirm()
    first.restart(timeout=0)
    assert way.installed([again(first)]) is None, "it has what it installed when made"
    second = started(client, project, AIRFLOW)
    assert way.installed([second]) == TEXT

    # Somebody lets the link lead to another list by hand, and then recreates the services.
    names = LinkSlots(tmp_path / "packages")
    names.point(Slot.CURRENT, tmp_path / "packages" / "1")
    assert way.installed([again(second)]) is None, "he is at work"
    assert way.installed([started(client, project, AIRFLOW)]) == ""
    names.point(Slot.CURRENT, tmp_path / "packages" / "2")
    way.tidy()
    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == ["2", "current"]


def test_a_plain_list_that_somebody_removed_is_told_with_what_to_do(
    client: DockerClient, project: str, tmp_path: Path
) -> None:
    way = plain_way(client, project, tmp_path)
    way.ensure_current()
    container = started(client, project, AIRFLOW)
    (tmp_path / "current").unlink()
    with pytest.raises(ServicesError, match="current leads nowhere: restart the worker"):
        way.installed([container])


def test_a_package_whose_build_fails_is_refused_in_the_plain_way_too(
    client: DockerClient, project: str, tmp_path: Path
) -> None:
    way = plain_way(client, project, tmp_path / "packages")
    with pytest.raises(RequirementsRefused) as caught:
        way.build("six\nmysqlclient==2.1.0\n")
    assert caught.value.reason == (
        "Failed to build mysqlclient==2.1.0: OSError: mysql_config not found"
    )
    assert caught.value.line == 2
    assert not (tmp_path / "packages/next").exists()


def test_packages_with_which_a_container_does_not_start_again_are_refused_in_the_plain_way(
    client: DockerClient, project: str, tmp_path: Path
) -> None:
    # The official image's constraints don't name pip.
    recipe = f"FROM {AIRFLOW}\nRUN sed -i '/^pip==/d' ${{HOME}}/constraints.txt\n"
    client.images.build(fileobj=io.BytesIO(recipe.encode()), tag=f"{project}:unpinned", rm=True)
    way = plain_way(client, project, tmp_path / "packages")
    way.image = f"{project}:unpinned"
    # On a Python of today this pip can't be imported; it installs itself last.
    with pytest.raises(RequirementsRefused, match="installs, but another start fails: "):
        way.build("pip==10.0.1\n")
