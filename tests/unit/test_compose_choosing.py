"""Which way the packages of a stack go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest
from docker.client import DockerClient
from docker.errors import APIError

from deployer.app.airflow import choose_way
from deployer.core.stack import PIP_AT_START, Service, Stack
from deployer.edges.compose.engine import LazyClient
from deployer.edges.compose.image_way import ImageWay
from deployer.edges.compose.plain_way import PlainWay
from deployer.edges.compose.proving import Bounds, Prover
from deployer.edges.compose.services import Way
from deployer.errors import ServicesError

NAMES = ("airflow-scheduler", "airflow-apiserver")
BASE = {"AIRFLOW_IMAGE_NAME": "apache/airflow:3.3.2"}
BUILT = Service(image="registry:5000/class-airflow:current", build_args=BASE)


def chosen(*services: Service) -> Way:
    return read_as(lambda: stack(*services), LazyClient())


def stack(*services: Service) -> Stack:
    return Stack(Path("/etc/deployer/docker-compose.yaml"), dict(zip(NAMES, services, strict=True)))


def read_as(read: Callable[[], Stack], client: DockerClient) -> Way:
    prover = Prover(client, project="class-airflow", bounds=Bounds(needs_bytes=0))
    return choose_way(read, NAMES, prover, Path("/srv/class-airflow/packages"))


def test_an_image_that_is_built_goes_the_way_of_images() -> None:
    assert isinstance(chosen(BUILT, BUILT), ImageWay)


def test_an_image_is_built_from_the_airflow_that_the_file_names_by_then() -> None:
    client = Mock()
    client.info.return_value = {"DockerRootDir": "/"}
    client.api.build.side_effect = APIError("that is enough")
    files = [stack(BUILT, BUILT)]
    way = read_as(lambda: files[-1], client)
    newer = replace(BUILT, build_args={"AIRFLOW_IMAGE_NAME": "apache/airflow:3.3.9"})
    files.append(stack(newer, newer))
    with pytest.raises(ServicesError, match="that is enough"):
        way.build("cowsay")
    asked = client.api.build.call_args.kwargs["buildargs"]
    assert asked == {"AIRFLOW_IMAGE_NAME": "apache/airflow:3.3.9"}


def test_one_service_that_builds_is_enough_for_all_that_run_its_image() -> None:
    assert isinstance(chosen(BUILT, Service(image=BUILT.image)), ImageWay)


def test_an_image_that_nobody_builds_is_an_error_that_says_what_to_change() -> None:
    unbuilt = Service(image=BUILT.image)
    with pytest.raises(ServicesError, match=r"give a service with the image .* a `build`"):
        chosen(unbuilt, unbuilt)


def test_containers_that_install_packages_themselves_go_the_plain_way() -> None:
    plain = Service(image="apache/airflow:3.3.2", environment={PIP_AT_START: "-r x"})
    assert isinstance(chosen(plain, plain), PlainWay)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Service(image="other:current", build_args=BASE), "one and the same `image`"),
        (Service(build_args=BASE), "one and the same `image`"),
        (
            Service(image=BUILT.image, build_args={"AIRFLOW_IMAGE_NAME": "apache/airflow:3.3.1"}),
            "one and the same argument AIRFLOW_IMAGE_NAME",
        ),
        (Service(image=BUILT.image, build_args={}), "argument AIRFLOW_IMAGE_NAME"),
    ],
)
def test_services_that_differ_are_an_error_that_says_what_to_change(
    other: Service, what: str
) -> None:
    with pytest.raises(ServicesError, match=f"docker-compose.yaml: .*{what}"):
        chosen(BUILT, other)


def test_an_image_under_another_tag_is_an_error_that_says_what_to_change() -> None:
    latest = Service(image="class-airflow:latest", build_args=BASE)
    with pytest.raises(ServicesError, match="must be named NAME:current"):
        chosen(latest, latest)
