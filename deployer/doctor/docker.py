"""The engine, and the class's containers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import DockerException
from docker.models.containers import Container

from deployer.core.doctor.lines import Ailment

ASK_S: Final = 10  # bound of one call of the engine, seconds
OLDEST_ENGINE: Final = (20, 10)

_ENGINE_AWAY: Final = (
    "start it (systemctl start docker); if it runs, let the worker's user reach its socket"
    " (group `docker`), or set DOCKER_HOST"
)


@dataclass(frozen=True, slots=True)
class Engine:
    """What Docker says of itself.

    Attributes:
        ahead_s: how far this machine's clock is ahead of the engine's.
    """

    version: str
    data: Path
    ahead_s: float


def engine() -> Engine:
    """Ask the engine who it is.

    Raises:
        Ailment: it does not answer.
    """
    with _client() as client:
        before = datetime.now(UTC)
        info = client.info()
        asked = before + (datetime.now(UTC) - before) / 2
    theirs = datetime.fromisoformat(info["SystemTime"])  # RFC 3339 with nanoseconds
    return Engine(
        info["ServerVersion"], Path(info["DockerRootDir"]), (asked - theirs).total_seconds()
    )


def engine_line(found: Engine) -> str:
    """Say which engine answers.

    Raises:
        Ailment: it is too old.
    """
    if numbers(found.version) < OLDEST_ENGINE:
        raise Ailment(f"Docker {found.version} answers", "install Docker 20.10 or newer")
    return f"Docker {found.version} answers"


def containers(file: Path, project: str, needed: Collection[str]) -> str:
    """Tell whether the services that a rollout recreates run, and nothing of the project ails.

    A container that ended with status 0 did its work (`airflow-init`), but for what it says that
    it passed over (accounts.py of include/airflow).

    Raises:
        Ailment: with each that is not well.
    """
    with _client() as client:
        found = client.containers.list(
            all=True,
            filters={
                "label": [
                    f"com.docker.compose.project={project}",
                    "com.docker.compose.oneoff=False",
                ]
            },
            ignore_removed=True,
        )
        states = [(c.labels["com.docker.compose.service"], c.attrs["State"]) for c in found]
        passed_over = [line for one in found for line in _passed_over(one)]
    states.sort(key=lambda named: named[0])
    wrong = [f"{name} has no container" for name in sorted(set(needed) - {n for n, _ in states})]
    for name, state in states:
        if ails := _ailing(state, needed=name in needed):
            wrong.append(f"{name} {ails}")
    wrong += passed_over
    if wrong:
        raise Ailment(
            "; ".join(wrong),
            f"look at what it says: docker compose --project-name {project} --file {file} logs;"
            " then start it: the same with `up -d`",
        )
    unchecked = [name for name, state in states if name in needed and "Health" not in state]
    note = f"; without a health check: {', '.join(unchecked)}" if unchecked else ""
    return f"{', '.join(sorted(needed))} run and are healthy{note}"


def _passed_over(container: Container) -> list[str]:
    state = container.attrs["State"]
    if state["Status"] != "exited" or state["ExitCode"] != 0:
        return []
    # Of the last start alone: what was mended since is no ailment.
    said = container.logs(since=datetime.fromisoformat(state["StartedAt"])).decode(errors="replace")
    name = container.labels["com.docker.compose.service"]
    return [f"{name}: {line}" for line in said.splitlines() if line.startswith("passed over: ")]


def _ailing(state: Mapping[str, Any], *, needed: bool) -> str | None:
    # https://docs.docker.com/reference/api/engine, ContainerState
    health = (state.get("Health") or {}).get("Status")
    match state["Status"], health:
        case "running", None | "none" | "healthy":
            return None
        case "running", "starting":
            return "is still starting"
        case "running", _:
            return f"is {health}"
        case "exited", _ if state["ExitCode"] == 0 and not needed:
            return None
        case "exited" | "dead", _:
            return f"ended with status {state['ExitCode']}"
        case status, _:
            return f"is {status}"


@contextmanager
def _client() -> Iterator[docker.DockerClient]:
    client = None
    try:
        client = docker.from_env(timeout=ASK_S)
        yield client
    except (DockerException, OSError) as exc:  # OSError: what `requests` raises, timeouts too
        raise Ailment("Docker does not answer", _ENGINE_AWAY) from exc
    finally:
        if client is not None:
            client.close()


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers, e.g. (20, 10, 24) of `20.10.24+dfsg1`; none: empty."""
    leading = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(map(int, leading[1].split("."))) if leading else ()
