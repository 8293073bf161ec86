"""What the machine needs before any version: programs, accounts, folders."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from scripts.installation.machine import Failed, Machine, move, run, works
from scripts.installation.places import BACKUPS, CHECKOUT, ETC, KEPT, OPT, STATE

COMPOSE = "docker-compose"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def needed(machine: Machine, given: argparse.Namespace) -> None:
    """Programs of the distribution."""
    missing = [name for name in ("git", "caddy") if not shutil.which(name)]
    missing += [] if CERTIFICATES.exists() else ["ca-certificates"]
    if not given.without_services:
        # Debian 13 has them apart.
        engine = "docker-cli" if shutil.which("dockerd") else "docker.io"
        missing += [] if shutil.which("docker") else [engine]
        missing += [] if works("docker", "compose", "version") else [COMPOSE]
    machine.ensure(f"packages {', '.join(missing)}", lambda: not missing, lambda: get(missing))


def get(names: list[str]) -> None:
    run("apt-get", "-qq", "update")
    chosen = [compose_package() if name == COMPOSE else name for name in names]
    run(
        # With what they recommend: Debian 13's docker.io has no command `docker` without it.
        *("apt-get", "-qq", "--yes", "install", *chosen),
        env={"DEBIAN_FRONTEND": "noninteractive"},
    )


def compose_package() -> str:
    """Return which package has Compose v2: Ubuntu's and Debian's are called otherwise.

    Raises:
        Failed: none has.
    """
    for name in ("docker-compose-v2", COMPOSE):
        found = run("apt-cache", "madison", name).split("|")
        if len(found) > 1 and found[1].strip().startswith("2"):
            return name
    raise Failed(
        "Docker has no Compose v2, and this distribution (Debian 12) none either: install Docker"
        " as docs.docker.com/engine/install says, which brings it, then run this again"
    )


def accounts_and_folders(machine: Machine) -> None:
    """Two users who share the state, and nothing else."""
    machine.group("docker")
    machine.group("deployer-state")
    machine.user("deployer", STATE, "deployer-state", "docker")
    machine.user("deployer-web", Path("/nonexistent"), "deployer-state")
    settings_of_before(machine)
    belongs(machine, STATE, "deployer:deployer-state")
    belongs(machine, CHECKOUT, "deployer:deployer")
    machine.folder(STATE, "deployer:deployer-state", 0o2770)
    machine.folder(CHECKOUT, "deployer:deployer", 0o755)
    # The parse feed's: Airflow's user is of group 0 (docs/operations.md).
    machine.folder(CHECKOUT / "feed", "deployer:root", 0o2750)
    machine.folder(BACKUPS, mode=0o700)
    machine.folder(BACKUPS / "nightly", mode=0o700)
    machine.folder(ETC)
    machine.folder(OPT)


def settings_of_before(machine: Machine) -> None:
    """Put back what `uninstall` kept."""
    machine.ensure(
        f"move {KEPT} to {ETC}",
        lambda: ETC.exists() or not KEPT.exists(),
        lambda: move(KEPT, ETC),
    )


def belongs(machine: Machine, folder: Path, owner: str) -> None:
    """Give a folder and all in it to somebody else, if it is not his."""
    user = owner.partition(":")[0]
    machine.ensure(
        f"files in {folder} are {owner}",
        lambda: not folder.exists() or folder.owner() == user,
        lambda: run("chown", "-R", owner, folder),
    )
