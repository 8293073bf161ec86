"""The journal's part of a backup: a SQLite file, whatever database the journal is in."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    func,
    insert,
    inspect,
    select,
)

from deployer.edges.backup.archive import beside, own_as_around
from deployer.edges.disk import flush
from deployer.edges.journal import SqlJournal, schema
from deployer.edges.journal.database import Database, is_damage
from deployer.edges.journal.tables import metadata, worker
from deployer.errors import JournalError, WrongPlace
from deployer.ports import Journal

T = TypeVar("T")

ROWS_AT_A_TIME: Final = 1000
_SIDES: Final = ("", "-wal", "-shm")
_COUNTS: Final = Table(  # SQLite's own, to be written to: https://sqlite.org/autoinc.html
    "sqlite_sequence", MetaData(), Column("name", String), Column("seq", Integer)
)


def copy(url: str, into: Path) -> None:
    """Write the journal as it is at one moment to a SQLite file; others go on writing.

    Raises:
        JournalError: it can't be read, or is not of this version of the deployer.
    """
    with closing(Database(url)) as database:
        schema.ensure(database, migrate=False)
        if database.file:
            _vacuum(database, into)
        else:
            _export(database, into)


def ready(copied: Path) -> None:
    """Make a copy one of this version, in which nothing is known to be live.

    The worker looks at everything anew then.

    Raises:
        WrongPlace: it is damaged.
        JournalError
    """
    if wrong := damage(_sqlite(copied)):
        raise WrongPlace(f"the journal of the backup: {wrong}. Nothing was changed")
    with closing(SqlJournal.open(_sqlite(copied), migrate=True)) as journal:
        journal.set_live(None)


def put_back(url: str, copied: Path, *, aside: str) -> str | None:
    """Make `copied` the journal again; return where the one before is kept, None: there was none.

    No worker may run. A web process may: it goes on in the new one. While PostgreSQL's is replaced
    it waits, and what it only wanted to read then may fail once.

    What is kept is a SQLite file whose name ends in `aside`, of PostgreSQL's a schema of that name.

    Raises:
        JournalError, DiskError: nothing was changed.
    """
    database = Database(url)
    try:
        with closing(database):
            if database.file:
                return _replace(database.file, copied, aside)
            return _load(database, copied, aside)
    except OSError as exc:
        raise JournalError(f"the journal {database.name} can't be replaced: {exc}") from exc


def damage(url: str) -> str | None:
    """Tell what is wrong with SQLite's file; None: nothing, or it is PostgreSQL's own matter.

    Raises:
        JournalError: it can't be read, and that says nothing of what it holds.
    """
    database = Database(url)
    file = database.file
    if file is None:
        return None
    if not file.exists() or not file.stat().st_size:
        return f"{file} is {'empty' if file.exists() else 'gone'}"
    try:
        with closing(database), database.reading() as connection:
            said = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
            if said == "ok":
                whole = inspect(connection).has_table(worker.name)
                return None if whole else f"{file} has no tables"
    except JournalError as exc:
        if not is_damage(exc):
            raise
        said = str(exc)
    return f"{file} is damaged ({said})"


@dataclass(frozen=True, slots=True)
class JournalPlace:
    """Implements `ports.doctor.JournalPlace`; what is kept ends in `aside`, as of `put_back`."""

    url: str
    state_dir: Path
    aside: str

    def damage(self) -> str | None:
        return damage(self.url)

    def rebuild(self, fill: Callable[[Journal], None]) -> str | None:
        """Make a new journal, let `fill` fill it, and put it in its place; see `put_back`.

        Raises:
            JournalError, DiskError: nothing was changed.
        """
        with beside(self.state_dir / "rebuild") as place:
            made = place / "journal"
            with closing(SqlJournal.open(_sqlite(made), migrate=True)) as journal:
                fill(journal)
            return put_back(self.url, made, aside=self.aside)

    def opened(self, ask: Callable[[Journal], T]) -> T:
        with closing(SqlJournal.open(self.url, migrate=False)) as journal:
            return ask(journal)


def _replace(file: Path, copied: Path, aside: str) -> str | None:
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.restored")
    shutil.copyfile(copied, fresh)
    own_as_around(fresh)
    fresh.chmod(0o660)
    flush(fresh)
    # Dying between these leaves no journal, and both beside it by their names.
    kept = str(file.with_name(f"{file.name}.{aside}")) if file.exists() else None
    for side in _SIDES:  # the database first: whoever has it open then sees that it was moved
        old = file.with_name(file.name + side)
        if old.exists():
            old.rename(file.with_name(f"{file.name}.{aside}{side}"))
    fresh.rename(file)
    flush(file.parent)
    return kept


def _load(database: Database, copied: Path, aside: str) -> str | None:
    """Replace PostgreSQL's journal, of whatever schema it is, in one transaction."""
    with (
        closing(Database(_sqlite(copied))) as given,
        given.reading() as source,
        database.writing() as target,
    ):
        target.exec_driver_sql("SET LOCAL statement_timeout = 0")
        kept = schema.put_aside(target, aside)
        schema.make(target)
        _transfer(source, target)
    return f"the schema {aside}" if kept else None


def _vacuum(database: Database, into: Path) -> None:
    with database.telling("copied"):
        connection = database.engine.raw_connection()
        try:
            # https://sqlite.org/lang_vacuum.html: whole, in one read transaction, compact.
            connection.cursor().execute("VACUUM INTO ?", (str(into),))
        except sqlite3.Error as exc:
            raise JournalError(f"the journal {database.name} can't be copied: {exc}") from exc
        finally:
            connection.close()


def _export(database: Database, into: Path) -> None:
    with closing(Database(_sqlite(into))) as made:
        schema.ensure(made, migrate=True)
        with database.reading() as source, made.writing() as target:
            _transfer(source, target)


def _transfer(source: Connection, target: Connection) -> None:
    """Put the rows of one journal into another that is new, in the caller's transactions."""
    for table in metadata.sorted_tables:
        target.execute(delete(table))  # a new journal has a row of its own
        asked = select(table).execution_options(yield_per=ROWS_AT_A_TIME)
        with source.execute(asked) as rows:
            for some in rows.mappings().partitions():
                target.execute(insert(table), [dict(row) for row in some])
        if table.autoincrement_column is not None:
            last = _last_number(source, table.autoincrement_column)
            _number_after(target, table.autoincrement_column, last)


def _last_number(source: Connection, column: Column[int]) -> int:
    """Return the last number that a table gave out, its row may be pruned since; 0: none yet."""
    name = column.table.name
    if source.dialect.name == "postgresql":
        asked = select(func.pg_sequence_last_value(func.pg_get_serial_sequence(name, column.name)))
    elif _keeps_count(column.table):
        asked = select(_COUNTS.c.seq).where(_COUNTS.c.name == name)
    else:
        asked = select(func.max(column))
    return source.scalar(asked) or 0


def _number_after(target: Connection, column: Column[int], last: int) -> None:
    """Have a new table number its next row after `last`."""
    name = column.table.name
    if target.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(name, column.name)
        target.execute(select(func.setval(sequence, max(last, 1), last > 0)))
    elif _keeps_count(column.table):
        target.execute(delete(_COUNTS).where(_COUNTS.c.name == name))
        target.execute(insert(_COUNTS).values(name=name, seq=last))


def _keeps_count(table: Table) -> bool:
    """Tell whether SQLite, too, never gives a number of it out again."""
    return bool(table.dialect_options["sqlite"]["autoincrement"])


def _sqlite(file: Path) -> str:
    return f"sqlite:///{file}"
