"""`scripts/install`: install, upgrade, go back, take away. A mode tells what is done, in order."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from scripts.installation import answers, places, texts
from scripts.installation.machine import Failed, Machine, move, run, works
from scripts.installation.places import (
    ANSWERS,
    BACKUPS,
    BEGUN,
    CADDYFILE,
    CADDYS_BEFORE,
    CHECKOUT,
    COMMAND,
    CURRENT,
    ETC,
    JOURNAL,
    KEPT,
    OPT,
    PREVIOUS,
    STATE,
    UNFINISHED,
    UNITS,
)
from scripts.installation.wanted import (
    PROCESSES,
    TIMERS,
    accounts_and_folders,
    apply,
    belongs,
    environment,
    needed,
    settings_of_before,
)

HEALTHY_WITHIN_S = 60.0
STAMPS = Path("/var/lib/systemd/timers")
FAULTS = (Failed, OSError, sqlite3.Error)
"""What ends a run with a message: a full disk is told by any of them."""


def main(argv: list[str]) -> int:
    if os.getuid() != 0:
        print("scripts/install: run it as root (sudo scripts/install …)", file=sys.stderr)
        return 2
    os.umask(0o022)
    try:
        # After --uninstall they lie among the backups.
        given = answers.read(argv, (ETC if ETC.exists() else KEPT) / ANSWERS)
        machine = Machine(dry=given.dry_run, unfinished=OPT / UNFINISHED)
        modes: dict[str, Callable[[Machine, argparse.Namespace], None]] = {
            "install": install,
            "upgrade": upgrade,
            "rollback-upgrade": roll_back,
            "uninstall": uninstall,
            "purge": purge,
        }
        modes[given.mode](machine, given)
        machine.finished()
    except FAULTS as exc:
        print(f"scripts/install: {exc}", file=sys.stderr)
        return 1
    if not machine.changed:
        print("nothing to change")
    return 0


def install(machine: Machine, given: argparse.Namespace) -> None:
    """Have this checkout's version on the machine, as the answers say."""
    name, there = places.version(), places.named_by(CURRENT)
    if there not in {None, name}:
        raise Failed(f"{there} is installed, this checkout is {name}: scripts/install --upgrade")
    no_other_is_begun(name, there)
    needed(machine, given)
    accounts_and_folders(machine)
    environment(machine, name)
    apply(machine, given, name, before=name)
    if machine.dry or not machine.changed:
        return
    # Their exit status is their own: what they find stands there, and is mended without us.
    subprocess.run([COMMAND, "github"], check=False)
    if not given.without_services:
        subprocess.run([COMMAND, "doctor"], check=False)
    print(
        f"\nnext: deployer new-class DIR   writes the class's repository: push it to {given.repo}"
        f"\n      deployer login           a link that opens https://{given.name}/ to you"
        f"\n      {ETC}/students-to-hand-out   accounts and passwords of the class"
    )


def upgrade(machine: Machine, given: argparse.Namespace) -> None:
    """Go to this checkout's version; back again by itself if it does not run.

    Dying before the end leaves `begun`: the same again goes on, `roll_back` takes it back.
    """
    name, there = places.version(), places.named_by(CURRENT)
    if there is None:
        raise Failed("nothing is installed here: scripts/install --repo OWNER/NAME --name HOST")
    no_other_is_begun(name, there)
    needed(machine, given)
    accounts_and_folders(machine)
    environment(machine, name)
    earlier = places.named_by(PREVIOUS)
    before = earlier if earlier and there == name == places.begun() else there
    if before == name:
        apply(machine, given, name, before=name)
        return
    if before == there:  # else `name` was put in, and there is no journal of before any more
        back_up(machine, given, name)
    machine.link(OPT / BEGUN, name)
    try:
        apply(machine, given, name, before=before, upgrade=True)
        wait_until_it_answers(machine)
    except FAULTS as exc:
        take_back(machine, given, before, name, exc)
        if earlier not in {None, before}:
            machine.link(PREVIOUS, str(earlier))
        machine.finished()
        raise Failed(f"{exc}\n{name} does not run here: {before} runs again") from exc
    machine.gone(OPT / BEGUN)
    for old in sorted(OPT.glob("*-*")):
        if old.name not in {name, before}:
            machine.gone(old)
            for kept in (snapshot(old.name), full(old.name), unwhole(full(old.name))):
                machine.gone(kept)
    if not given.without_services:
        prune_images(machine)


def back_up(machine: Machine, given: argparse.Namespace, name: str) -> None:
    """Have a way back from version `name`: of all, and of the journal alone.

    Both are made anew: those of an earlier try may be months old.
    """
    backup, copy = full(name), snapshot(name)
    if not given.without_services:
        machine.ensure(f"backup {backup}", lambda: False, lambda: write_backup(backup))
    machine.ensure(
        f"backup {copy}",
        # A way back that was cut off before the journal has left that of `name`.
        lambda: not JOURNAL.exists() or (places.begun() == name and migrated_by(name)),
        lambda: copy_journal(copy),
    )


def roll_back(machine: Machine, given: argparse.Namespace) -> None:
    """Go back to the version before the last upgrade, its files and its journal's tables."""
    name, before = places.named_by(PREVIOUS), places.named_by(CURRENT)
    if places.begun() not in {None, before}:  # that one was cut off before `current` moved
        name, before = before, places.begun()
    if name is None or before is None:
        raise Failed("no upgrade to go back from: /opt/deployer/previous names none")
    go_back(machine, given, name, before)


def take_back(
    machine: Machine, given: argparse.Namespace, name: str, before: str, because: Exception
) -> None:
    """Go back from an upgrade that failed.

    Raises:
        Failed: that failed too.
    """
    try:
        go_back(machine, given, name, before)
    except FAULTS as exc:
        raise Failed(
            f"{because}\nand the way back to {name} failed: {exc}\n"
            "mend that, then scripts/install --rollback-upgrade"
        ) from exc


def go_back(machine: Machine, given: argparse.Namespace, name: str, before: str) -> None:
    """Have version `name` in place of `before`, however far that one was put in.

    The journal is none of its matter unless `before` was put in, which `previous` tells: the copy
    of before an upgrade to `name` itself is one upgrade too old.
    """
    put_in = name != before and places.named_by(PREVIOUS) == name
    machine.link(OPT / BEGUN, before)
    machine.link(CURRENT, name)
    machine.ensure(
        f"journal of before the upgrade; the newer one is kept as {JOURNAL}.newer",
        lambda: not put_in or not migrated_by(before),
        lambda: put_journal_back(snapshot(before)),
    )
    apply(machine, given, name, before=before)
    if places.named_by(PREVIOUS) == name:
        machine.gone(PREVIOUS)
    machine.gone(OPT / BEGUN)


def no_other_is_begun(name: str, there: str | None) -> None:
    """See that no other version is half put in: its files would be taken for the teacher's own.

    Raises:
        Failed: one was.
    """
    begun = places.begun()
    if begun not in {None, name, there}:
        raise Failed(
            f"{begun} is half put in, as a run was cut off: scripts/install --upgrade in its"
            " checkout goes on, --rollback-upgrade takes it out"
        )


def uninstall(machine: Machine, given: argparse.Namespace) -> None:
    """Leave state and backups alone, the settings and secrets among these."""
    take_away(machine, given, "down", "--rmi", "all")
    machine.ensure(f"move {ETC} to {KEPT}", lambda: not ETC.exists(), partial(move, ETC, KEPT))
    for old in before_a_restore():
        machine.ensure(f"move {old}", lambda: False, partial(move, old, BACKUPS / old.name))
    # The users go, and whoever gets their numbers next must not get their files.
    for folder in (STATE, CHECKOUT):
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
    machine.no_user("deployer")
    machine.no_user("deployer-web")
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


def wait_until_it_answers(machine: Machine) -> None:
    """Wait until web reads its journal.

    Raises:
        Failed: it does not within a minute.
    """
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while not machine.dry:
        try:
            with urllib.request.urlopen("http://127.0.0.1:9000/healthz", timeout=10):
                return
        except (OSError, urllib.error.HTTPError) as exc:
            if time.monotonic() > deadline:
                raise Failed(f"web does not answer at /healthz: {exc}") from exc
            time.sleep(0.5)


def full(name: str) -> Path:
    """Return where all of before the upgrade to version `name` is kept, every secret with it."""
    return BACKUPS / f"before-{name}.backup"


def unwhole(backup: Path) -> Path:
    return backup.with_name(f"{backup.name}.new")


def write_backup(backup: Path) -> None:
    """Put it in the place of an earlier one, which stays until this one is whole."""
    new = unwhole(backup)
    new.unlink(missing_ok=True)
    run(COMMAND, "backup", new)
    new.replace(backup)


def snapshot(name: str) -> Path:
    """Return where the journal of before the upgrade to version `name` is kept."""
    return BACKUPS / f"journal-before-{name}.db"


def copy_journal(copy: Path) -> None:
    """Copy it while it is written to (sqlite.org/backup.html)."""
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(JOURNAL)) as journal, closing(sqlite3.connect(copy)) as copied:
        journal.backup(copied)


def migrated_by(name: str) -> bool:
    """Tell whether the journal's tables are no longer those of before the upgrade to `name`."""
    copy = snapshot(name)
    return copy.exists() and schema(copy) != schema(JOURNAL)


def schema(journal: Path) -> object:
    with closing(sqlite3.connect(journal)) as opened:
        return opened.execute("SELECT version_num FROM alembic_version").fetchall()


def put_journal_back(copy: Path) -> None:
    """Put it in place by one rename, as docs/operations.md says of a backup."""
    older = Path(f"{JOURNAL}.older")
    shutil.copy(copy, older)
    shutil.chown(older, "deployer", "deployer-state")
    older.chmod(0o660)
    # Who connects meanwhile waits at the socket: it starts the older version, which the link
    # names by now, and which takes this journal and no other.
    run("systemctl", "stop", *PROCESSES)
    copy_journal(Path(f"{JOURNAL}.newer"))
    older.replace(JOURNAL)
    run("systemctl", "start", *PROCESSES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
