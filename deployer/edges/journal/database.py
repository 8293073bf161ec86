"""Connections and transactions, and a database's errors in our words.

SQLite (https://sqlite.org/wal.html) serves several processes: the web process writes
deliveries, the worker all else, the command line reads. Write-ahead logging lets
them read while one writes. A commit is on disk when it returns (`synchronous=FULL`), but for
what would only be done again: `NORMAL` spares it the wait for the disk, and after a power cut
the last of those are missing, in order and whole
(https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError, SQLAlchemyError

from deployer.edges.journal.codec import dumps
from deployer.edges.journal.sqlite_files import Files, Moved
from deployer.errors import JournalError

BUSY_TIMEOUT_S = 20.0
"""How long a writer waits for another process's transaction, each of which takes milliseconds."""
_OPTIONS: Final = {"hide_parameters": True, "json_serializer": dumps, "max_overflow": 40}
_TRIES = 3  # of a transaction under which the files were moved before it began

_LOST = (
    "stop the worker and put a backup in its place (`deployer restore`), or have it rebuilt"
    " without its history (`deployer doctor --repair`)"
)
_HINTS = {  # by primary result code, https://sqlite.org/rescode.html
    sqlite3.SQLITE_FULL: "free some space on its disk",
    sqlite3.SQLITE_IOERR: "look at its disk and at the kernel's log",
    sqlite3.SQLITE_CORRUPT: _LOST,
    sqlite3.SQLITE_NOTADB: _LOST,
    sqlite3.SQLITE_READONLY: "check owner and rights of the file and of its directory",
    sqlite3.SQLITE_PERM: "check owner and rights of the file and of its directory",
    sqlite3.SQLITE_CANTOPEN: "check that it exists, and owner and rights of it and its directory",
    sqlite3.SQLITE_BUSY: "another process has been writing to it for seconds",
}


class Database:
    """One journal's database: hands out transactions, raises nothing but `JournalError`.

    Attributes:
        name: its URL without the password, for messages.
        file: SQLite's file, None for PostgreSQL.
        engine: what `reading` and `writing` are made of.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError) as exc:  # its text may hold the password
            raise JournalError("the journal's DATABASE_URL is not an SQLAlchemy URL") from exc
        self.name = parsed.render_as_string(hide_password=True)
        self.file = _sqlite_file(parsed)
        self._files = Files(self.file) if self.file else None
        with self.telling("opened"):
            try:
                self.engine = _postgresql(parsed) if self._files is None else _sqlite(self._files)
            except ModuleNotFoundError as exc:
                raise JournalError(
                    f"the journal {self.name} needs the Python package {exc.name}: "
                    "install airflow-class-deployer[postgres] out of the deployer's repository"
                ) from exc
        # A deployment is read by several statements, which must all see the same moment.
        # SQLite's transactions do so anyway.
        level = {} if self.file else {"isolation_level": "REPEATABLE READ"}
        self._reads = self.engine.execution_options(**level)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot of the journal."""
        with self._transaction("read", self._reads) as connection:
            yield connection

    @contextmanager
    def writing(self, within_s: float = BUSY_TIMEOUT_S) -> Iterator[Connection]:
        """A transaction that is on disk when the block ends, or left no trace.

        `within_s`: how long it waits for other processes'; in PostgreSQL, for each statement.
        """
        engine = self.engine.execution_options(writes=True, within_s=within_s)
        with self._transaction("written", engine) as connection:
            if self.file is None and within_s < BUSY_TIMEOUT_S:  # which each connection has
                milliseconds = max(round(within_s * 1000), 1)  # 0: for ever
                connection.exec_driver_sql(f"SET LOCAL statement_timeout TO {milliseconds}")
            yield connection

    @contextmanager
    def noting(self) -> Iterator[Connection]:
        """A transaction of what is found out again, should a power cut take it: no wait for a disk.

        Whatever is written after it and is on disk has it there as well.
        """
        engine = self.engine.execution_options(writes=True, repeatable=True)
        with self._transaction("written", engine) as connection:
            if self.file is None:
                connection.exec_driver_sql("SET LOCAL synchronous_commit TO OFF")
            yield connection

    @contextmanager
    def _transaction(self, done: str, engine: Engine) -> Iterator[Connection]:
        files = self._files
        with self.telling(done):
            with ExitStack() as stack:
                connection = self._begun(engine, stack)
                generation = files.generation if files else None
                yield connection
            if files and engine is not self._reads:
                files.settle(self.engine, generation)

    def _begun(self, engine: Engine, stack: ExitStack) -> Connection:
        """Begin a transaction that `stack` ends, in the files that are there now."""
        tries = _TRIES
        while True:
            try:
                with ExitStack() as opened:
                    if self._files:
                        opened.enter_context(self._files.held(self.engine))
                    connection = opened.enter_context(engine.begin())
                    stack.push(opened.pop_all())
                    return connection
            except Moved:
                tries -= 1
                if not tries:
                    raise

    @contextmanager
    def telling(self, done: str) -> Iterator[None]:
        """Turn what a database raises into a `JournalError` saying what could not be `done`."""
        try:
            yield
        except SQLAlchemyError as exc:
            raise JournalError(f"the journal {self.name} can't be {done}: {_why(exc)}") from exc

    def close(self) -> None:
        self.engine.dispose()
        if self._files:
            self._files.generation = None


def _why(exc: SQLAlchemyError) -> str:
    """Say what is wrong, without the statement and its parameters."""
    if not isinstance(exc, DBAPIError):
        return str(exc).splitlines()[0]
    said = str(exc.orig).strip().splitlines() or [type(exc.orig).__name__]
    hint = _HINTS.get(_primary_code(exc.orig))
    return f"{said[0]}; {hint}" if hint else said[0]


def is_damage(error: JournalError) -> bool:
    """Tell whether the file itself is damaged: no lack of rights, of room or of time."""
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and _HINTS.get(_primary_code(cause.orig)) is _LOST


def _primary_code(exc: BaseException | None) -> int:
    """Return SQLite's primary result code, 0 for what is not SQLite's."""
    return int(getattr(exc, "sqlite_errorcode", 0)) & 0xFF


def _sqlite_file(url: URL) -> Path | None:
    backend = url.get_backend_name()
    if backend == "postgresql":
        return None
    if backend != "sqlite":
        raise JournalError(f"a journal is kept in SQLite or PostgreSQL, not in {backend}")
    if url.database in {None, "", ":memory:"}:
        raise JournalError("a journal in SQLite needs a file: sqlite:////path/to/journal.sqlite3")
    return Path(str(url.database)).absolute()


def _postgresql(url: URL) -> Engine:
    options = f"{url.query.get('options', '')} -c statement_timeout={BUSY_TIMEOUT_S:.0f}s"
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        **_OPTIONS,
        pool_pre_ping=True,
        # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
        connect_args={
            "options": options.strip(),
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,  # milliseconds
        },
    )


def _sqlite(files: Files) -> Engine:
    file = files.path

    def connect() -> sqlite3.Connection:
        # Closed at once where that fails: an open one would lend its index to all that follow.
        with files.opening(), ExitStack() as failing:
            connection = sqlite3.connect(
                # rw, not rwc: a journal that vanished must not be replaced by an empty file.
                f"{file.as_uri()}?mode=rw",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,  # `_begin` says BEGIN, sqlite3 must not
                check_same_thread=False,  # the pool hands a connection to one thread at a time
            )
            failing.callback(connection.close)
            # Nothing to do but for the first who opens it: when several processes switch a new
            # file at once, SQLite answers some of them "locked" without waiting.
            _when_free(partial(connection.execute, "PRAGMA journal_mode=WAL"), BUSY_TIMEOUT_S)
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()  # makes a new log
            files.opened()
            failing.pop_all()
        return connection

    engine = create_engine(f"sqlite+pysqlite:///{file}", **_OPTIONS, creator=connect)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("writes"):
            synchronous = "NORMAL" if options.get("repeatable") else "FULL"
            connection.exec_driver_sql(f"PRAGMA synchronous={synchronous}")
            _begin_immediate(connection, options.get("within_s", BUSY_TIMEOUT_S))
            files.check()
        else:
            connection.exec_driver_sql("BEGIN")

    @event.listens_for(engine, "handle_error")
    def _forget(context: ExceptionContext) -> None:
        # Opened while the file could not be written, it stays so: the next one is asked anew.
        if _primary_code(context.original_exception) == sqlite3.SQLITE_READONLY:
            context.is_disconnect = True

    return engine


def _begin_immediate(connection: Connection, within_s: float) -> None:
    """Begin a transaction that may write, waiting for other processes' to end.

    SQLite's own wait sleeps up to 0.1 s between two looks. Against a process that
    writes without pause that took up to 1.8 s, these short looks at most 0.12 s.
    """
    connection.exec_driver_sql("PRAGMA busy_timeout=0")
    try:
        _when_free(partial(connection.exec_driver_sql, "BEGIN IMMEDIATE"), within_s)
    finally:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_TIMEOUT_S * 1000:.0f}")


def _when_free(act: Callable[[], object], within_s: float) -> None:
    """Do what SQLite refuses while others write, trying until they don't."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            act()
        except (sqlite3.OperationalError, OperationalError) as exc:
            busy = _primary_code(getattr(exc, "orig", exc)) == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.001, 0.003))  # noqa: S311 - jitter, not a secret
        else:
            return
