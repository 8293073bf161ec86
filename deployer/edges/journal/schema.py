"""Is the schema there, and whose turn is it to migrate it.

Any process may be the first to open a journal, so any may make or migrate it: the
others wait for its transaction and then find nothing left to do. A new journal is made
of `tables` as they are now, an older one is migrated by Alembic, which is imported for
that alone: it costs a process 9 MB for as long as it lives.

Who changes `tables` adds a revision to `migrations/versions` and to `REVISIONS`. It is tried on
`tests/integration/journals/0001.sql`, which has the tables of the first release: none is older.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select, text

from deployer.edges.journal import tables
from deployer.edges.journal.database import Database
from deployer.errors import JournalError

REVISIONS = ("0001",)
"""All revisions in `migrations/versions`, oldest first; the last is what this code works on."""

_VERSION = Table(  # alembic/runtime/migration.py, `MigrationContext._version`
    "alembic_version",
    MetaData(naming_convention={"pk": "%(table_name)s_pkc"}),
    Column("version_num", String(32), primary_key=True),
)
_MIGRATIONS = Path(__file__).parent / "migrations"
_ADVISORY_LOCK = 0x6465706C6F79  # "deploy"; one number a purpose in a PostgreSQL database


def ensure(database: Database, *, migrate: bool) -> None:
    """Leave the database with the schema of this code.

    Idempotent, and safe to be called by several processes at once.

    Raises:
        JournalError: there is no such schema and `migrate` is False; the schema is of
            a newer deployer; the database can't be opened or written.
    """
    if migrate and database.file is not None:
        _create(database, database.file)
    with database.reading() as connection:
        if _revision(connection, database.name) == REVISIONS[-1]:
            return
    if not migrate:
        raise JournalError(
            f"the journal {database.name} is not of this version of the deployer yet: "
            "start `deployer worker`, which migrates it"
        )
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            # Large tables may take long.
            connection.execute(text("SET LOCAL statement_timeout = 0"))
            _wait_for_others(connection)
        # Asked again: another process may have done it while this one waited.
        found = _revision(connection, database.name)
        if found is None:
            make(connection)
        elif found != REVISIONS[-1]:
            upgrade(connection)


def _revision(connection: Connection, name: str) -> str | None:
    """Return the last migration that was run, None: there is no journal yet.

    Raises:
        JournalError: one was run that this code does not know.
    """
    if not inspect(connection).has_table(_VERSION.name):
        return None
    found = connection.execute(select(_VERSION.c.version_num)).scalar()
    if found is not None and found not in REVISIONS:
        raise JournalError(
            f"the journal {name} was written by a newer deployer (its schema is {found}, "
            f"this one knows {REVISIONS[-1]}): install that version, or put back the backup "
            "made before it was installed"
        )
    return found


def put_aside(connection: Connection, place: str) -> bool:
    """Move PostgreSQL's journal, whatever it holds, into a new schema; False: there is none.

    Tables that only a newer deployer knows stay where they are.
    """
    _wait_for_others(connection)
    there = inspect(connection).get_table_names()
    found = [name for name in (*tables.metadata.tables, _VERSION.name) if name in there]
    if found:
        connection.exec_driver_sql(f'CREATE SCHEMA "{place}"')
    for name in found:
        connection.exec_driver_sql(f'ALTER TABLE {name} SET SCHEMA "{place}"')
    return bool(found)


def _wait_for_others(connection: Connection) -> None:
    """Have PostgreSQL's schema changed by nobody else until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def make(connection: Connection) -> None:
    """Make what all migrations together would, inside the connection's transaction."""
    tables.metadata.create_all(connection, checkfirst=False)
    for statement in tables.PARTIAL_INDEXES:
        connection.exec_driver_sql(statement)
    row = {"id": 1, "link_key": secrets.token_hex(32), "live_held": []}
    connection.execute(insert(tables.worker), row)
    _VERSION.create(connection)
    connection.execute(insert(_VERSION), {"version_num": REVISIONS[-1]})


def upgrade(connection: Connection) -> None:
    """Run the missing migrations inside the connection's transaction."""
    from alembic import command  # noqa: PLC0415 - see the module's docstring
    from alembic.config import Config  # noqa: PLC0415 - likewise

    config = Config()
    # `%` begins an interpolation in a ConfigParser's value.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, REVISIONS[-1])


def _create(database: Database, file: Path) -> None:
    """Make an empty file if there is none; SQLite's other files take its owner's rights over."""
    try:
        # Never opened if it is there: closing it would drop the locks that SQLite holds in
        # this process (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_...).
        with suppress(FileExistsError):
            os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o660))
    except OSError as exc:
        raise JournalError(
            f"the journal {database.name} can't be created: {exc.strerror}; "
            f"check that {file.parent} exists and is yours to write"
        ) from exc
