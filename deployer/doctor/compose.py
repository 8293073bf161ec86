"""The Compose plugin, and the operator's compose file as it reads it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from deployer.core.doctor.lines import Ailment
from deployer.doctor.docker import numbers
from deployer.edges.compose.commands import Config, Project, argv
from deployer.edges.compose.runner import PASSED

RUN_S: Final = 15.0
_OLDEST: Final = (2,)
_INSTALL: Final = (
    "install Compose v2 (package docker-compose-plugin, docker-compose-v2 or docker-compose)"
)


def plugin() -> str:
    """Say which Compose is there.

    Raises:
        Ailment: none, or Compose v1.
    """
    status, said = _run("docker", "compose", "version", "--short")
    if status != 0:
        raise Ailment("the command `docker` knows no `compose`", _INSTALL)
    version = said.decode(errors="replace").strip().removeprefix("v")
    if numbers(version) < _OLDEST:
        raise Ailment(f"Compose {version} is too old", _INSTALL)
    return f"Compose {version}"


def stack_of(file: Path, project: str) -> Mapping[str, Any]:
    """Return the operator's compose file as Compose understands it.

    What Compose says is not passed on: at a mistake in an env file it quotes the file.

    Raises:
        Ailment: there is none, or Compose refuses it.
        ServicesError: `project` is no name for Compose.
    """
    if not os.access(file, os.R_OK, effective_ids=True):
        raise Ailment(
            f"there is no {file}, or this user may not read it",
            "copy docker-compose.yaml there, or set DEPLOYER_COMPOSE_FILE; run doctor as a user"
            " who may read it",
        )
    status, said = _run(*argv(Project(project, file), Config()))
    if status != 0:
        raise Ailment(
            f"Compose refuses {file} (exit status {status})",
            "see what it says:"
            f" docker compose --project-name {project} --file {file} config --quiet",
        )
    stack: Mapping[str, Any] = json.loads(said)
    return stack


def _run(*command: str) -> tuple[int, bytes]:
    """Return exit status and standard output."""
    environment = {name: os.environ[name] for name in PASSED if name in os.environ}
    try:
        # A session of its own: the plugin is a child of `docker`, and goes with it.
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )
    except FileNotFoundError as exc:
        raise Ailment("there is no command `docker` in the PATH", _INSTALL) from exc
    with child:
        try:
            said, _ = child.communicate(timeout=RUN_S)
        except subprocess.TimeoutExpired as exc:
            os.killpg(child.pid, signal.SIGKILL)
            raise Ailment(
                f"`{' '.join(command[:2])}` did not end within {RUN_S:g} s",
                "see the line `engine`, and whether this machine is overloaded",
            ) from exc
    return child.returncode, said
