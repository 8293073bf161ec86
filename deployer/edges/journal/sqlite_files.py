"""SQLite's three files: is what this process holds open still what their names lead to?

A file whose name was removed can be written on, and nobody finds it again: a delivery would be
answered 202 and be gone with the process. So the names are looked at before each transaction,
once it has the right to write, and after it. What stands in a log that lost its name is put into
the database, through the connections that still hold it: all of it, for nobody writes to such a
log any more once he holds the lock of its writers, and who empties it needs that lock. Then
everything is closed and opened anew; at once, for SQLite shares what belongs to a file between all
of a process's connections.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from sqlalchemy import Engine

from deployer.errors import JournalError

CLOSING_S: Final = 20.0
"""For this process's own transactions to end, which take milliseconds."""

PARTED_S: Final = 1.0
"""For another process to notice that its log or its index lost its name."""
_PAUSE_S: Final = 0.005


_File = tuple[int, int]  # device, inode
_NONE: Final[_File] = (0, 0)


class Moved(JournalError):
    """What was opened is not what the names lead to any more; open it anew."""


class Names(NamedTuple):
    """What the names lead to, and for whom: no connection may cross a fork.

    (https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_file_across_a_fork)
    """

    pid: int
    database: _File
    wal: _File
    shm: _File


@dataclass(slots=True)
class Files:
    """Of one journal, `<path>`, `<path>-wal` and `<path>-shm`, as one process has them open.

    Attributes:
        generation: what is open, None: nothing.
    """

    path: Path
    generation: Names | None = None
    _let_go: Names | None = None
    _lost: Names | None = None
    _at_work: int = 0
    _gate: threading.Condition = field(default_factory=threading.Condition)

    @contextmanager
    def opening(self) -> Iterator[None]:
        """Open all three, of one generation: that which this process has open, if any.

        A log and an index that were parted belong to a process that is about to notice.

        Raises:
            Moved
        """
        deadline = time.monotonic() + PARTED_S
        while self.generation is None:
            with self._alone():
                there = self._names()
                if time.monotonic() > deadline or not self._are_parted(there):
                    if there.wal == _NONE:
                        self._remove(there, there)  # an index without its log
                    yield
                    return
            time.sleep(_PAUSE_S)
        self.check()
        yield

    def opened(self) -> None:
        """Take note of what a connection has open now.

        Raises:
            Moved: it is not of one generation with the others.
        """
        with self._gate:
            there = self._names()
            if self.generation not in {None, there} or _NONE in there:
                raise self._moved()
            self.generation = there
            if there == self._lost:  # it was moved away, and came back
                self._lost = None

    def _are_parted(self, there: Names) -> bool:
        if there.wal == _NONE:
            return there.shm != _NONE
        return there.shm == _NONE and not _is_empty(self._side("-wal"))

    def _moved(self) -> Moved:
        return Moved(f"somebody removes the files of the journal {self.path} again and again")

    @contextmanager
    def held(self, engine: Engine) -> Iterator[None]:
        """Have the connections of `engine` at what the names lead to, for one transaction.

        Raises:
            JournalError: what has no name can't be saved.
        """
        with self._gate:
            self._follow(engine)
            self._at_work += 1
        try:
            yield
        finally:
            with self._gate:
                self._at_work -= 1
                self._gate.notify_all()

    def check(self) -> None:
        """Say so if a name was moved; called with the right to write.

        Raises:
            Moved
        """
        if self.generation != self._names():
            raise self._moved()

    def settle(self, engine: Engine, written: Names | None) -> None:
        """See that what was `written` is where its name leads.

        Raises:
            JournalError: it is lost, or may be.
        """
        with self._gate:
            self._follow(engine)
            if written == self._lost:
                raise JournalError(
                    f"a file of the journal {self.path} was removed or replaced while it was"
                    " written, and what was just written is lost; leave its three files alone"
                )

    def _follow(self, engine: Engine) -> None:
        """Let go of what lost its name."""
        if self.generation not in {None, self._names()}:
            self._let_all_go(engine)
        self._remove_foreign_log()

    def _let_all_go(self, engine: Engine) -> None:
        if self.generation and self.generation.pid != os.getpid():
            self._at_work = 0
        if not self._gate.wait_for(lambda: self._at_work == 0, CLOSING_S):
            raise JournalError(
                f"the journal {self.path} was removed or replaced, and what was open of it could"
                f" not be closed within {CLOSING_S:.0f} s: restart the deployer"
            )
        if self.generation in {None, self._names()}:  # another thread was faster
            return
        with self._alone():
            lost = self._forsaken(engine, self.generation, self._names())
        self._lost = self.generation if lost else self._lost
        engine.dispose()
        self.generation = None

    def _forsaken(self, engine: Engine, held: Names, there: Names) -> bool:
        """Save what can be saved; tell whether anything is lost."""
        if there.pid != held.pid:
            return False
        if there.database != held.database:
            _warn("journal.replaced", journal=str(self.path))
            self._let_go = held
            return True
        if ours := self._is_ours(there, held):
            self._save(engine, there, held)
        # Another of our processes may have saved all, and gone on in a new one.
        lost = not ours and there.wal != held.wal and _open_size(held.wal) > 0
        _warn("journal.wal_removed", journal=str(self.path), lost=lost)
        return lost

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from saving at the same time; the kernel ends it with this one."""
        try:
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:  # gone with the journal
            yield
            return
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _is_ours(self, there: Names, held: Names) -> bool:
        """Tell whether nobody has written to a log that was begun anew."""
        if there.wal == held.wal:
            return there.shm in {held.shm, _NONE}
        return there.wal == _NONE or _is_empty(self._side("-wal"))

    def _save(self, engine: Engine, there: Names, held: Names) -> None:
        """Put what only the deployer's open connections see into the database."""
        connection = engine.raw_connection()
        deadline = time.monotonic() + CLOSING_S
        try:
            cursor = connection.cursor()
            why = "it is in use"
            while why and time.monotonic() < deadline:
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                done = cursor.fetchone()
                if done is None or done[0]:
                    time.sleep(_PAUSE_S)  # SQLite does not wait for another who empties it
                else:
                    why = ""
        except sqlite3.Error as exc:
            why = str(exc)
        finally:
            connection.close()
        if why:
            raise JournalError(
                f"the log of the journal {self.path} was removed, and what it holds can't be put"
                f" into the database yet: {why}; see its disk, and don't stop the deployer before"
            )
        self._remove(there, held)

    def _remove_foreign_log(self) -> None:
        """Open no database beside the log of the one before: SQLite would take it for its own.

        Once it comes back itself, its log is there. Whoever still has the old one open does not
        touch the new names: SQLite sees that its database was moved.
        """
        old, there = self._let_go, self._names()
        if old is None or there.database == _NONE:
            return
        if there.database != old.database:
            self._remove(there, old)
        self._let_go = None

    def _remove(self, there: Names, ours: Names) -> None:
        """Have what is begun anew share no file with a process that holds the old ones."""
        if there.wal == ours.wal != _NONE:
            self._side("-wal").unlink(missing_ok=True)
        if there.shm == ours.shm != _NONE:
            self._side("-shm").unlink(missing_ok=True)

    def _names(self) -> Names:
        places = (self.path, self._side("-wal"), self._side("-shm"))
        return Names(os.getpid(), *map(_file, places))

    def _side(self, name: str) -> Path:
        return self.path.with_name(self.path.name + name)


def _file(path: Path) -> _File:
    try:
        there = path.stat()
    except OSError:
        return _NONE
    return there.st_dev, there.st_ino


def _is_empty(path: Path) -> bool:
    with suppress(OSError):
        return path.stat().st_size == 0
    return True


def _open_size(file: _File) -> int:
    """Return how long a file without a name is that this process has open."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the list itself
            there = descriptor.stat()
            if (there.st_dev, there.st_ino) == file:
                return there.st_size
    return 0


def _warn(event: str, **said: object) -> None:
    import structlog  # noqa: PLC0415 - a command that finds all well is quicker without

    structlog.get_logger(__name__).warning(event, **said)
