"""Containers for one command: labelled, without rights or secrets, bounded, and gone afterwards.

What runs in them was written by students (a package's setup script, its import). So there is
nothing in them to find, they can't take the machine down, and none outlives its time: dying
in the middle leaves one that `remove_throwaways` finds by its label.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container
from docker.types import LogConfig
from requests.exceptions import ConnectionError as NoAnswer
from requests.exceptions import ReadTimeout

from deployer.core.requirements.blame import End, Ended, ended_in_time
from deployer.edges.compose.engine import ENGINE_ERRORS, asking

PROJECT_LABEL = "class-deployer.project"
"""On each throwaway container. Never on an image: the class's containers would inherit it."""
_LOG = LogConfig(type="json-file", config={"max-size": "8m"})  # a loop of prints fills no disk
_LAST_LINES = 5000


@dataclass(frozen=True, slots=True)
class Limits:
    """What one throwaway container, or one build, may take of the machine."""

    memory_mb: int = 2048
    cpus: float = 1.0
    pids: int = 512

    @property
    def memory_bytes(self) -> int:
        return self.memory_mb << 20


def run_throwaway(
    client: DockerClient,
    image: str,
    command: Sequence[str],
    *,
    project: str,
    within_s: float,
    limits: Limits,
    network: str = "none",
    entrypoint: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    volumes: Mapping[Path, str] | None = None,
    files: Mapping[str, bytes] | None = None,
) -> Ended:
    """Run `command` in a new container of `image`; kill it when the time is over.

    `network` is `none`, or a network's name: `bridge` reaches the package index and none of
    the class's containers. `entrypoint` stands in for the image's own, `environment` comes on
    top of it, and there is no other. `volumes` tells where directories of this machine are
    mounted, read-only; `files` are put in by their path below `/`.

    Raises:
        ServicesError: the engine failed; the command did not.
    """
    with asking(f"run a throwaway container of {image}"):
        container = client.containers.create(
            image,
            list(command),
            entrypoint=list(entrypoint) if entrypoint else None,
            environment=dict(environment or {}),
            volumes={str(d): {"bind": at, "mode": "ro"} for d, at in (volumes or {}).items()},
            network_mode=network,
            labels={PROJECT_LABEL: project},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            mem_limit=limits.memory_bytes,
            memswap_limit=limits.memory_bytes,  # no swap on top
            nano_cpus=int(limits.cpus * 1e9),
            pids_limit=limits.pids,
            log_config=_LOG,
        )
        try:
            if files:
                container.put_archive("/", archive(files))
            container.start()
            in_time = _wait(container, within_s)
            return _ended(container, in_time=in_time)
        finally:
            with suppress(*ENGINE_ERRORS):  # the label is left, and so it is found
                container.remove(force=True, v=True)


def remove_throwaways(client: DockerClient, project: str) -> None:
    """Remove what a process that died left behind.

    Raises:
        ServicesError
    """
    with asking("remove old throwaway containers"):
        for container in client.containers.list(
            all=True, filters={"label": f"{PROJECT_LABEL}={project}"}, ignore_removed=True
        ):
            remove_container(container)


def remove_container(container: Container) -> None:
    """Remove a container, if it is still there."""
    with suppress(NotFound):
        container.remove(force=True, v=True)


def _wait(container: Container, within_s: float) -> bool:
    """Return whether it ended by itself in time; it has ended in any case."""
    try:
        container.wait(timeout=within_s)
    except (ReadTimeout, NoAnswer):  # which of them: docker-py and its adapters differ
        container.reload()  # an engine that is gone is noticed here
        if container.status != "running":
            return True
        with suppress(APIError):  # it ended this moment
            container.kill()
        container.wait()
        return False
    return True


def _ended(container: Container, *, in_time: bool) -> Ended:
    container.reload()
    state = container.attrs["State"]
    status = int(state["ExitCode"])
    text = container.logs(stdout=True, stderr=True, tail=_LAST_LINES).decode(errors="replace")
    if not in_time:
        return Ended(End.OUT_OF_TIME, status, text)
    return ended_in_time(status, text, told=bool(state["OOMKilled"]))


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return them as files of root's that all may read, with the same bytes each time."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return packed.getvalue()
