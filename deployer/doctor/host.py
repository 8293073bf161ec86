"""This machine: its disks, its clock, and how the world reaches it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deployer.core.doctor import Ailment, NotApplicable
from deployer.doctor import docker, github
from deployer.doctor.world import World
from deployer.errors import DeployerError, OperatorError
from deployer.ports.doctor import ServerAnswer

GIB: Final = 1024**3
LEAST_GIB: Final = 1.0
LEAST_FOR_IMAGES_GIB: Final = 5.0
"""An image of Airflow takes 2 GiB or less, and three are kept at the most."""
MOST_SKEW_S: Final = 30.0
_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}


def disk(world: World) -> str:
    """Tell how much room is left. A directory that does not exist yet counts where it will be made.

    Raises:
        Ailment: with the figures.
    """
    figures, low = [], []
    for name, path, least in _places(world):
        try:
            there = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
            free = shutil.disk_usage(there).free / GIB
        except OSError as exc:
            raise Ailment(
                f"{name} ({path}) can't be looked at: {exc.strerror}",
                "run doctor as the worker's user",
            ) from exc
        figures.append(f"{name} {free:.1f} GiB free")
        if free < least:
            low.append(f"{name} ({path}) has {free:.1f} GiB free, {least:g} are needed")
    if low:
        raise Ailment(
            "; ".join(low),
            "make room: `docker image prune`, old logs, DEPLOYER_KEEP_RELEASES; or a larger disk",
        )
    return ", ".join(figures)


def _places(world: World) -> list[tuple[str, Path, float]]:
    """Return what lies there, its directory and the least that should be free, in GiB."""
    places = [
        ("CHECKOUT_DIR", world.settings.checkout_dir, LEAST_GIB),
        ("STATE_DIR", world.settings.state_dir, LEAST_GIB),
    ]
    with suppress(DeployerError, OSError):  # told in the line `engine`; hidden from this user
        # An engine elsewhere (DOCKER_HOST) has its data there.
        if world.processes is None and (data := world.once(docker.about).data).exists():
            places.append(("Docker", data, LEAST_FOR_IMAGES_GIB))
    return places


def clock(world: World) -> str:
    """Tell whether this machine's clock is right.

    Raises:
        NotApplicable: GitHub does not answer.
        Ailment
    """
    ahead_s = world.after("GitHub token", github.ahead).total_seconds()
    if abs(ahead_s) > MOST_SKEW_S:
        side = "ahead of" if ahead_s > 0 else "behind"
        raise Ailment(
            f"this machine's clock is {abs(ahead_s):.0f} s {side} GitHub",
            "switch time synchronisation on (timedatectl set-ntp true)",
        )
    return f"within {MOST_SKEW_S:g} s of GitHub"


def public_address(world: World) -> str:
    """Tell whether the deployer is there for the world, with its pages closed to strangers.

    Raises:
        NotApplicable: PUBLIC_URL is not set.
        Ailment: no answer, or another program's; the proxy makes strangers look like this machine.
    """
    url = world.settings.public_url
    if not url:
        raise NotApplicable(
            "DEPLOYER_PUBLIC_URL is not set: statuses on GitHub link to no page of the deployer"
        )
    answer = _answer(world, "/healthz")
    if answer.moved:
        raise Ailment(
            f"{url}/healthz leads elsewhere, to {answer.headers['location']}",
            "set DEPLOYER_PUBLIC_URL to the address that answers itself",
        )
    if answer.status != HTTPStatus.OK:
        raise Ailment(f"{url}/healthz answered {answer.status}", _way_to(url))
    parts = urlsplit(url)
    if parts.hostname in _LOOPBACK:  # where all is open
        return f"{url} answers"
    asked = _answer(world, "/readyz")
    if asked.status != HTTPStatus.FORBIDDEN:
        raise Ailment(
            f"{url}/ is not closed to strangers: /readyz answered {asked.status}, not 403",
            "have the proxy in front send the header X-Forwarded-For, and Host as it was asked for",
        )
    plain = parts.scheme == "http"
    return f"{url} answers" + ("; over http, which anyone on the way can read" if plain else "")


def _answer(world: World, path: str) -> ServerAnswer:
    try:
        return world.public.ask("GET", path)
    except OperatorError as exc:
        raise Ailment(str(exc), _way_to(world.settings.public_url)) from exc


def _way_to(url: str | None) -> str:
    """Return what to do where the public address does not answer as it should."""
    return (
        "see that the web process runs (systemctl status deployer-web) and that the proxy in"
        f" front of it passes {url}/ on to DEPLOYER_BIND (on an installed VM to ListenStream of"
        " deployer-web.socket); name and certificate belong to it, too"
    )
