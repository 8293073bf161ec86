"""Is the schema there, and whose turn is it to migrate it.

Any process may be the first to open a journal, so any may migrate it: the others
wait for its transaction and then find nothing left to do. Alembic is imported only
if there is: the web process is to stay small.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from deployer.edges.journal.engine import Database
from deployer.errors import JournalError

REVISIONS = ("0001", "0002", "0003", "0004", "0005")
"""All revisions in `migrations/versions`, oldest first; the last is what this code works on."""

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
        if _up_to_date(connection, database.name):
            return
    if not migrate:
        raise JournalError(
            f"the journal {database.name} is not of this version of the deployer yet: "
            "start `deployer worker`, which migrates it"
        )
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(
                text("SET LOCAL statement_timeout = 0")
            )  # large tables may take long
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        # Asked again: another process may have migrated while this one waited.
        if not _up_to_date(connection, database.name):
            _upgrade(connection)


def _up_to_date(connection: Connection, name: str) -> bool:
    """Tell whether the last migration was run.

    Raises:
        JournalError: one was run that this code does not know.
    """
    if not inspect(connection).has_table("alembic_version"):
        return False
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and found not in REVISIONS:
        raise JournalError(
            f"the journal {name} was written by a newer deployer (its schema is {found}, "
            f"this one knows {REVISIONS[-1]}): install that version, or put back the backup "
            "made before it was installed"
        )
    return bool(found == REVISIONS[-1])


def _upgrade(connection: Connection) -> None:
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
