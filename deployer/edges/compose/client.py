"""The Docker SDK's client, made without a word to the engine."""

from __future__ import annotations

from functools import cached_property

import docker
from docker.api.client import APIClient
from docker.client import DockerClient


class LazyClient(DockerClient):
    """A client that connects at its first use.

    The SDK's own asks the engine for its version when it is made; a worker must be able to
    start while Docker is away, and to say so on each commit. Which engine that is, is said as
    to the `docker` command (`DOCKER_HOST`, its contexts), so that Compose and this client never
    talk to two of them.
    """

    def __init__(self) -> None:
        """Do not connect, as the parent's would."""

    @cached_property
    def api(self) -> APIClient:  # type: ignore[override]  # it can be written, says mypy not
        return docker.from_env().api
