"""The journal's part of a backup: a copy of SQLite's file, or what pg_dump says of our tables."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, TypeVar

from sqlalchemy import inspect

from deployer.edges.backup.archive import beside, own_as_around, sync
from deployer.edges.journal import SqlJournal, schema
from deployer.edges.journal.engine import Database, is_damage
from deployer.edges.journal.tables import metadata
from deployer.errors import JournalError
from deployer.ports import Journal

T = TypeVar("T")

WITHIN_S: Final = 900.0
OURS: Final = (*metadata.tables, "alembic_version")
_SIDES: Final = ("", "-wal", "-shm")
_PSQL: Final = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")


def copy(url: str, into: Path) -> None:
    """Write the journal as it is at one moment to `into`; others go on writing.

    Raises:
        JournalError: it can't be read, or is not of this version of the deployer.
    """
    database = Database(url)
    with closing(database):
        schema.ensure(database, migrate=False)
        if database.file is None:
            _dump(database, into, OURS)
            return
        with database.telling("copied"):
            connection = database.engine.raw_connection()
            try:
                # https://sqlite.org/lang_vacuum.html: whole, in one read transaction, compact.
                connection.cursor().execute("VACUUM INTO ?", (str(into),))
            except sqlite3.Error as exc:
                raise JournalError(f"the journal {database.name} can't be copied: {exc}") from exc
            finally:
                connection.close()


def put_back(url: str, copied: Path, *, aside: str, state_dir: Path) -> Path | None:
    """Make `copied` the journal again; return where the one before is kept, None: there was none.

    What was live is not known afterwards: the worker looks at everything anew.
    No worker may run. A web process may: it goes on in the new one. What is kept ends in `aside`;
    of PostgreSQL it is a dump in `state_dir`.

    Raises:
        JournalError: nothing was changed.
    """
    database = Database(url)
    try:
        with closing(database):
            if database.file:
                return _replace(database.file, copied, aside)
            kept = _load(database, copied, state_dir / f"journal.{aside}")
    except OSError as exc:
        raise JournalError(f"the journal {database.name} can't be replaced: {exc}") from exc
    with closing(SqlJournal.open(url, migrate=True)) as journal:
        journal.set_live(None)
    return kept


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """Implements `ports.doctor.JournalPlace`; what is kept ends in `aside`, as of `put_back`."""

    url: str
    state_dir: Path
    aside: str

    def damage(self) -> str | None:
        """Tell what is wrong with SQLite's file; None: nothing, or it is PostgreSQL's own matter.

        Raises:
            JournalError: it can't be read, and that says nothing of what it holds.
        """
        database = Database(self.url)
        file = database.file
        if file is None:
            return None
        if not file.exists() or not file.stat().st_size:
            return f"{file} is {'empty' if file.exists() else 'gone'}"
        try:
            with closing(database), database.reading() as connection:
                said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if said == "ok":
                    whole = inspect(connection).has_table(OURS[-1])
                    return None if whole else f"{file} has no tables"
        except JournalError as exc:
            if not is_damage(exc):
                raise
            said = str(exc)
        return f"{file} is damaged ({said})"

    def rebuild(self, fill: Callable[[Journal], None]) -> Path | None:
        """Make a new journal, let `fill` fill it, and put it in its place; see `put_back`.

        Raises:
            JournalError, DiskError: nothing was changed.
        """
        with beside(self.state_dir / "rebuild") as place:
            made = place / "journal"
            with closing(SqlJournal.open(f"sqlite:///{made}", migrate=True)) as journal:
                fill(journal)
            return put_back(self.url, made, aside=self.aside, state_dir=self.state_dir)

    def opened(self, ask: Callable[[Journal], T]) -> T:
        with closing(SqlJournal.open(self.url, migrate=False)) as journal:
            return ask(journal)


def move_aside(file: Path, aside: str) -> Path | None:
    """Rename SQLite's files so that they still belong together; return the new name."""
    kept = file.with_name(f"{file.name}.{aside}") if file.exists() else None
    for side in _SIDES:  # the database first: whoever has it open then sees that it was moved
        old = file.with_name(file.name + side)
        if old.exists():
            old.rename(file.with_name(f"{file.name}.{aside}{side}"))
    return kept


def _replace(file: Path, copied: Path, aside: str) -> Path | None:
    url = f"sqlite:///{copied}"
    with closing(Database(url)) as database, database.reading() as connection:
        wrong = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if wrong != "ok":
            raise JournalError(f"the copy of the journal is damaged: {wrong}; take another backup")
    with closing(SqlJournal.open(url, migrate=True)) as journal:
        journal.set_live(None)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.restored")
    shutil.copyfile(copied, fresh)
    own_as_around(fresh)
    fresh.chmod(0o660)
    sync(fresh)
    # Dying between these leaves no journal, and both beside it by their names.
    kept = move_aside(file, aside)
    fresh.rename(file)
    sync(file.parent)
    return kept


def _load(database: Database, copied: Path, kept: Path) -> Path | None:
    with database.telling("read"), database.reading() as connection:
        there = [name for name in OURS if name in inspect(connection).get_table_names()]
    if there:
        kept.touch(mode=0o600)
        _dump(database, kept, there)
    ours = ", ".join(f'"{name}"' for name in OURS)
    drop = f"--command=DROP TABLE IF EXISTS {ours} CASCADE"
    with copied.open("rb") as given:
        # One transaction: all of it, or nothing was changed.
        _run(database, (*_PSQL, "--single-transaction", drop, "--file=-"), stdin=given)
    return kept if there else None


def _dump(database: Database, into: Path, tables: Sequence[str]) -> None:
    only = [f"--table={name}" for name in tables]
    with into.open("wb") as out:
        _run(database, ("pg_dump", "--no-owner", "--no-privileges", *only), stdout=out)


def _run(
    database: Database,
    line: tuple[str, ...],
    *,
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.DEVNULL,
) -> None:
    """Run one of PostgreSQL's own programs on the journal's database.

    Raises:
        JournalError
    """
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415 - of the extra `postgres`

    url = database.engine.url
    options = url.translate_connect_args(username="user", database="dbname") | dict(url.query)
    password = options.pop("password", None)  # on a command line all could read it
    secret = {"PGPASSWORD": str(password)} if password else {}
    try:
        done = subprocess.run(
            (*line, f"--dbname={make_conninfo('', **options)}"),
            env=os.environ | secret,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=WITHIN_S,
            check=False,
        )
    except FileNotFoundError as exc:
        raise JournalError(
            f"{line[0]} is not installed: install PostgreSQL's client programs (postgresql-client),"
            " of the server's version or newer"
        ) from exc
    except subprocess.TimeoutExpired as exc:
        raise JournalError(f"{line[0]} did not end within {WITHIN_S:.0f} s") from exc
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it says nothing"]
        raise JournalError(f"the journal {database.name}: {line[0]} failed: {said[-1]}")
