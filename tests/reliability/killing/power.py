"""What a power cut leaves of the state and of the checkout.

The model of a file system is that of ext4 (`data=ordered`) and XFS, which the product relies on
(`edges/releases/directory.py`):

- names come and go in the order in which they were made: directories, links, renames. A cut takes
  an end of that history, and nothing of it that was there at the last fsync of anything;
- what a file holds is there if *it* was synced, by fsync or sync; else it is empty (delayed
  allocation: its name is on the disk before its content is);
- SQLite syncs its log at each transaction that decision 014 calls written; of those that are noted
  a cut takes an end. git syncs packs and refs, and no loose object (git-config(1), core.fsync).

State and checkout may lie on two disks. So there are four ways in which one and the same moment can
come out: of each of them the least that must be there, or all but the contents nobody synced.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Collection
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from deployer.config import Settings
from deployer.edges.git.repository import GitRepository
from deployer.edges.journal import SqlJournal
from tests.reliability.killing.boundaries import Boundaries

P = ParamSpec("P")
R = TypeVar("R")
WAYS = (("least", "least"), ("least", "most"), ("most", "least"), ("most", "most"))
"""Of the journal, and of the checkout."""
_JOURNAL = "deployer.db"
_UNSYNCED = "unsynced.json"


class _Disk:
    """Of one process: what it knows to be on the disk."""

    def __init__(self, checkout: Path, kept: Path, boundaries: Boundaries) -> None:
        self._checkout = checkout
        self._kept = kept
        self._boundaries = boundaries
        self._alone = threading.Lock()
        self._synced = {inode for _, inode in _files(checkout)}

    def fsynced(self, descriptor: int) -> None:
        self._synced.add(os.fstat(descriptor).st_ino)
        self.keep()

    def synced(self) -> None:
        self._synced |= {inode for _, inode in _files(self._checkout)}
        self.keep()

    def keep(self) -> None:
        """Keep a copy of the checkout: nothing of these names can be lost any more."""
        with self._alone:
            before, self._boundaries.quiet = self._boundaries.quiet, True
            new = self._kept / "class.new"
            shutil.rmtree(new, ignore_errors=True)
            if self._checkout.is_dir():
                subprocess.run(["cp", "-a", self._checkout, new], check=True)
                (new / _UNSYNCED).write_text(json.dumps(self._unsynced()))
                shutil.rmtree(self._kept / "class", ignore_errors=True)
                new.rename(self._kept / "class")
            self._boundaries.quiet = before

    def note(self) -> None:
        """Write down of which files the content would be lost now."""
        (self._kept / _UNSYNCED).write_text(json.dumps(self._unsynced()))

    def _unsynced(self) -> list[str]:
        return [
            str(path)
            for path, inode in _files(self._checkout)
            if inode not in self._synced and _loses_content(path)
        ]


def watch_journal(settings: Settings, kept: Path, written: Collection[str]) -> None:
    """Keep in `kept` what a power cut would leave of the journal."""
    state = settings.state_dir / _JOURNAL
    for name in written:
        setattr(SqlJournal, name, _then(getattr(SqlJournal, name), lambda: _keep(state, kept)))


def watch_files(settings: Settings, kept: Path, boundaries: Boundaries) -> None:
    """Keep in `kept` what a power cut would leave of the checkout; one process alone writes it."""
    disk = _Disk(settings.checkout_dir, kept, boundaries)
    fsync, sync = os.fsync, os.sync

    def fsyncs(descriptor: int) -> None:
        fsync(descriptor)
        disk.fsynced(descriptor)

    def syncs() -> None:
        sync()
        disk.synced()

    os.fsync, os.sync = fsyncs, syncs  # type: ignore[assignment]  # it takes what has a number, too
    setattr(GitRepository, "fetch", _then(GitRepository.fetch, disk.keep))  # noqa: B010
    boundaries.before_death = disk.note
    disk.keep()


def begin(state: Path, kept: Path) -> None:
    """Take all that is there for synced."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    if (state / _JOURNAL).exists():
        _keep(state / _JOURNAL, kept)


def cut(state: Path, checkout: Path, kept: Path, way: tuple[str, str]) -> None:
    """Leave of both directories what the cut leaves; every process that used them is dead."""
    journal, tree = way
    if journal == "least":
        for name in (_JOURNAL, f"{_JOURNAL}-wal", f"{_JOURNAL}-shm"):
            (state / name).unlink(missing_ok=True)
        if (kept / _JOURNAL).exists():
            shutil.copyfile(kept / _JOURNAL, state / _JOURNAL)
    lost = kept / _UNSYNCED
    if tree == "least":
        shutil.rmtree(checkout, ignore_errors=True)
        if (kept / "class").is_dir():
            subprocess.run(["cp", "-a", kept / "class", checkout], check=True)
            lost = checkout / _UNSYNCED
    for path in json.loads(lost.read_text()) if lost.exists() else ():
        if (checkout / path).is_file():
            os.truncate(checkout / path, 0)
    (checkout / _UNSYNCED).unlink(missing_ok=True)


def _keep(database: Path, kept: Path) -> None:
    """Keep a copy of the journal: nothing in it can be lost any more."""
    with (kept / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new = kept / "new.db"
        new.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(new)) as copy,
        ):
            source.backup(copy)
        new.replace(kept / _JOURNAL)


def _then(real: Callable[P, R], also: Callable[[], None]) -> Callable[P, R]:
    @wraps(real)
    def method(*args: P.args, **kwargs: P.kwargs) -> R:
        answer = real(*args, **kwargs)
        also()
        return answer

    return method


def _files(root: Path) -> list[tuple[Path, int]]:
    found = []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                found.append((path.relative_to(root), path.stat().st_ino))
    return found


def _loses_content(path: Path) -> bool:
    """Tell whether nobody syncs it of himself: git does so with all but loose objects."""
    if path.parts[0] == "mirror.git":
        return path.parts[1] == "objects" and len(path.parts[2]) == 2
    return path.parts[0] == "releases"
