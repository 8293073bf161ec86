"""What the journal owes to its database: schema, durability, several processes, faults."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Table, event, inspect

from deployer.core.model import (
    Ending,
    Outcome,
    Plan,
    Refusal,
    Running,
    State,
    Status,
    StatusState,
    StepName,
    StepRecord,
    Trigger,
    Verdict,
)
from deployer.edges.journal import SqlJournal, schema
from deployer.edges.journal.database import Database
from deployer.edges.journal.schema import REVISIONS
from deployer.edges.journal.tables import metadata
from deployer.edges.journal.transactions import deliveries
from deployer.errors import JournalError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
A = "a" * 40
REF = "refs/heads/main"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/state/journal.sqlite3"


@pytest.fixture
def journal(url: str, tmp_path: Path) -> Iterator[SqlJournal]:
    (tmp_path / "state").mkdir()
    journal = SqlJournal.open(url, migrate=True)
    yield journal
    journal.close()


def push(journal: SqlJournal, guid: str, **fields: object) -> bool:
    payload = {"ref": REF, "before": None, "after": A, "forced": False, "pusher": "lasse"}
    return journal.record_delivery(
        guid=guid, event="push", result="queued", reason="", payload=payload | fields
    )


def running(journal: SqlJournal) -> int:
    number = journal.queue(A, base_sha=None, ref=REF, trigger=Trigger.POLL, at=NOW)
    journal.start(number, at=NOW, base_sha=None, covers=[A])
    return number


def python(code: str, *args: str) -> subprocess.Popen[str]:
    """Start another process of the deployer's."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *args],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    """Return what it printed, when it ended well."""
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, said
    return said


# -- the schema


FIRST = Path(__file__).parent / "journals" / "0001.sql"
"""The first release's, as `sqlite3.Connection.iterdump` says it; until then it changes with
`tables`, afterwards a revision brings it to what they are."""


def test_a_journal_is_the_same_whether_made_or_migrated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda size: "k" * 2 * size)
    with closing(sqlite3.connect(tmp_path / "older")) as older:
        older.executescript(FIRST.read_text())
    found = []
    for name in ("older", "made"):
        url = f"sqlite:///{tmp_path / name}"
        SqlJournal.open(url, migrate=True).close()
        with closing(Database(url)) as database, database.reading() as connection:
            found.append(described(connection))
    assert found[0] == found[1]


def described(connection: Connection) -> dict[str, object]:
    """Return all that a database tells of its tables and of the rows they begin with."""
    about = inspect(connection)
    whole: dict[str, object] = {}
    for table in about.get_table_names():
        columns = sorted(about.get_columns(table), key=itemgetter("name"))
        rows = connection.exec_driver_sql(f"SELECT * FROM {table}").mappings()  # noqa: S608 - its own names
        whole[table] = (
            [column | {"type": str(column["type"])} for column in columns],
            about.get_pk_constraint(table),
            sorted(about.get_foreign_keys(table), key=str),
            sorted(about.get_unique_constraints(table), key=str),
            list(map(dict, rows)),
        )
    kept = "SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%' ORDER BY name"
    indexes = "SELECT sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
    return whole | {
        question: connection.exec_driver_sql(question).scalars().all()
        for question in (kept, indexes)
    }


def test_every_foreign_key_is_indexed_so_that_a_row_is_deleted_without_reading_others() -> None:
    def begins(table: Table) -> set[str]:
        return {next(iter(index.columns)).name for index in table.indexes} | {
            next(iter(table.primary_key.columns)).name
        }

    unindexed = {
        f"{table.name}.{key.parent.name}"
        for table in metadata.tables.values()
        for key in table.foreign_keys
        if key.parent.name not in begins(table)
    }
    assert unindexed == set()


def test_neither_a_page_nor_pruning_reads_all_that_was_ever_said(journal: SqlJournal) -> None:
    running(journal)
    asked: list[tuple[str, tuple[Any, ...]]] = []

    @event.listens_for(journal._database.engine, "before_cursor_execute")
    def note(
        _connection: object, _cursor: object, sql: str, values: tuple[Any, ...], *_: object
    ) -> None:
        asked.append((sql, values))

    journal.pulse()
    journal.prune(NOW)
    journal.deployments(limit=30)
    with journal._database.reading() as connection:
        plans = [
            row.detail
            for sql, values in asked
            if sql.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)
        ]
    assert [plan for plan in plans if plan == "SCAN outbox"] == []


def test_pruning_asks_the_same_however_much_is_removed(journal: SqlJournal) -> None:
    asked: set[str] = set()

    @event.listens_for(journal._database.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, sql: str, *_: object) -> None:
        asked.add(sql)

    def asked_to_remove(count: int) -> set[str]:
        for _ in range(count):
            guid = uuid4().hex
            push(journal, guid)
            number = running(journal)
            journal.attach(journal.unseen()[0].id, number)
            said = [Status(A, f"airflow/{guid}", StatusState.SUCCESS, "")]
            journal.end(number, Ending(A, State.SUCCEEDED), at=NOW, statuses=said)
            journal.posted(journal.due(NOW)[0].id, at=NOW, target_url=None)
        asked.clear()
        assert journal.prune(NOW + timedelta(days=1)) == count
        return set(asked)

    assert asked_to_remove(1) == asked_to_remove(7)


def test_all_migrations_are_known_by_number() -> None:
    scripts = ScriptDirectory(str(schema._MIGRATIONS))
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == REVISIONS


def test_opening_again_keeps_what_was_written(journal: SqlJournal, url: str) -> None:
    assert push(journal, "1")
    for migrate in (True, False):
        again = SqlJournal.open(url, migrate=migrate)
        assert not push(again, "1")
        again.close()


def test_an_older_journal_is_migrated_and_keeps_what_it_holds(
    journal: SqlJournal, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = running(journal)
    journal.close()
    newer = tmp_path / "migrations"
    shutil.copytree(schema._MIGRATIONS, newer)
    (newer / "versions" / "v0002_more.py").write_text(
        "import sqlalchemy as sa\nfrom alembic import op\n"
        "revision, down_revision = '0002', '0001'\nbranch_labels = depends_on = None\n"
        "def upgrade():\n    op.add_column('worker', sa.Column('more', sa.Text))\n"
    )
    monkeypatch.setattr(schema, "_MIGRATIONS", newer)
    monkeypatch.setattr(schema, "REVISIONS", ("0001", "0002"))
    with pytest.raises(JournalError, match="start `deployer worker`"):
        SqlJournal.open(url, migrate=False)
    again = SqlJournal.open(url, migrate=True)
    assert again.deployment(number) is not None
    with again._database.reading() as connection:
        assert connection.exec_driver_sql("SELECT more FROM worker").scalar_one() is None
    again.close()


def test_without_migrating_a_journal_must_be_there(journal: SqlJournal, url: str) -> None:
    journal.close()
    file = Path(url.removeprefix("sqlite:///"))
    file.unlink()
    with pytest.raises(JournalError, match="can't be read"):
        SqlJournal.open(url, migrate=False)
    assert not file.exists()
    file.touch()
    with pytest.raises(JournalError, match="start `deployer worker`"):
        SqlJournal.open(url, migrate=False)


@pytest.mark.parametrize("migrate", [True, False])
def test_a_journal_of_a_newer_deployer_is_left_alone(
    journal: SqlJournal, url: str, *, migrate: bool
) -> None:
    with journal._database.writing() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(JournalError, match="written by a newer deployer"):
        SqlJournal.open(url, migrate=migrate)


def test_processes_that_open_a_new_journal_at_once_make_it_once(url: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    code = """
import sys
from deployer.edges.journal import SqlJournal
sys.stdin.readline()
journal = SqlJournal.open(sys.argv[1], migrate=True)
journal.beat(at=__import__("datetime").datetime.now(__import__("datetime").UTC),
             tip=None, tip_checked_at=None)
journal.close()
"""
    openers = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code, url],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(4)
    ]
    for opener in openers:
        assert opener.stdin
        opener.stdin.write("go\n")
        opener.stdin.flush()
    for opener in openers:
        assert finished(opener) == ""


def test_alembic_and_the_other_dialect_are_imported_by_whom_they_serve_only(
    url: str, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    code = """
import sys
from deployer.edges.journal import SqlJournal
journal = SqlJournal.open(sys.argv[1], migrate=True)
journal.record_delivery(guid="1", event="ping", result="ignored", reason="", payload={})
journal.close()
print({"alembic", "sqlalchemy.dialects.postgresql"} & set(sys.modules) or "neither")
"""
    for _ in range(2):
        assert finished(python(code, url)).strip() == "neither"


# -- what comes in


def test_a_time_without_a_zone_is_refused(journal: SqlJournal) -> None:
    with pytest.raises(JournalError, match="no time zone"):
        journal.beat(at=NOW.replace(tzinfo=None), tip=None, tip_checked_at=None)


# -- durability and several who write


def test_a_commit_is_on_disk_when_it_returns(journal: SqlJournal) -> None:
    with journal._database.writing() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}  # 2: FULL


def test_what_comes_after_a_note_is_on_disk_again_when_it_returns(journal: SqlJournal) -> None:
    found = []
    for transaction in (journal._database.noting, journal._database.writing):
        with transaction() as connection:
            found.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
    assert found == [1, 2]  # NORMAL, FULL


def test_many_threads_record_each_guid_once(journal: SqlJournal) -> None:
    guids = [str(number % 300) for number in range(600)]
    with ThreadPoolExecutor(32) as pool:
        taken = list(pool.map(lambda guid: push(journal, guid), guids))
    assert sum(taken) == 300
    assert len(journal.unseen()) == 300


def test_a_delivery_survives_a_kill_right_after_its_answer(journal: SqlJournal, url: str) -> None:
    code = """
import os, signal, sys
from deployer.edges.journal import SqlJournal
journal = SqlJournal.open(sys.argv[1], migrate=False)
journal.record_delivery(guid="1", event="push", result="queued", reason="", payload={"after": "a"})
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = python(code, url)
    killed.communicate(timeout=60)
    assert not push(journal, "1")
    assert len(journal.unseen()) == 1


def test_web_worker_and_readers_never_find_the_journal_locked(
    journal: SqlJournal, url: str
) -> None:
    web = """
import sys
from concurrent.futures import ThreadPoolExecutor
from deployer.edges.journal import SqlJournal
journal = SqlJournal.open(sys.argv[1], migrate=True)
def push(number):
    return journal.record_delivery(guid=f"{sys.argv[2]}-{number}", event="push", result="queued",
                                   reason="", payload={"after": "a" * 40})
with ThreadPoolExecutor(16) as pool:
    print(sum(pool.map(push, range(1500))))
journal.close()
"""
    reader = """
import sys
from deployer.edges.journal import SqlJournal
journal = SqlJournal.open(sys.argv[1], migrate=True)
for _ in range(150):
    for found in journal.deployments(limit=5):
        assert [step.detail for step in found.steps] == [v.path for v in found.verdicts], found
    journal.pulse()
journal.close()
"""
    others = [python(web, url, "one"), python(web, url, "two"), python(reader, url)]
    try:
        for _ in range(30):
            number = running(journal)
            with journal._database.writing():
                pass
            journal.owe(
                [Status(A, f"airflow/{number}", StatusState.PENDING, "")],
                deployment=number,
                at=NOW,
            )
            journal.beat(at=NOW, tip=A, tip_checked_at=NOW)
            journal.end(number, Ending(A, State.SUCCEEDED), at=NOW)
        assert [finished(other).strip() for other in others] == ["1500", "1500", ""]
    finally:
        for other in others:
            other.kill()
    assert len(journal.unseen()) == 3000
    assert journal.pulse().owed == 30


def test_a_forked_child_and_its_parent_both_go_on(journal: SqlJournal) -> None:
    assert push(journal, "parent")
    child = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(0 if push(journal, "child") else 1)
    )
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert push(journal, "parent again")
    assert len(journal.unseen()) == 3


# -- faults


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "needs a file"),
        ("mysql://u:hunter2@db/x", "not in mysql"),
        ("nonsense hunter2", "not an SQLAlchemy URL"),
        ("postgresql://u:hunter2@db:port/x", "not an SQLAlchemy URL"),
        ("sqlite:////dev/null/journal.sqlite3", "can't be created"),
        ("sqlite:////nowhere/at/all/journal.sqlite3", "check that /nowhere/at/all exists"),
        ("postgresql://u:hunter2@127.0.0.1:1/x?connect_timeout=2", "can't be read"),
    ],
)
def test_what_cant_be_opened_says_why_and_no_password(url: str, says: str) -> None:
    with pytest.raises(JournalError, match=says) as caught:
        SqlJournal.open(url, migrate=True)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite3"
    file.write_bytes(b"something else entirely " * 100)
    with pytest.raises(JournalError, match="put a backup in its place"):
        SqlJournal.open(f"sqlite:///{file}", migrate=True)
    assert file.read_bytes().startswith(b"something else")


def test_a_removed_directory_is_noticed_and_its_return_too(
    journal: SqlJournal, tmp_path: Path
) -> None:
    push(journal, "1")
    shutil.copytree(tmp_path / "state", tmp_path / "backup")
    shutil.rmtree(tmp_path / "state")
    with pytest.raises(JournalError, match="check that it exists"):
        push(journal, "2")
    with pytest.raises(JournalError):
        journal.pulse()
    (tmp_path / "backup").rename(tmp_path / "state")
    assert not push(journal, "1")
    assert push(journal, "2")


def test_a_full_disk_fails_deliveries_until_there_is_room(journal: SqlJournal) -> None:
    full = True

    def limit(connection: sqlite3.Connection, _: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0] if full else 2**30
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(journal._database.engine, "connect", limit)
    journal.close()

    def fill() -> None:
        for number in range(2000):
            push(journal, str(number), pusher="x" * 1000)

    with pytest.raises(JournalError, match=r"full; free some space"):
        fill()
    full = False
    journal.close()
    assert push(journal, "last")


def test_a_failed_batch_leaves_no_row_of_it(journal: SqlJournal) -> None:
    told = {"event": "push", "result": "queued", "reason": "", "after": "a" * 40}
    rows = [
        dict.fromkeys(deliveries.PUSH_FIELDS) | told | {"guid": guid, "received_at": at}
        for guid, at in (("1", NOW), ("2", NOW.replace(tzinfo=None)))
    ]
    with pytest.raises(JournalError):
        journal._write_deliveries(rows, 1.0)
    assert journal.unseen() == ()
    assert push(journal, "1")


def test_an_error_tells_neither_the_statement_nor_what_was_to_be_written(
    journal: SqlJournal,
) -> None:
    with journal._database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE steps")
    with pytest.raises(JournalError) as caught:
        journal.add_step(1, StepRecord(StepName.FETCH, "ok", NOW, NOW, "what was to be written"))
    assert "INSERT" not in str(caught.value)
    assert "to be written" not in f"{caught.value}{caught.value.__cause__}"


CALLS: dict[str, Callable[[SqlJournal], Any]] = {
    "record_delivery": lambda journal: push(journal, "1"),
    "request_deploy": lambda journal: journal.request_deploy(A, Trigger.MANUAL),
    "freeze": lambda journal: journal.freeze("x", by="y", until=None),
    "roll_back": lambda journal: journal.roll_back(A, "x", by="y"),
    "unfreeze": lambda journal: journal.unfreeze(by="y"),
    "frozen": lambda journal: journal.frozen(NOW),
    "unseen": lambda journal: journal.unseen(),
    "unfinished": lambda journal: journal.unfinished(),
    "queue": lambda journal: journal.queue(A, base_sha=None, ref=REF, trigger=Trigger.POLL, at=NOW),
    "attach": lambda journal: journal.attach(1, 1),
    "start": lambda journal: journal.start(1, at=NOW, base_sha=None, covers=[A]),
    "set_plan": lambda journal: journal.set_plan(1, Plan()),
    "add_step": lambda journal: journal.add_step(1, StepRecord(StepName.FETCH, "ok", NOW, NOW)),
    "doing": lambda journal: journal.doing(1, Running(StepName.BUILD, NOW)),
    "wait_for": lambda journal: journal.wait_for(
        [1], "x", at=NOW, statuses=[Status(A, "x", StatusState.PENDING, "y")]
    ),
    "set_verdicts": lambda journal: journal.set_verdicts(1, [Verdict("x", Outcome.PARSED)]),
    "supersede": lambda journal: journal.supersede(1, "", at=NOW),
    "end": lambda journal: journal.end(1, Ending(A, State.FAILED), at=NOW),
    "live": lambda journal: journal.live(),
    "set_live": lambda journal: journal.set_live(None),
    "stays": lambda journal: journal.stays(),
    "files_of": lambda journal: journal.files_of(["x"]),
    "pusher_of": lambda journal: journal.pusher_of(A),
    "before_of": lambda journal: journal.before_of(A),
    "forced_away": lambda journal: journal.forced_away(A),
    "in_error": lambda journal: journal.in_error(),
    "were_good": lambda journal: journal.were_good(["x"], before=2),
    "judged": lambda journal: journal.judged(),
    "duplicates": lambda journal: journal.duplicates(["x"]),
    "refusals": lambda journal: journal.refusals(),
    "refuse": lambda journal: journal.refuse("x", Refusal("y"), at=NOW),
    "lift": lambda journal: journal.lift("x"),
    "condemn": lambda journal: journal.condemn({"x": "b"}, "y", at=NOW),
    "pardon": lambda journal: journal.pardon(),
    "condemned": lambda journal: journal.condemned(),
    "packages": lambda journal: journal.packages(),
    "set_packages": lambda journal: journal.set_packages(""),
    "drained": lambda journal: journal.drained(),
    "set_drained": lambda journal: journal.set_drained({"default_pool": 128}),
    "beat": lambda journal: journal.beat(at=NOW, tip=A, tip_checked_at=NOW),
    "owe": lambda journal: journal.owe(
        [Status(A, "airflow/deploy", StatusState.PENDING, "")], deployment=1, at=NOW
    ),
    "due": lambda journal: journal.due(NOW),
    "closed": lambda journal: journal.closed(),
    "posted_since": lambda journal: journal.posted_since(NOW, 9),
    "posted": lambda journal: journal.posted(1, at=NOW, target_url=None),
    "try_again": lambda journal: journal.try_again(1, due_at=NOW, error=""),
    "refused": lambda journal: journal.refused(1, error=""),
    "shown": lambda journal: journal.shown(A, "airflow/deploy"),
    "open_contexts": lambda journal: journal.open_contexts(A),
    "link_key": lambda journal: journal.link_key(),
    "set_link_key": lambda journal: journal.set_link_key("k"),
    "admit": lambda journal: journal.admit("f", at=NOW, until=None),
    "admitted": lambda journal: journal.admitted("f", NOW),
    "exchange": lambda journal: journal.exchange("f", "g", at=NOW, until=NOW),
    "revoke": lambda journal: journal.revoke(),
    "deployment": lambda journal: journal.deployment(1),
    "deployments": lambda journal: journal.deployments(),
    "judging": lambda journal: journal.judging(A),
    "heard": lambda journal: journal.heard(A),
    "about": lambda journal: journal.about(A),
    "complete": lambda journal: journal.complete("a"),
    "answer_to": lambda journal: journal.answer_to(1),
    "audit": lambda journal: journal.audit(NOW),
    "pulse": lambda journal: journal.pulse(),
    "tally": lambda journal: journal.tally(),
    "prune": lambda journal: journal.prune(NOW),
    "standing": lambda journal: journal.standing(),
}


def test_every_method_is_tried_on_a_damaged_journal() -> None:
    public = {name for name in vars(SqlJournal) if not name.startswith("_")}
    assert set(CALLS) == public - {"open", "close"}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_damaged_journal_raises_nothing_but_journal_errors(
    journal: SqlJournal, tmp_path: Path, call: Callable[[SqlJournal], Any]
) -> None:
    journal.close()
    for file in (tmp_path / "state").iterdir():
        file.write_bytes(b"\x00damaged" * 1000)
    with pytest.raises(JournalError, match="put a backup in its place") as caught:
        call(journal)
    assert caught.value.__cause__ is not None


def test_a_row_of_a_later_deployer_hides_nothing_from_who_looks_for_what_is_wrong(
    journal: SqlJournal, url: str
) -> None:
    number = journal.queue(A, base_sha=None, ref=REF, trigger=Trigger.POLL, at=NOW)
    journal.doing(number, Running(StepName.PARSE, NOW))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
        file.execute('UPDATE deployments SET running = \'{"step": "future"}\'')
    assert journal.standing().waits == (A, NOW)
    assert journal.audit(NOW).stranded == ()


def test_a_name_of_a_database_holds_no_password() -> None:
    database = Database("postgresql://u:hunter2@127.0.0.1/x")
    assert database.name == "postgresql://u:***@127.0.0.1/x"
    assert "hunter2" not in repr(database.engine)
