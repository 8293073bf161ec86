"""The operator's compose file: as it is written, and as Compose understands it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deployer.core.model import COMPOSE_FILE
from deployer.core.stack import Stack, parse
from deployer.edges.compose.runner import ComposeRunner
from deployer.errors import ServicesError


def read_stack(runner: ComposeRunner, services: Sequence[str]) -> Stack:
    """Let Compose read the file (0.1 s); `services` must be in it.

    Raises:
        ServicesError: there is no such file, Compose refuses it, or a service is missing.
    """
    file = runner.project.file
    read_text(file)
    try:
        stack = parse(file, runner.config())
    except ServicesError as exc:
        raise ServicesError(f"{file} can't be used: {exc}") from exc
    stack.require(services)
    return stack


def shared_file(file: Path) -> Path:
    """Return the operator's copy of the file that the class repository has as well.

    It is COMPOSE_FILE itself, unless that (as the plain way's) builds upon one beside it.
    """
    beside = file.with_name(COMPOSE_FILE)
    return beside if beside.exists() else file


def read_text(file: Path) -> str:
    """Return the file as it is written.

    Raises:
        ServicesError
    """
    try:
        return file.read_text()
    except FileNotFoundError as exc:
        raise ServicesError(
            f"{file} is not there: copy docker-compose.yaml and what it names to it, or set"
            " DEPLOYER_COMPOSE_FILE"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ServicesError(f"{file} can't be read: {exc}") from exc
