"""What the machine needs before any version: programs, accounts, folders."""

from __future__ import annotations

import argparse
import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.installation.machine import Failed, Machine, move, nobody_elses, run, works
from scripts.installation.places import (
    BACKUPS,
    CHECKOUT,
    ETC,
    KEPT,
    LOCK,
    OPT,
    ROOT,
    STATE,
    USERS,
)

COMPOSE = "docker-compose"
SYSTEMD = Path("/run/systemd/system")  # sd_booted(3)
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@contextmanager
def alone(*, dry: bool) -> Iterator[None]:
    """Keep any other run away; `dry`: change nothing, and only say where no run could be.

    Raises:
        Failed: there is another, or no run at all can be here.
    """
    try:
        _possible()
    except Failed as exc:
        if not dry:
            raise
        print(f"scripts/install: without --dry-run it ends here: {exc}", file=sys.stderr)
    if dry:
        yield
        return
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise Failed("another scripts/install is at work here: wait for its end") from exc
        yield


def _possible() -> None:
    for place in (ETC, OPT, STATE, CHECKOUT, BACKUPS):
        if ROOT.is_relative_to(place):
            raise Failed(
                f"this checkout lies in {place}, which is the deployer's own and is removed with"
                " it: move it, to /root/deployer say, then again"
            )
    if not SYSTEMD.is_dir():
        raise Failed(
            "systemd does not run here, and web and worker are its (scripts/demo needs none)"
        )


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
        # A new machine installs its own updates just then.
        *("apt-get", "-qq", "--yes", "-o", "DPkg::Lock::Timeout=300", "install", *chosen),
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
    for name, home in USERS.items():
        nobody_elses(name, home)
    machine.group("docker")
    machine.group("deployer-state")
    for name, home in USERS.items():
        machine.user(name, home, "deployer-state", *(["docker"] if name == "deployer" else []))
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
