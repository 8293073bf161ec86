"""The engine, Compose, the operator's file as it reads it, and the class's containers."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from typing import Final

from deployer.core import doctor as rules
from deployer.core.counts import counted
from deployer.core.doctor import Ailment
from deployer.core.stack import Stack, parse
from deployer.doctor.world import World
from deployer.errors import ServicesError
from deployer.ports.doctor import About, Seen

OLDEST_ENGINE: Final = (20, 10)
OLDEST_COMPOSE: Final = (2, 24)
START: Final = (
    "start it (systemctl start docker); if it runs, let the worker's user reach its socket"
    " (group `docker`), or set DOCKER_HOST"
)
INSTALL: Final = (
    "install Compose 2.24 or newer (package docker-compose-plugin, docker-compose-v2 or"
    " docker-compose)"
)


def about(world: World) -> About:
    """Return what Docker says of itself; raises ServicesError."""
    return world.engine.about()


def engine(world: World) -> str:
    """Say which engine answers.

    Raises:
        Ailment: it is too old. ServicesError: none does.
    """
    found = world.once(about)
    if numbers(found.version) < OLDEST_ENGINE:
        raise Ailment(f"Docker {found.version} answers", "install Docker 20.10 or newer")
    return f"Docker {found.version} answers"


def plugin(world: World) -> str:
    """Say which Compose is there.

    Raises:
        Ailment: it is too old. ServicesError: none.
    """
    version = world.compose.version()
    if numbers(version) < OLDEST_COMPOSE:
        raise Ailment(f"Compose {version} is too old", INSTALL)
    return f"Compose {version}"


def stack(world: World) -> Stack:
    """Return the operator's compose file as Compose understands it.

    What Compose says is not passed on: at a mistake in an env file it quotes the file. The
    command of the remedy shows it.

    Raises:
        Ailment: there is none, or Compose refuses it.
    """
    file = world.settings.compose_file
    if not os.access(file, os.R_OK, effective_ids=True):
        raise Ailment(
            f"there is no {file}, or this user may not read it",
            "copy docker-compose.yaml there, or set DEPLOYER_COMPOSE_FILE; run doctor as a user"
            " who may read it",
        )
    try:
        return parse(file, world.compose.config())
    except ServicesError as exc:
        raise Ailment(
            f"Compose refuses {file}", f"see what it says: {_command(world)} config --quiet"
        ) from exc


def ways(world: World) -> str:
    return rules.packages(world.once(stack), world.settings.recreate_services)


def stopping(world: World) -> str:
    return rules.stopping(world.after("compose file", stack))


def checkout(world: World) -> str:
    settings = world.settings
    directory = str(settings.checkout_dir.absolute())
    found = world.after("compose file", stack)
    return rules.checkout(found, settings.recreate_services, directory)


def services(world: World) -> str:
    """Tell whether the services that a rollout recreates run, and nothing of the project ails.

    A container that ended with status 0 did its work (`airflow-init`), but for what it says that
    it passed over.

    Raises:
        Ailment: with each that is not well. ServicesError
    """
    needed = world.settings.recreate_services
    if world.processes is not None:
        return _processes(world.processes(), needed)
    world.after("engine", about)
    seen = sorted(world.engine.containers(), key=lambda one: one.service)
    missing = set(needed) - {one.service for one in seen}
    wrong = [f"{name} has no container" for name in sorted(missing)]
    wrong += [f"{one.service} {ails}" for one in seen if (ails := _ailing(one, needed))]
    wrong += [f"{one.service}: {line}" for one in seen for line in one.passed_over]
    if wrong:
        raise Ailment(
            "; ".join(wrong),
            f"look at what it says: {_command(world)} logs; then start it: the same with `up -d`",
        )
    unchecked = [one.service for one in seen if one.service in needed and not one.state.health]
    note = f"; without a health check: {', '.join(unchecked)}" if unchecked else ""
    starting = [one.service for one in seen if one.state.health == "starting"]
    how = f"run, and start: {', '.join(starting)}" if starting else "run and are healthy"
    return f"{', '.join(sorted(needed))} {how}{note}"


def _processes(living: Collection[str], needed: Collection[str]) -> str:
    """Tell whether the embedded Airflow runs."""
    dead = sorted(set(needed) - set(living))
    if dead:
        raise Ailment(
            f"no process of {', '.join(dead)}", "start the embedded Airflow: `deployer demo`"
        )
    return f"{', '.join(needed)} run"


def _ailing(one: Seen, needed: Collection[str]) -> str | None:
    state = one.state
    match state.status, state.health:
        case "running", None | "none" | "healthy":
            return None
        case "running", "starting" if state.restarts <= 1:  # it may start before what it needs
            return None
        case "running", health:
            again = f", {counted(state.restarts, 'time')} started again" if state.restarts else ""
            return f"is {health}{again}"
        case "exited", _ if state.exit_code == 0 and one.service not in needed:
            return None
        case _:
            return state.words()


def _command(world: World) -> str:
    settings = world.settings
    return (
        f"docker compose --project-name {settings.compose_project} --file {settings.compose_file}"
    )


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers, e.g. (20, 10, 24) of `20.10.24+dfsg1`; none: empty."""
    leading = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(map(int, leading[1].split("."))) if leading else ()
