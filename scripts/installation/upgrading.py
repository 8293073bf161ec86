"""Go from one version to another, and back: `--upgrade`, `--rollback-upgrade`."""

from __future__ import annotations

import argparse
import sqlite3
import time
import urllib.error
import urllib.request

from scripts.installation import copies, places
from scripts.installation.machine import Failed, Machine, run
from scripts.installation.places import BEGUN, CURRENT, JOURNAL, OPT, PREVIOUS
from scripts.installation.prerequisites import accounts_and_folders, needed
from scripts.installation.removal import prune_images
from scripts.installation.wanted import PROCESSES, apply, environment

HEALTHY_WITHIN_S = 60.0
HEALTH = "http://127.0.0.1:9000/healthz"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
FAULTS = (Failed, OSError, sqlite3.Error)
"""What ends a run with a message: a full disk is told by any of them."""


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
        copies.back_up(machine, given, name)
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
            for kept in (
                copies.snapshot(old.name),
                copies.full(old.name),
                copies.unwhole(copies.full(old.name)),
            ):
                machine.gone(kept)
    if not given.without_services:
        prune_images(machine)


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
    # What `before` starts may not have migrated yet. Who connects meanwhile starts `name`.
    machine.ensure(
        "stop web and worker",
        lambda: not put_in,
        lambda: run("systemctl", "stop", *PROCESSES),
    )
    machine.ensure(
        f"journal of before the upgrade; the newer one is kept as {JOURNAL}.newer",
        lambda: not put_in or not copies.migrated_by(before),
        lambda: copies.put_journal_back(copies.snapshot(before)),
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


def wait_until_it_answers(machine: Machine) -> None:
    """Wait until web reads its journal.

    Raises:
        Failed: it does not within a minute.
    """
    deadline = time.monotonic() + HEALTHY_WITHIN_S
    while not machine.dry:
        try:
            with DIRECT.open(HEALTH, timeout=10):
                return
        except (OSError, urllib.error.HTTPError) as exc:
            if time.monotonic() > deadline:
                raise Failed(f"web does not answer at /healthz: {exc}") from exc
            time.sleep(0.5)
