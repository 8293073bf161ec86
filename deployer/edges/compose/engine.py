"""The Docker engine: a client of it, and what goes wrong on the way there as one kind of error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Final

import docker
import urllib3
from docker import DockerClient
from docker.api.client import APIClient
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from deployer.errors import ServicesError

ENGINE: Final = (
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"),
    *("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
)
"""Variables that say which engine it is, to the `docker` command as to the SDK."""


def which_engine(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a `docker` command has to be told to talk to the engine that `environ` means.

    DOCKER_CONFIG always, for the command may be given another home.
    """
    home = {"DOCKER_CONFIG": f"{environ['HOME']}/.docker"} if "HOME" in environ else {}
    return home | {name: environ[name] for name in ENGINE if environ.get(name)}


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

    def close(self) -> None:
        if "api" in self.__dict__:
            self.api.close()


ENGINE_ERRORS = (DockerException, RequestException, urllib3.exceptions.HTTPError)
"""All that the Docker SDK raises: its own, and those of the two libraries it talks through."""


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn whatever the engine raises while it is asked to do `what` into a ServicesError."""
    try:
        yield
    except APIError as exc:
        raise ServicesError(f"Docker could not {what}: {exc.explanation or exc}") from exc
    except ENGINE_ERRORS as exc:
        raise ServicesError(
            f"Docker did not answer when asked to {what} ({type(exc).__name__}): see that it "
            "runs (`systemctl status docker`) and that the deployer's user may use it"
        ) from exc
