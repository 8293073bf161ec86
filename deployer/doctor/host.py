"""This machine: its disks, its clock, and how the world reaches it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deployer.core.doctor.lines import Ailment, NotApplicable
from deployer.errors import DeployerError
from deployer.ports.doctor import Server

GIB: Final = 1024**3
MOST_SKEW: Final = timedelta(seconds=30)
_LOOPBACK: Final = {"127.0.0.1", "localhost", "::1"}


def disk(places: Mapping[str, tuple[Path, float]]) -> str:
    """Tell how much room is left.

    Args:
        places: by what lies there, its directory and the least that should be free, in GiB. One
            that does not exist yet counts where it will be made.

    Raises:
        Ailment: with the figures.
    """
    figures, low = [], []
    for name, (path, least) in places.items():
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


def clock(references: Mapping[str, Callable[[], timedelta]]) -> str:
    """Tell whether this machine's clock is right.

    Args:
        references: by name, what returns how far this machine is ahead of it, or raises.

    Raises:
        NotApplicable: none of them answers.
        Ailment
    """
    ahead: dict[str, timedelta] = {}
    for name, measure in references.items():
        try:
            ahead[name] = measure()
        except DeployerError:
            continue  # told in a line of its own
    if not ahead:
        raise NotApplicable(f"nobody to compare it with: no answer from {', '.join(references)}")
    wrong = [f"{_skew(by)} {name}" for name, by in ahead.items() if abs(by) > MOST_SKEW]
    if wrong:
        raise Ailment(
            f"this machine's clock is {' and '.join(wrong)}",
            "switch time synchronisation on (timedatectl set-ntp true)",
        )
    return f"within {MOST_SKEW.total_seconds():g} s of {' and '.join(ahead)}"


def public_address(url: str | None, server: Server) -> str:
    """Tell whether the deployer is there for the world, with its pages closed to strangers.

    Raises:
        NotApplicable: PUBLIC_URL is not set.
        Ailment: another program's answer; the proxy makes strangers look like this machine.
        OperatorError: no answer.
    """
    if not url:
        raise NotApplicable(
            "DEPLOYER_PUBLIC_URL is not set: statuses on GitHub link to no page of the deployer"
        )
    answer = server.ask("GET", "/healthz")
    if answer.moved:
        raise Ailment(
            f"{url}/healthz leads elsewhere, to {answer.headers['location']}",
            "set DEPLOYER_PUBLIC_URL to the address that answers itself",
        )
    if answer.status != HTTPStatus.OK:
        raise Ailment(f"{url}/healthz answered {answer.status}", way_to(url))
    parts = urlsplit(url)
    if parts.hostname in _LOOPBACK:  # where all is open
        return f"{url} answers"
    asked = server.ask("GET", "/readyz")
    if asked.status != HTTPStatus.FORBIDDEN:
        raise Ailment(
            f"{url}/ is not closed to strangers: /readyz answered {asked.status}, not 403",
            "have the proxy in front send the header X-Forwarded-For, and Host as it was asked for",
        )
    plain = parts.scheme == "http"
    return f"{url} answers" + ("; over http, which anyone on the way can read" if plain else "")


def way_to(url: str | None) -> str:
    """Return what to do where the public address does not answer as it should."""
    return (
        "see that the web process runs (systemctl status deployer-web) and that the proxy in"
        f" front of it passes {url}/ on to DEPLOYER_BIND (on an installed VM to ListenStream of"
        " deployer-web.socket); name and certificate belong to it, too"
    )


def _skew(by: timedelta) -> str:
    side = "ahead of" if by > timedelta() else "behind"
    return f"{abs(by).total_seconds():.0f} s {side}"
