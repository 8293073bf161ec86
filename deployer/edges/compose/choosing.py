"""Which way the packages of a stack go, read off the operator's own file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import assert_never

from docker.client import DockerClient

from deployer.core.airflow_version import SETTING
from deployer.edges.compose.image_way import ImageWay
from deployer.edges.compose.plain_way import PlainWay
from deployer.edges.compose.proving import Bounds
from deployer.edges.compose.stack import Stack, WayName
from deployer.edges.compose.ways import Way
from deployer.edges.packages.slots import Slot
from deployer.errors import ServicesError

_TAG = f":{Slot.CURRENT}"


def choose_way(
    read: Callable[[], Stack],
    services: Sequence[str],
    *,
    client: DockerClient,
    project: str,
    packages: Path,
    dockerfile: Path,
    files: Path,
    bounds: Bounds,
) -> Way:
    """Return the way of `services`, which must all run one image.

    `read` reads the operator's file, now and before each image is built: it may name a new Airflow.
    `packages` is CHECKOUT_DIR/packages, for the plain way; `dockerfile` and `files` (what
    Airflow runs on its behalf) are the deployer's own.

    Raises:
        ServicesError: the file can't go either way, and what to change in it.
    """
    stack = read()
    image = _image(stack, services)
    match stack.way(services):
        case WayName.IMAGE:
            _base(stack, image)  # a mistake there is told at the start
            return ImageWay(
                client,
                project=project,
                repository=_repository(stack, image),
                base_image=lambda: _base(read(), image),
                dockerfile=dockerfile,
                files=files,
                bounds=bounds,
            )
        case WayName.PLAIN:
            return PlainWay(
                client,
                project=project,
                directory=packages,
                image=image,
                files=files,
                bounds=bounds,
            )
        case _ as never:
            assert_never(never)


def base_image(stack: Stack, services: Sequence[str]) -> str:
    """Return the Airflow from which the image of `services` is built.

    Raises:
        ServicesError: none is named, or several, and what to change.
    """
    return _base(stack, _image(stack, services))


def _image(stack: Stack, services: Sequence[str]) -> str:
    images = {stack.services[name].image or "" for name in services}
    if len(images) != 1 or "" in images:
        raise ServicesError(f"{stack.file}: give {', '.join(services)} one and the same `image`")
    return images.pop()


def _repository(stack: Stack, image: str) -> str:
    if not image.endswith(_TAG):
        raise ServicesError(
            f"{stack.file}: the image {image} must be named NAME{_TAG}, since the deployer builds"
            " it and moves that tag"
        )
    return image.removesuffix(_TAG)


def _base(stack: Stack, image: str) -> str:
    """Return what the image is built from; one service's `build` will do for all that run it."""
    given = {
        service.build_args.get(SETTING, "")
        for service in stack.services.values()
        if service.image == image and service.build_args is not None
    }
    if len(given) != 1 or "" in given:
        raise ServicesError(
            f"{stack.file}: give a service with the image {image} a `build`, and each such `build`"
            f" one and the same argument {SETTING}, e.g. apache/airflow:3.3.2"
        )
    return given.pop()
