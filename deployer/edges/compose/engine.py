"""What goes wrong between here and the Docker engine, as one kind of error."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import urllib3
from docker import DockerClient
from docker.errors import APIError, DockerException
from requests.exceptions import RequestException

from deployer.errors import DiskError, ServicesError

ENGINE_ERRORS = (DockerException, RequestException, urllib3.exceptions.HTTPError)
"""All that the Docker SDK raises: its own, and those of the two libraries it talks through."""
_GIB = 1 << 30


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


def check_room(client: DockerClient, needs_bytes: int) -> None:
    """See that Docker has room for a build, where its data is on this machine.

    Raises:
        DiskError: with both figures.
        ServicesError
    """
    with asking("tell where it keeps its data"):
        directory = Path(client.info()["DockerRootDir"])
    try:
        free = shutil.disk_usage(directory).free
    except OSError:  # the engine is on another machine
        return
    if free < needs_bytes:
        raise DiskError(
            f"{directory} has {free / _GIB:.1f} GiB free and a build of packages needs "
            f"{needs_bytes / _GIB:.1f} GiB: free some with `docker image prune`, "
            "`docker builder prune` or a larger disk"
        )
