"""The isolated parser in a container of the class's image, cut off from everything.

`docker run --interactive` as a child process of ours: the container's standard input ends
with us, however we end, so the parser ends, and the engine removes the container (`--rm`).
Its file system is read-only but for a small one in memory; it has no network, no capability,
none of the deployer's environment, and bounds of its own for memory, processes and processor.

In the *plain* way the packages are not in the image: the image's entrypoint installs them.
Such a container may write to its own file system, and has a network until it is ready.
"""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound

from deployer.core.stack import FILES, PACKAGES, PIP_AT_START
from deployer.edges.compose.engine import which_engine
from deployer.edges.parser.parser_process import Child, ParserProcess
from deployer.edges.parser.warm_parser import SETTINGS, START_TIMEOUT_S
from deployer.errors import PreflightError

LABEL: Final = "class-deployer.parser"
"""Not the one by which throwaway containers are removed: this one is kept warm."""
NETWORK: Final = "bridge"
INSTALL_TIMEOUT_S: Final = 600.0
ENGINE_TIMEOUT_S: Final = 30
END_S: Final = 3.0
_OURS: Final = secrets.token_hex(4)
"""In the names of this process's containers."""

_TMP: Final = "/tmp"  # noqa: S108  # the container's own
TMP_MB: Final = 256
"""MiB of temporary files; they are memory."""
MEMORY_MB: Final = 6912
"""MiB of all files parsed at a time, on top of Airflow's 110 and the temporary files. More than the
files' own bounds together (three examinations of two files, a GiB each, where as a rule one has a
file or two), so that the file is to blame: below, the kernel would end one of them, not always the
one that takes so much. It is a bound and takes nothing; more than the machine has is allowed."""
PROCESSES: Final = 256
"""Of all files together; who lacks one through another is examined again, alone."""
CORES: Final = 2
USER: Final = "50000:0"
"""Its uid and group 0, as the image wants it."""


@dataclass(frozen=True, slots=True)
class ContainerPlace:
    """What a parser's container is made of.

    Attributes:
        image: the class's, with Airflow.
        project: COMPOSE_PROJECT; names and labels the container.
        checkout_dir: CHECKOUT_DIR, which has the same absolute path inside.
        files: the deployer's own files for Airflow, mounted into it: always of this version of
            the deployer, whatever the image was built by.
        pip_requirements: `_PIP_ADDITIONAL_REQUIREMENTS` of the plain way; None: the packages
            are in the image.
        env: added to the settings that every parser has; no secret, students' code sees it.
    """

    image: str
    project: str
    checkout_dir: Path
    files: Path
    pip_requirements: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


def run_argv(place: ContainerPlace, name: str) -> tuple[str, ...]:
    """Return the command that runs a parser in a new container called `name`."""
    script = f"{FILES}/preflight.py"
    env = {**SETTINGS, "PYTHONPATH": FILES, "AIRFLOW_HOME": _TMP, **place.env}
    mounts = [(place.checkout_dir, str(place.checkout_dir)), (place.files, FILES)]
    if place.pip_requirements is None:
        command: tuple[str, ...] = (script,)
        # Students' programs may run from /tmp in Airflow too; Docker's default is noexec.
        tmp = f"{_TMP}:rw,exec,nosuid,nodev,mode=1777,size={TMP_MB}m"
        way: tuple[str, ...] = (
            *("--network", "none", "--read-only", "--tmpfs", tmp),
            # Without an entrypoint the parser is the first process: no file can kill that one.
            *("--entrypoint", "python"),
        )
        env["HOME"] = _TMP
    else:
        way = ("--network", NETWORK)
        command = ("python", script)
        mounts.append((place.checkout_dir / "packages", PACKAGES))
        env[PIP_AT_START] = place.pip_requirements
        # Else the entrypoint starts Airflow first, to see if its database is there
        # (airflow.apache.org/docs/docker-stack/entrypoint.html).
        env["CONNECTION_CHECK_MAX_COUNT"] = "0"
    return (
        *("docker", "run", "--rm", "--interactive", "--pull", "never"),
        *("--name", name, "--label", f"{LABEL}={place.project}"),
        *way,
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--user", USER, "--workdir", _TMP),
        *("--memory", f"{MEMORY_MB}m", "--memory-swap", f"{MEMORY_MB}m"),
        # No more cores than the machine has, or the engine refuses.
        *("--pids-limit", str(PROCESSES), "--cpus", str(min(CORES, os.cpu_count() or 1))),
        # Where the machine's memory runs out, this goes before Airflow does.
        *("--oom-score-adj", "500"),
        # Its answers would all be kept on disk; a first process does not hear SIGTERM.
        *("--log-driver", "none", "--stop-signal", "SIGKILL"),
        *(f"--mount=type=bind,source={a},target={b},readonly" for a, b in mounts),
        *(f"--env={key}={value}" for key, value in env.items()),
        place.image,
        *command,
    )


class ContainerParser:
    """Implements `asking.Where` with a container.

    Args:
        place: says what the container is made of, whenever it is asked.
    """

    def __init__(self, place: Callable[[], ContainerPlace]) -> None:
        self._place = place

    def runs_on(self) -> str:
        place = self._place()
        with _engine() as engine:
            try:
                image = engine.images.get(place.image)
            except ImageNotFound as exc:
                raise PreflightError(
                    f"the Docker engine has no image {place.image}: make the class's with "
                    "`docker compose build`"
                ) from exc
        return " ".join((str(image.id), *map(str, _installed_at_start(place))))

    def start(self) -> ParserProcess:
        place = self._place()
        ours = f"{place.project}-preflight-{_OURS}-"
        _remove_orphans(place.project, ours)
        name = f"{ours}{secrets.token_hex(2)}"
        installs = place.pip_requirements is not None
        process = ParserProcess(
            run_argv(place, name),
            {"PATH": os.environ.get("PATH", os.defpath), **which_engine(os.environ)},
            start_timeout_s=INSTALL_TIMEOUT_S if installs else START_TIMEOUT_S,
            # The kernel would count those of all containers that have this user.
            more_processes=None,
            end=partial(_end, name),
        )
        if installs:
            try:
                with _engine() as engine:
                    engine.networks.get(NETWORK).disconnect(name)
            except PreflightError:
                process.close()
                raise
        return process


def _remove_orphans(project: str, ours: str) -> None:
    """Remove what another worker left that was killed: one that never ran does not end by itself.

    There is one worker a project, so whatever is not `ours` is nobody's.
    """
    with _engine() as engine:
        for container in engine.containers.list(
            all=True, filters={"label": f"{LABEL}={project}"}, ignore_removed=True
        ):
            if not str(container.name).startswith(ours):
                with suppress(APIError):  # it goes this moment
                    container.remove(force=True, v=True)


def _installed_at_start(place: ContainerPlace) -> Iterator[Path]:
    """Yield the files that `pip_requirements` names, each by its own path: links move."""
    for word in (place.pip_requirements or "").split():
        if word.startswith(f"{PACKAGES}/"):
            yield (place.checkout_dir / "packages" / word.removeprefix(f"{PACKAGES}/")).resolve()


def _end(name: str, child: Child) -> None:
    """See that the container ends; its standard input has."""
    try:
        child.wait(END_S)
    except subprocess.TimeoutExpired:
        # It is importing Airflow, or was stopped. What fails here is left to `tidy`.
        with suppress(PreflightError), _engine() as engine:
            engine.api.remove_container(name, force=True)


@contextmanager
def _engine() -> Iterator[docker.DockerClient]:
    try:
        with closing(docker.from_env(timeout=ENGINE_TIMEOUT_S)) as engine:
            yield engine
    except (DockerException, requests.RequestException) as exc:
        raise PreflightError(
            f"the Docker engine does not do what it is asked: {exc}; see that it runs "
            "(`systemctl status docker`) and that this user may use it (group docker)"
        ) from exc
