"""`deployer backup` and `deployer restore` on real journals and files; a stand-in plays `docker`.

tests/integration/test_backup_databases.py has the real one.
"""

from __future__ import annotations

import grp
import gzip
import io
import json
import os
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import click
import pytest
from sqlalchemy import create_engine, delete, insert, inspect, make_url, text

from deployer import config
from deployer.config import Settings
from deployer.core.model import Live, Trigger
from deployer.edges.backup import archive
from deployer.edges.backup.databases import Databases
from deployer.edges.backup.journal import ROWS_AT_A_TIME, JournalPlace
from deployer.edges.backup.journal import put_back as put_journal_back
from deployer.edges.backup.snapshot import Backup
from deployer.edges.backup.snapshot import backup as back_up
from deployer.edges.backup.snapshot import restore as put_back
from deployer.edges.compose.runner import ComposeRunner, Project
from deployer.edges.journal import SqlJournal
from deployer.edges.journal.database import Database
from deployer.edges.journal.tables import announcements, deliveries
from deployer.edges.processes.lock import only_worker
from deployer.errors import DiskError, JournalError, ServicesError, WorkerRunning, WrongPlace

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ASIDE = "before_20260301T120000Z"
A = "a" * 40

# `config` tells the services; whatever runs in a container is written down with its input.
DOCKER = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
*" config "*) exec cat "$here/stack.json" ;;
*" version") exit 0 ;;
*" exec "*pg_dump*) echo "$*" | sed 's/.* -T \\([a-z]*\\) .*/dump of \\1/;q' ;;
*" exec "*pg_restore*) echo "loaded: $(cat)" >>"$here/done" ;;
*" exec "*psql*) echo swapped >>"$here/done"; [ ! -e "$here/no-swap" ] ;;
*) echo "$*" | sed 's/.*compose.yaml //' >>"$here/done" ;;
esac
"""
STACK = {
    "services": {
        "airflow-scheduler": {"environment": {}},
        "postgres": {"environment": {"POSTGRES_DB": "airflow"}},
        "warehouse": {"environment": {"POSTGRES_DB": "class"}},
    }
}


@pytest.fixture(params=["sqlite_url", "postgresql_url"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    (tmp_path / "state").mkdir()
    return f"sqlite:///{tmp_path}/state/deployer.db"


@pytest.fixture
def postgresql_url(postgres_url: str) -> Iterator[str]:
    """A schema of its own for a journal."""
    server = make_url(postgres_url).set(drivername="postgresql+psycopg")
    own = f"test_{uuid4().hex}"
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {own}"))
        yield server.update_query_dict({"options": f"-csearch_path={own}"}).render_as_string(
            hide_password=False
        )
        connection.execute(text(f'DROP SCHEMA IF EXISTS {own}, "{ASIDE}" CASCADE'))
    engine.dispose()


def settings_of(place: Path, url: str, *, services: str = "local", repo: str = "c/a") -> Settings:
    return config.load({
        "DEPLOYER_GITHUB_REPO": repo,
        "DEPLOYER_SERVICES": services,
        "DEPLOYER_STATE_DIR": str(place / "state"),
        "DEPLOYER_CHECKOUT_DIR": str(place / "srv"),
        "DEPLOYER_COMPOSE_FILE": str(place / "etc" / "docker-compose.yaml"),
        "DEPLOYER_DATABASE_URL": url,
    })  # fmt: skip


class Class:
    """A teacher's machine: journal, settings, and a stack that a stand-in plays."""

    def __init__(self, place: Path, url: str, services: str = "compose") -> None:
        self.place = place
        self.settings = settings_of(place, url, services=services)
        self.etc, self.bin = place / "etc", place / "bin"
        for folder in (self.etc / "include", self.bin):
            folder.mkdir(parents=True)
        (self.etc / "docker-compose.yaml").write_text("services: {}\n")
        (self.etc / ".env").write_text("AIRFLOW_FERNET_KEY=first\n")
        (self.etc / ".env").chmod(0o640)
        (self.etc / "include" / "start.py").write_text("print()\n")
        self.etc.chmod(0o750)
        (self.bin / "docker").write_text(DOCKER)
        (self.bin / "docker").chmod(0o755)
        (self.bin / "stack.json").write_text(json.dumps(STACK))

    @property
    def databases(self) -> Databases:
        project = Project("class", self.settings.compose_file)
        environ = {"PATH": f"{self.bin}:{os.environ['PATH']}"}
        output = self.settings.state_dir / "compose.log"
        return Databases(ComposeRunner(project, output, environ=environ))

    def backup(self, file: Path, keep: int | None = None, now: datetime = NOW) -> Backup:
        return back_up(self.settings, self.databases, file, keep=keep, now=now)

    def restore(self, file: Path, settings: Settings | None = None) -> list[str]:
        """Restore with everything agreed to; return what was told."""
        told: list[str] = []
        put_back(
            settings or self.settings,
            self.databases,
            file,
            agreed=lambda _, replaced: told.append("; ".join(replaced)),
            tell=told.append,
            now=NOW,
        )
        return told

    def done(self) -> list[str]:
        return (self.bin / "done").read_text().splitlines()


def deliver(url: str, guid: str) -> None:
    with closing(SqlJournal.open(url, migrate=True)) as journal:
        payload = {"ref": "r", "before": None, "after": A, "forced": False, "pusher": "amy"}
        assert journal.record_delivery(
            guid=guid, event="push", result="queued", reason="", payload=payload
        )
        journal.set_live(Live(A))


def fill(url: str, pushes: int) -> None:
    """Announce so many commits at once."""
    row = {"sha": A, "forced": False, "trigger": Trigger.MANUAL, "received_at": NOW}
    with closing(Database(url)) as database, database.writing() as connection:
        connection.execute(insert(announcements), [row] * pushes)


def is_known(url: str, guid: str) -> bool:
    """Tell whether a delivery is in the journal; its second time would be a duplicate."""
    with closing(SqlJournal.open(url, migrate=False)) as journal:
        payload = {"ref": "r", "before": None, "after": A, "forced": False, "pusher": "amy"}
        return not journal.record_delivery(
            guid=guid, event="push", result="queued", reason="", payload=payload
        )


def kept_aside(url: str) -> list[str]:
    """Return the deliveries of the journal that was replaced."""
    aside = f'"{ASIDE}".' if url.startswith("postgresql") else ""
    with closing(Database(url if aside else f"{url}.{ASIDE}")) as database:
        if aside and not inspect(database.engine).has_table("deliveries", ASIDE):
            return []
        with database.reading() as connection:
            asked = f"SELECT guid FROM {aside}deliveries ORDER BY id"  # noqa: S608  # a name of ours
            found = connection.exec_driver_sql(asked)
            return list(found.scalars())


def names(file: Path) -> list[str]:
    with tarfile.open(file) as tar:
        return tar.getnames()


# -- the journal, on both databases


def test_a_restored_journal_knows_what_it_knew_and_nothing_later(tmp_path: Path, url: str) -> None:
    here = Class(tmp_path, url, "local")
    deliver(url, "before")
    here.backup(tmp_path / "b.tar.gz")
    deliver(url, "after")
    here.restore(tmp_path / "b.tar.gz")
    assert is_known(url, "before")
    assert not is_known(url, "after")


def test_what_was_live_is_not_known_after_a_restore(tmp_path: Path, url: str) -> None:
    here = Class(tmp_path, url, "local")
    deliver(url, "1")
    here.backup(tmp_path / "b.tar.gz")
    here.restore(tmp_path / "b.tar.gz")
    with closing(SqlJournal.open(url, migrate=False)) as journal:
        assert journal.live() is None


def test_the_journal_that_is_replaced_is_kept_aside(tmp_path: Path, url: str) -> None:
    here = Class(tmp_path, url, "local")
    deliver(url, "before")
    here.backup(tmp_path / "b.tar.gz")
    deliver(url, "after")
    *_, told = here.restore(tmp_path / "b.tar.gz")
    assert told.endswith(ASIDE)
    assert kept_aside(url) == ["before", "after"]


def test_all_of_a_large_journal_comes_back_and_is_counted_on(tmp_path: Path, url: str) -> None:
    here = Class(tmp_path, url, "local")
    deliver(url, "1")
    fill(url, 2 * ROWS_AT_A_TIME)
    with closing(SqlJournal.open(url, migrate=False)) as journal:
        known = journal.unseen()
    here.backup(tmp_path / "b.tar.gz")
    fill(url, 1)
    here.restore(tmp_path / "b.tar.gz")
    with closing(SqlJournal.open(url, migrate=False)) as journal:
        assert journal.unseen() == known
        assert journal.request_deploy(None, Trigger.MANUAL) == known[-1].id + 1


@pytest.mark.parametrize("into", ["sqlite_url", "postgresql_url"])
def test_no_number_is_given_out_again_after_a_restore(
    tmp_path: Path, url: str, into: str, request: pytest.FixtureRequest
) -> None:
    here = Class(tmp_path, url, "local")
    deliver(url, "1")
    with closing(SqlJournal.open(url, migrate=False)) as journal:
        newest = journal.request_deploy(None, Trigger.MANUAL)
    with closing(Database(url)) as database, database.writing() as connection:  # as pruning does
        connection.execute(delete(announcements).where(announcements.c.id == newest))
    here.backup(tmp_path / "b.tar.gz")
    there = str(request.getfixturevalue(into))
    here.restore(tmp_path / "b.tar.gz", settings_of(tmp_path, there))
    with closing(SqlJournal.open(there, migrate=False)) as journal:
        assert journal.request_deploy(None, Trigger.MANUAL) == newest + 1


def test_a_backup_of_one_database_goes_into_the_other(
    tmp_path: Path, sqlite_url: str, postgresql_url: str
) -> None:
    first, second = Class(tmp_path, sqlite_url, "local"), postgresql_url
    deliver(sqlite_url, "1")
    first.backup(tmp_path / "there.tar.gz")
    moved = settings_of(tmp_path, second)
    first.restore(tmp_path / "there.tar.gz", moved)
    assert is_known(second, "1")
    deliver(second, "2")
    back_up(moved, first.databases, tmp_path / "back.tar.gz", keep=None, now=NOW)
    first.restore(tmp_path / "back.tar.gz")
    assert is_known(sqlite_url, "2")


def test_what_postgresql_refuses_leaves_its_journal_as_it_was(
    tmp_path: Path, postgresql_url: str
) -> None:
    deliver(postgresql_url, "1")
    copied = tmp_path / "copy"
    SqlJournal.open(f"sqlite:///{copied}", migrate=True).close()
    with closing(sqlite3.connect(copied)) as damaged, damaged:
        damaged.execute("INSERT INTO covers VALUES (7, 1, 'a')")  # of no deployment
    with pytest.raises(JournalError, match="foreign key"):
        put_journal_back(postgresql_url, copied, aside=ASIDE)
    assert is_known(postgresql_url, "1")
    assert kept_aside(postgresql_url) == []


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE alembic_version SET version_num = '9999'",
        "ALTER TABLE deliveries ADD COLUMN more text NOT NULL DEFAULT ''",
        "ALTER TABLE deliveries RENAME pusher TO who",
        "CREATE TABLE later (guid text REFERENCES deliveries (guid))",
        "DROP TABLE alembic_version",
        "DROP TABLE condemned",
        "DROP TABLE worker",
        "DROP TABLE deployments CASCADE",
        "ALTER TABLE freezes ALTER since TYPE text",
        "ALTER TABLE deliveries DROP COLUMN event",
        "ALTER TABLE deliveries ALTER received_at TYPE text",
    ],
)
def test_whatever_is_in_postgresql_is_replaced_and_kept(
    tmp_path: Path, postgresql_url: str, spoil: str
) -> None:
    here = Class(tmp_path, postgresql_url, "local")
    deliver(postgresql_url, "before")
    here.backup(tmp_path / "b.tar.gz")
    deliver(postgresql_url, "after")
    with closing(Database(postgresql_url)) as database, database.writing() as connection:
        connection.exec_driver_sql(spoil)
    here.restore(tmp_path / "b.tar.gz")
    assert is_known(postgresql_url, "before")
    assert not is_known(postgresql_url, "after")
    assert kept_aside(postgresql_url) == ["before", "after"]


def test_what_is_accepted_before_the_journal_is_locked_is_kept(
    tmp_path: Path, postgresql_url: str
) -> None:
    here = Class(tmp_path, postgresql_url, "local")
    deliver(postgresql_url, "before")
    here.backup(tmp_path / "b.tar.gz")
    row = {"guid": "late", "event": "push", "result": "queued", "reason": "", "received_at": NOW}
    waits = "SELECT 1 FROM pg_locks WHERE relation = 'deliveries'::regclass AND NOT granted"
    with closing(Database(postgresql_url)) as web, ThreadPoolExecutor() as pool:
        with web.writing() as connection:
            connection.execute(insert(deliveries), [row])
            restoring = pool.submit(here.restore, tmp_path / "b.tar.gz")
            while not restoring.done() and not connection.exec_driver_sql(waits).all():
                wait([restoring], timeout=0.01)
        restoring.result()
    assert not is_known(postgresql_url, "late")
    assert kept_aside(postgresql_url) == ["before", "late"]


def test_a_rebuilt_journal_takes_the_place_of_one_in_postgresql(
    tmp_path: Path, postgresql_url: str
) -> None:
    deliver(postgresql_url, "1")
    (tmp_path / "state").mkdir()
    place = JournalPlace(postgresql_url, tmp_path / "state", ASIDE)
    kept = place.rebuild(lambda journal: journal.set_packages("pandas"))
    assert place.opened(lambda journal: (journal.packages(), journal.unseen())) == ("pandas", ())
    assert kept == f"the schema {ASIDE}"
    assert kept_aside(postgresql_url) == ["1"]


def test_a_journal_that_is_gone_is_restored(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url, "local")
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    for file in (tmp_path / "state").glob("deployer.db*"):
        file.unlink()
    here.restore(tmp_path / "b.tar.gz")
    assert is_known(sqlite_url, "1")


def test_a_journal_that_is_corrupt_is_replaced_and_kept_aside(
    tmp_path: Path, sqlite_url: str
) -> None:
    here = Class(tmp_path, sqlite_url, "local")
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    (tmp_path / "state" / "deployer.db").write_bytes(b"\0" * 8192)
    with pytest.raises(JournalError, match="`deployer restore`"):
        is_known(sqlite_url, "1")
    here.restore(tmp_path / "b.tar.gz")
    assert is_known(sqlite_url, "1")
    assert (tmp_path / "state" / f"deployer.db.{ASIDE}").read_bytes() == b"\0" * 8192


def test_a_backup_is_made_while_others_write(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url, "local")
    deliver(sqlite_url, "1")
    with closing(sqlite3.connect(tmp_path / "state" / "deployer.db")) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM deliveries")
        here.backup(tmp_path / "b.tar.gz")
        writer.rollback()
    here.restore(tmp_path / "b.tar.gz")
    assert is_known(sqlite_url, "1")


def test_a_web_process_goes_on_in_the_restored_journal(tmp_path: Path, url: str) -> None:
    here = Class(tmp_path, url, "local")
    deliver(url, "1")
    here.backup(tmp_path / "b.tar.gz")
    with closing(SqlJournal.open(url, migrate=True)) as web:
        for _ in range(10):  # psycopg prepares what it has asked five times
            assert web.live() == Live(A)
        here.restore(tmp_path / "b.tar.gz")
        assert web.live() is None


# -- the file


def test_nobody_else_may_read_a_backup_and_nothing_lies_beside_it(
    tmp_path: Path, sqlite_url: str
) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    (tmp_path / "kept").mkdir()
    made = here.backup(tmp_path / "kept" / "b.tar.gz")
    assert made.file.stat().st_mode & 0o777 == 0o600
    assert list((tmp_path / "kept").iterdir()) == [made.file]


def test_a_backup_holds_journal_settings_and_databases(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    assert names(tmp_path / "b.tar.gz") == [
        "manifest.json",
        "journal",
        "settings",
        "settings/.env",
        "settings/docker-compose.yaml",
        "settings/include",
        "settings/include/start.py",
        "databases/postgres.dump",
        "databases/warehouse.dump",
    ]


def test_a_backup_of_the_trial_leaves_airflow_out(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url, "local")
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    assert names(tmp_path / "b.tar.gz") == ["manifest.json", "journal"]


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    (here.bin / "stack.json").unlink()
    with pytest.raises(ServicesError):
        here.backup(tmp_path / "state" / "b.tar.gz")
    assert not [path for path in (tmp_path / "state").iterdir() if "b.tar" in path.name]


def test_a_journal_that_is_not_there_has_no_backup(tmp_path: Path, sqlite_url: str) -> None:
    with pytest.raises(JournalError):
        Class(tmp_path, sqlite_url).backup(tmp_path / "b.tar.gz")


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path, sqlite_url: str) -> None:
    (tmp_path / "b.tar.gz").write_text("mine")
    with pytest.raises(WrongPlace, match="is there already"):
        Class(tmp_path, sqlite_url).backup(tmp_path / "b.tar.gz")
    assert (tmp_path / "b.tar.gz").read_text() == "mine"


def test_a_directory_that_is_not_there_is_told_and_not_made(
    tmp_path: Path, sqlite_url: str
) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    with pytest.raises(WrongPlace, match="typo/deep is no directory"):
        here.backup(tmp_path / "typo" / "deep" / "b.tar.gz")
    assert not (tmp_path / "typo").exists()


def test_a_backup_among_the_settings_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    with pytest.raises(WrongPlace, match="would be kept in the next backup"):
        Class(tmp_path, sqlite_url).backup(tmp_path / "etc" / "b.tar.gz")


def test_what_is_no_file_among_the_settings_is_named(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    (here.etc / "elsewhere").symlink_to(tmp_path)
    with pytest.raises(DiskError, match="elsewhere can't be kept"):
        here.backup(tmp_path / "b.tar.gz")


def test_of_a_directory_of_backups_the_newest_are_left(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url, "local")
    deliver(sqlite_url, "1")
    (tmp_path / "daily").mkdir()
    (tmp_path / "daily" / "notes").touch()
    made = [here.backup(tmp_path / "daily", 2, NOW + timedelta(days=day)) for day in range(3)]
    assert made[2].removed == (made[0].file,)
    left = {path.name for path in (tmp_path / "daily").iterdir()}
    assert left == {"notes", made[1].file.name, made[2].file.name}


def test_keeping_a_number_needs_a_directory(tmp_path: Path, sqlite_url: str) -> None:
    with pytest.raises(WrongPlace, match="needs a directory"):
        Class(tmp_path, sqlite_url).backup(tmp_path / "b.tar.gz", 3)


# -- back again


def test_settings_come_back_with_their_modes_and_the_old_ones_stay_beside(
    tmp_path: Path, sqlite_url: str
) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    (here.etc / ".env").write_text("AIRFLOW_FERNET_KEY=second\n")
    (here.etc / "later").touch()
    here.restore(tmp_path / "b.tar.gz")
    assert (here.etc / ".env").read_text() == "AIRFLOW_FERNET_KEY=first\n"
    modes = [path.stat().st_mode & 0o777 for path in (here.etc, here.etc / ".env")]
    assert modes == [0o750, 0o640]
    assert sorted(path.name for path in here.etc.iterdir()) == [
        ".env", "docker-compose.yaml", "include",
    ]  # fmt: skip
    assert (tmp_path / f"etc.{ASIDE}" / ".env").read_text() == "AIRFLOW_FERNET_KEY=second\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file away")
def test_settings_come_back_with_owners_that_are_known_here_and_no_others(
    tmp_path: Path, sqlite_url: str
) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    file = here.backup(tmp_path / "b.tar.gz").file

    def change(entries: Entries) -> Entries:
        for one, _ in entries:
            one.uid, one.gid, one.uname, one.gname = 2**40, 12345, "nobody-here", "daemon"
        return entries

    rewritten(file, change)
    (tmp_path / "near").mkdir()
    (tmp_path / "rest").mkdir()
    archive.unpack(file, settings=tmp_path / "near", rest=tmp_path / "rest")
    of_settings = {(p.stat().st_uid, p.stat().st_gid) for p in (tmp_path / "near").rglob("*")}
    assert of_settings == {(0, grp.getgrnam("daemon").gr_gid)}
    of_others = {(p.stat().st_uid, p.stat().st_gid) for p in (tmp_path / "rest").rglob("*")}
    assert of_others == {(0, 0)}


def test_what_is_unpacked_is_on_disk_a_directory_after_what_is_in_it(
    tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    file = here.backup(tmp_path / "b.tar.gz").file
    there = tmp_path / "there"
    there.mkdir()
    flushed: list[str] = []
    monkeypatch.setattr(
        archive, "flush", lambda path: flushed.append(path.relative_to(there).as_posix())
    )
    manifest = archive.unpack(file, settings=there, rest=there)
    assert sorted(flushed) == sorted(manifest.files)
    for name in ("settings/include/start.py", "settings/include", "settings/.env"):
        assert flushed.index(name) < flushed.index(str(Path(name).parent))


def test_airflow_stops_before_all_databases_are_loaded_and_only_then_swapped(
    tmp_path: Path, sqlite_url: str
) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    here.restore(tmp_path / "b.tar.gz")
    assert here.done() == [
        "stop --timeout 30 -- airflow-scheduler",
        "up --detach --wait --no-deps -- postgres warehouse",
        "loaded: dump of postgres",
        "loaded: dump of warehouse",
        "swapped",
        "swapped",
    ]


def test_a_backup_is_restored_on_a_machine_that_has_nothing(
    tmp_path: Path, sqlite_url: str
) -> None:
    deliver(sqlite_url, "1")
    Class(tmp_path, sqlite_url).backup(tmp_path / "b.tar.gz")
    other = Class(tmp_path / "other", f"sqlite:///{tmp_path}/other/state/deployer.db")
    for path in sorted(other.etc.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    other.etc.rmdir()
    other.restore(tmp_path / "b.tar.gz")
    assert (other.etc / ".env").read_text() == "AIRFLOW_FERNET_KEY=first\n"
    assert is_known(other.settings.journal_url, "1")


def test_where_a_database_cannot_be_replaced_settings_and_journal_stay(
    tmp_path: Path, sqlite_url: str
) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    deliver(sqlite_url, "2")
    (here.etc / ".env").write_text("AIRFLOW_FERNET_KEY=second\n")
    (here.bin / "no-swap").touch()
    with pytest.raises(ServicesError, match="docker compose exec failed"):
        here.restore(tmp_path / "b.tar.gz")
    assert (here.etc / ".env").read_text() == "AIRFLOW_FERNET_KEY=second\n"
    assert is_known(sqlite_url, "2")


def test_who_does_not_agree_has_everything_as_it_was(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url)
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    deliver(sqlite_url, "2")

    def refuse(*_: object) -> None:
        raise click.Abort

    before = sorted(tmp_path.iterdir())
    with pytest.raises(click.Abort):
        put_back(
            here.settings, here.databases, tmp_path / "b.tar.gz",
            agreed=refuse, tell=print, now=NOW,
        )  # fmt: skip
    assert sorted({*tmp_path.iterdir()} - {tmp_path / "srv"}) == before
    assert is_known(sqlite_url, "2")
    assert not (here.bin / "done").exists()


def test_a_running_worker_is_not_restored_under(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url, "local")
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    with (
        only_worker(tmp_path / "state", tmp_path / "srv"),
        pytest.raises(WorkerRunning, match="stop that one first"),
    ):
        here.restore(tmp_path / "b.tar.gz")


def test_a_backup_of_another_class_is_refused(tmp_path: Path, sqlite_url: str) -> None:
    here = Class(tmp_path, sqlite_url, "local")
    deliver(sqlite_url, "1")
    here.backup(tmp_path / "b.tar.gz")
    other = settings_of(tmp_path, sqlite_url, repo="other/class")
    with pytest.raises(WrongPlace, match="its repo is c/a, here it is other/class"):
        here.restore(tmp_path / "b.tar.gz", other)


# -- what is no good backup


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without_its_end(file: Path) -> None:
    """Take a part of gzip's checksum off."""
    file.write_bytes(file.read_bytes()[:-6])


def flipped(file: Path) -> None:
    """Change a byte of the journal, and let the checksum be that of before."""
    whole = file.read_bytes()
    raw = gzip.decompress(whole)
    assert b"SQLite format 3" in raw
    changed = gzip.compress(raw.replace(b"SQLite format 3", b"SQLite format 4", 1))
    file.write_bytes(changed[:-8] + whole[-8:])


def of_no_journal(file: Path) -> None:
    """Change a byte of the journal, in an archive that is whole."""
    rewritten(
        file,
        lambda entries: [
            (one, content.replace(b"SQLite format 3", b"SQLite format 4", 1))
            for one, content in entries
        ],
    )


def scratched(file: Path) -> None:
    """Change a byte of the file."""
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)


def shortened(file: Path) -> None:
    """Take the last entry out of it."""
    rewritten(file, lambda entries: entries[:-1])


def doubled(file: Path) -> None:
    rewritten(file, lambda entries: [*entries, entries[-1]])


def no_archive(file: Path) -> None:
    file.write_bytes(b"SQLite format 3")


def foreign(file: Path) -> None:
    rewritten(file, lambda entries: entries[1:])


def with_entry(**fields: object) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        added = tarfile.TarInfo()
        for name, value in fields.items():
            setattr(added, name, value)
        rewritten(file, lambda entries: [*entries, (added, b"")])

    return damage


def with_journal_of(**fields: object) -> Callable[[Path], None]:
    """Change the journal's entry."""

    def damage(file: Path) -> None:
        def change(entries: Entries) -> Entries:
            for name, value in fields.items():
                setattr(entries[-1][0], name, value)
            return entries

        rewritten(file, change)

    return damage


def with_deep_manifest(file: Path) -> None:
    def change(entries: Entries) -> Entries:
        deep = b"[" * 200_000
        entries[0][0].size = len(deep)
        return [(entries[0][0], deep), *entries[1:]]

    rewritten(file, change)


def with_endless_names(file: Path) -> None:
    """Name an entry a thousand times, which tarfile reads one within the other."""
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 1
    with tarfile.open(file) as tar:
        tar.next()
        second = tar.next()
        assert second
    raw, at = gzip.decompress(file.read_bytes()), second.offset
    named = long.tobuf() + b"x".ljust(tarfile.BLOCKSIZE, b"\0")
    file.write_bytes(gzip.compress(raw[:at] + 1000 * named + raw[at:]))


Entries = list[tuple[tarfile.TarInfo, bytes]]


def rewritten(file: Path, change: Callable[[Entries], Entries]) -> None:
    with tarfile.open(file) as tar:
        entries = []
        for one in tar:
            stream = tar.extractfile(one)
            entries.append((one, stream.read() if stream else b""))
    with tarfile.open(file, "w:gz") as tar:
        for one, content in change(entries):
            tar.addfile(one, io.BytesIO(content))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "is not there"),
        (no_archive, "is damaged, or no backup"),
        (truncated, "is damaged"),
        (without_its_end, "is damaged"),
        (flipped, "is damaged, or no backup: CRC check failed"),
        (scratched, "is damaged"),
        (of_no_journal, "the journal of the backup: "),
        (shortened, "is damaged, or no backup: journal"),
        (doubled, "is damaged, or no backup: a name is in it twice"),
        (foreign, "is no backup that this deployer knows"),
        (with_entry(name="../outside"), "holds '../outside'"),
        (with_entry(name="/etc/outside"), "holds '/etc/outside'"),
        (with_entry(name="settings/../../outside"), "which no backup does"),
        (with_entry(name="settings/more"), "holds 'settings/more'"),
        (with_entry(name="settings/l", type=tarfile.SYMTYPE, linkname="/etc"), "settings/l"),
        (with_entry(name="journal", type=tarfile.LNKTYPE, linkname="/etc/passwd"), "'journal'"),
        (with_entry(name="settings/dev", type=tarfile.CHRTYPE), "'settings/dev'"),
        (with_journal_of(pax_headers={"mtime": "1e30"}), "is damaged, or no backup"),
        (with_journal_of(pax_headers={"mtime": "inf"}), "is damaged, or no backup"),
        (with_journal_of(pax_headers={"mtime": "nan"}), "is damaged, or no backup"),
        (with_journal_of(pax_headers={"GNU.sparse.map": "0,1,a", "GNU.sparse.size": "9"}),
         "is damaged, or no backup"),
        (with_endless_names, "is damaged, or no backup"),
        (with_deep_manifest, "is no backup that this deployer knows"),
    ],
    ids=[
        "gone", "no archive", "truncated", "its end cut off", "a byte changed",
        "a byte of the file changed", "a journal that is none", "an entry missing",
        "an entry twice", "no manifest",
        "a parent's", "absolute", "out of the settings", "not in the manifest", "a link",
        "a hard link", "a device",
        "a time that none is", "no end of time", "no time", "a bad map of a file's holes",
        "names without end", "a manifest without end",
    ],
)  # fmt: skip
def test_what_is_no_good_backup_is_refused_and_changes_nothing(
    tmp_path: Path, sqlite_url: str, damage: Callable[[Path], None], words: str
) -> None:
    here = Class(tmp_path, sqlite_url, "local")
    deliver(sqlite_url, "1")
    file = here.backup(tmp_path / "b.tar.gz").file
    deliver(sqlite_url, "2")
    damage(file)
    with pytest.raises(WrongPlace, match="othing was changed") as refused:
        here.restore(file)
    assert words in str(refused.value)
    assert is_known(sqlite_url, "2")
    assert not list(tmp_path.rglob("*outside*"))
