"""A journal's files removed or replaced under the processes that have them open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection
from structlog.testing import capture_logs

from deployer.edges.journal import SqlJournal, database
from deployer.errors import JournalError

OTHER = """
import sys
from deployer.edges.journal import SqlJournal
from deployer.errors import JournalError
journal = SqlJournal.open(sys.argv[1], migrate=True)
for line in sys.stdin:
    try:
        new = journal.record_delivery(guid=line.strip(), event="push", result="queued", reason="",
                                      payload={"after": "b" * 40})
        print("new" if new else "known", flush=True)
    except JournalError as exc:
        print(f"error: {exc}", flush=True)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite3"


@pytest.fixture
def journal(file: Path) -> Iterator[SqlJournal]:
    journal = SqlJournal.open(f"sqlite:///{file}", migrate=True)
    yield journal
    journal.close()


class Other:
    """Another process that has the same journal open: the web process, say."""

    def __init__(self, file: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", OTHER, f"sqlite:///{file}"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def push(self, guid: str) -> str:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{guid}\n")
        self._process.stdin.flush()
        answers = (line.strip() for line in self._process.stdout)
        return next(line for line in answers if line.startswith(("new", "known", "error")))

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def other(journal: SqlJournal, file: Path) -> Iterator[Other]:
    other = Other(file)
    yield other
    other.kill()


def push(journal: SqlJournal, guid: str) -> bool:
    return journal.record_delivery(
        guid=guid, event="push", result="queued", reason="", payload={"after": "a" * 40}
    )


def remove(file: Path, *sides: str) -> None:
    for side in sides:
        file.with_name(file.name + side).unlink()


def on_disk(file: Path) -> list[str]:
    """Return what a power cut would leave, as somebody new finds it."""
    copy = file.parent / "copy"
    copy.mkdir()
    for side in ("", "-wal"):
        if file.with_name(file.name + side).exists():
            shutil.copy(file.with_name(file.name + side), copy)
    with closing(sqlite3.connect(copy / file.name)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = connection.execute("SELECT guid FROM deliveries ORDER BY guid").fetchall()
    return [guid for (guid,) in rows]


SIDES = [("-wal", "-shm"), ("-wal",), ("-shm",)]


@pytest.mark.parametrize("sides", SIDES)
def test_no_delivery_is_lost_with_the_name_of_a_log(
    journal: SqlJournal, file: Path, sides: tuple[str, ...]
) -> None:
    assert push(journal, "1")
    remove(file, *sides)
    assert push(journal, "2")
    assert on_disk(file) == ["1", "2"]


@pytest.mark.parametrize("sides", SIDES)
def test_no_delivery_is_lost_where_several_processes_hold_a_log_without_a_name(
    journal: SqlJournal, other: Other, file: Path, sides: tuple[str, ...]
) -> None:
    assert push(journal, "1")
    assert other.push("2") == "new"
    remove(file, *sides)
    assert push(journal, "3")
    assert other.push("4") == "new"
    assert push(journal, "5")
    assert other.push("3") == "known"
    other.kill()
    assert on_disk(file) == ["1", "2", "3", "4", "5"]


def test_a_reader_that_came_in_between_costs_no_delivery(
    journal: SqlJournal, other: Other, file: Path
) -> None:
    assert push(journal, "1")
    assert other.push("2") == "new"
    remove(file, "-wal", "-shm")
    read = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM deliveries')"
    subprocess.run([sys.executable, "-c", read, str(file)], check=True)
    assert push(journal, "3")
    assert other.push("4") == "new"
    other.kill()
    assert on_disk(file) == ["1", "2", "3", "4"]


def test_a_log_that_loses_its_name_while_it_is_written_is_saved_at_once(
    journal: SqlJournal, file: Path
) -> None:
    assert push(journal, "1")
    with journal._database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM announcements")
        remove(file, "-wal", "-shm")
    assert journal.unseen() == ()
    assert on_disk(file) == ["1"]


@pytest.mark.parametrize("times", [1, 3])
def test_a_log_that_loses_its_name_before_a_transaction_begins_is_written_by_none(
    journal: SqlJournal, file: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert push(journal, "1")
    left = [None] * times
    begin = database._begin_immediate

    def interfere(connection: Connection, within_s: float) -> None:
        begin(connection, within_s)
        if left:
            left.pop()
            remove(file, "-wal", "-shm")

    monkeypatch.setattr(database, "_begin_immediate", interfere)
    if times == 1:
        assert push(journal, "2")
    else:
        with pytest.raises(JournalError, match="again and again"):
            push(journal, "2")
        assert push(journal, "2")
    assert on_disk(file) == ["1", "2"]


def test_a_database_that_is_replaced_while_it_is_written_is_an_error(
    journal: SqlJournal, file: Path, tmp_path: Path
) -> None:
    assert push(journal, "1")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "backup"),))

    def write() -> None:
        with journal._database.writing() as connection:
            connection.exec_driver_sql("DELETE FROM announcements")
            (tmp_path / "backup").rename(file)

    with pytest.raises(JournalError, match="what was just written is lost"):
        write()
    assert len(journal.unseen()) == 1


def test_what_somebody_else_wrote_anew_is_not_overwritten_and_the_loss_is_logged(
    journal: SqlJournal, file: Path
) -> None:
    SqlJournal.open(f"sqlite:///{file}", migrate=True).close()
    assert push(journal, "1")
    remove(file, "-wal", "-shm")
    somebody = Other(file)
    assert somebody.push("2") == "new"
    with capture_logs() as logs:
        assert push(journal, "3")
    assert [(entry["event"], entry["lost"]) for entry in logs] == [("journal.wal_removed", True)]
    somebody.kill()
    assert on_disk(file) == ["2", "3"]


def test_a_removed_journal_is_an_error_that_says_so_until_one_is_there(
    journal: SqlJournal, file: Path, tmp_path: Path
) -> None:
    assert push(journal, "1")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "backup"),))
    remove(file, "", "-wal", "-shm")
    with pytest.raises(JournalError, match="check that it exists"):
        push(journal, "2")
    with pytest.raises(JournalError, match="check that it exists"):
        journal.pulse()
    (tmp_path / "backup").rename(file)
    assert not push(journal, "1")
    assert push(journal, "2")
    assert on_disk(file) == ["1", "2"]


def test_a_journal_that_was_replaced_is_not_mixed_with_the_log_of_the_one_before(
    journal: SqlJournal, other: Other, file: Path, tmp_path: Path
) -> None:
    assert push(journal, "1")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "backup"),))
    assert other.push("after the backup") == "new"
    (tmp_path / "backup").rename(file)
    assert push(journal, "2")
    assert other.push("3") == "new"
    assert not push(journal, "3")
    other.kill()
    assert on_disk(file) == ["1", "2", "3"]


def test_a_journal_that_was_moved_away_and_back_is_whole(
    journal: SqlJournal, other: Other, file: Path, tmp_path: Path
) -> None:
    assert push(journal, "1")
    assert other.push("2") == "new"
    file.rename(tmp_path / "aside")
    with pytest.raises(JournalError, match="check that it exists"):
        push(journal, "3")
    assert "check that it exists" in other.push("3")
    (tmp_path / "aside").rename(file)
    assert push(journal, "3")
    assert other.push("4") == "new"
    other.kill()
    assert on_disk(file) == ["1", "2", "3", "4"]


READ_ONLY_FOR_A_WHILE = """
import os, sys
from glob import glob
from deployer.edges.journal import SqlJournal
from deployer.errors import JournalError

file = sys.argv[1]
journal = SqlJournal.open(f"sqlite:///{file}", migrate=True)
os.chmod(file, 0o444)
for mode, guid in ((0o444, "1"), (0o644, "2")):
    for path in glob(f"{file}*"):
        os.chmod(path, mode)
    try:
        journal.record_delivery(guid=guid, event="ping", result="ignored", reason="", payload={})
    except JournalError as exc:
        print(guid, "readonly" in str(exc))
    else:
        print(guid, "taken")
"""


def test_a_journal_that_may_be_written_again_is_written(tmp_path: Path) -> None:
    # Root may write whatever its mode says, unless that is taken from it.
    as_others = ["setpriv", "--bounding-set=-dac_override", "--"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*as_others, sys.executable, "-c", READ_ONLY_FOR_A_WHILE, str(tmp_path / "deployer.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1 True\n2 taken\n"
