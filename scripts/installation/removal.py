"""Take the deployer from the machine: `--uninstall`, `--purge`."""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial
from pathlib import Path

from scripts.installation import texts
from scripts.installation.machine import Failed, Machine, move, run, works
from scripts.installation.places import (
    BACKUPS,
    CADDYFILE,
    CADDYS_BEFORE,
    CHECKOUT,
    COMMAND,
    ETC,
    KEPT,
    OPT,
    STATE,
    UNITS,
    USERS,
)
from scripts.installation.prerequisites import belongs, settings_of_before
from scripts.installation.wanted import PROCESSES, TIMERS

STAMPS = Path("/var/lib/systemd/timers")


def uninstall(machine: Machine, given: argparse.Namespace) -> None:
    """Leave state and backups alone, the settings and secrets among these."""
    take_away(machine, given, "down", "--rmi", "all")
    machine.ensure(f"move {ETC} to {KEPT}", lambda: not ETC.exists(), partial(move, ETC, KEPT))
    for old in before_a_restore():
        machine.ensure(f"move {old}", lambda: False, partial(move, old, BACKUPS / old.name))
    # The users go, and whoever gets their numbers next must not get their files.
    for folder in filter(Path.exists, (STATE, CHECKOUT)):
        belongs(machine, folder, "root:root")
        machine.folder(folder, mode=0o700)
    without_accounts(machine)
    print(f"left: {STATE}, {CHECKOUT}, {BACKUPS} and Docker's volumes; --purge removes them")


def purge(machine: Machine, given: argparse.Namespace) -> None:
    """Leave nothing: no state, no backup, no volume, no certificate."""
    if sys.stdin.isatty() and not machine.dry:
        sure = input("This removes the class's database, state and backups. Type `purge`: ")
        if sure != "purge":
            raise Failed("nothing was removed")
    settings_of_before(machine)  # by which Compose knows what is its own
    take_away(machine, given, "down", "--volumes", "--rmi", "all")
    for folder in (ETC, *before_a_restore(), STATE, CHECKOUT, BACKUPS):
        machine.gone(folder)
    for name in (given.name, given.airflow_name):
        for folder in Path("/var/lib/caddy").rglob(f"certificates/*/{name}"):
            machine.gone(folder)
    without_accounts(machine)
    print("left: Docker, Caddy and git as Debian's packages (apt-get purge, if nobody needs them)")


def before_a_restore() -> list[Path]:
    """Return what `deployer restore` put aside."""
    return sorted(ETC.parent.glob(f"{ETC.name}.before_*"))


def stopped(machine: Machine, unit: str) -> None:
    machine.ensure(
        f"stop {unit}",
        lambda: not (UNITS / unit).exists(),
        lambda: run("systemctl", "disable", "--now", unit),
    )


def take_away(machine: Machine, given: argparse.Namespace, *compose: str) -> None:
    """Stop all and remove what only runs: nothing that would be missed."""
    for unit in (*TIMERS, "deployer-web.socket", *PROCESSES):
        stopped(machine, unit)
    if not given.without_services and (ETC / ".env").exists():
        machine.ensure(
            f"docker compose {' '.join(compose)}",
            lambda: False,
            lambda: run("docker", "compose", *compose, cwd=ETC),
        )
        base = base_image()
        machine.ensure(
            f"remove image {base}, and what images were built of",
            lambda: not works("docker", "image", "inspect", base),
            # Some other's container may need it.
            lambda: (
                works("docker", "image", "rm", base) and run("docker", "builder", "prune", "-af")
            ),
        )
        prune_images(machine)
    stamps = STAMPS.glob("stamp-deployer-*")
    for path in (*UNITS.glob("deployer-*"), *stamps, COMMAND):
        machine.gone(path)
    machine.ensure(
        "systemd forgets its units",
        lambda: not machine.touched(f"remove {UNITS}/"),
        forget_units,
    )
    if CADDYS_BEFORE.exists():
        machine.ensure(
            "Caddyfile of before", lambda: False, partial(move, CADDYS_BEFORE, CADDYFILE)
        )
    machine.ensure(
        "caddy takes its file",
        lambda: not machine.touched("Caddyfile of before"),
        lambda: run("systemctl", "reload-or-restart", "caddy"),
    )
    machine.gone(OPT)  # with what a run that is cut off before here leaves to the next


def forget_units() -> None:
    run("systemctl", "daemon-reload")
    works("systemctl", "reset-failed", "deployer-*")  # the last check-up's would be listed on


def prune_images(machine: Machine) -> None:
    """Remove what builds left: images without a name."""
    machine.ensure("prune images", lambda: False, lambda: run("docker", "image", "prune", "-f"))


def without_accounts(machine: Machine) -> None:
    for name, home in USERS.items():
        machine.no_user(name, home)
    machine.ensure(
        "remove group deployer-state",
        lambda: not works("getent", "group", "deployer-state"),
        lambda: run("groupdel", "deployer-state"),
    )


def base_image() -> str:
    """Return of which image the class's is built."""
    default = re.search(r"(?m)^ARG AIRFLOW_IMAGE_NAME=(.*)$", (ETC / "Dockerfile").read_text())
    said = texts.value((ETC / ".env").read_text(), "AIRFLOW_IMAGE_NAME")
    return said or (default[1] if default else "")
