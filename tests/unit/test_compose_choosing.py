"""Which way the packages of a stack go."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.core.stack_rules import PIP_AT_START
from deployer.edges.compose.choosing import choose_way
from deployer.edges.compose.client import LazyClient
from deployer.edges.compose.image_way import ImageWay
from deployer.edges.compose.plain_way import PlainWay
from deployer.edges.compose.proving import Bounds
from deployer.edges.compose.stack import Service, Stack
from deployer.edges.compose.ways import Way
from deployer.errors import ServicesError

NAMES = ("airflow-scheduler", "airflow-apiserver")
BASE = {"AIRFLOW_IMAGE_NAME": "apache/airflow:3.3.2"}
BUILT = Service(image="registry:5000/class-airflow:current", build_args=BASE)


def chosen(*services: Service) -> Way:
    stack = Stack(
        Path("/etc/deployer/docker-compose.yaml"), dict(zip(NAMES, services, strict=True))
    )
    return choose_way(
        lambda: stack,
        NAMES,
        client=LazyClient(),
        project="class-airflow",
        packages=Path("/srv/class-airflow/packages"),
        dockerfile=Path("/x/Dockerfile"),
        files=Path("/x"),
        bounds=Bounds(),
    )


def test_an_image_that_is_built_goes_the_way_of_images() -> None:
    assert isinstance(chosen(BUILT, BUILT), ImageWay)


def test_containers_that_install_packages_themselves_go_the_plain_way() -> None:
    plain = Service(image="apache/airflow:3.3.2", environment={PIP_AT_START: "-r x"})
    assert isinstance(chosen(plain, plain), PlainWay)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Service(image="other:current", build_args=BASE), "one and the same `image`"),
        (Service(build_args=BASE), "one and the same `image`"),
        (Service(image=BUILT.image), "one and the same argument AIRFLOW_IMAGE_NAME"),
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
