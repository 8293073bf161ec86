"""What an upgrade keeps of before it: a backup of all, and the journal alone."""

from __future__ import annotations

import argparse
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from scripts.installation import places
from scripts.installation.machine import Machine, run
from scripts.installation.places import BACKUPS, COMMAND, JOURNAL


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
    """Put it in place by one rename, as docs/operations.md says of a backup; nothing runs."""
    older = Path(f"{JOURNAL}.older")
    shutil.copy(copy, older)
    shutil.chown(older, "deployer", "deployer-state")
    older.chmod(0o660)
    copy_journal(Path(f"{JOURNAL}.newer"))
    older.replace(JOURNAL)
