"""What the check-up reads out of a real journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from deployer.core.doctor import Ailment, NotApplicable
from deployer.core.model import Live, ProcessorCame
from deployer.core.settings import Secret
from deployer.doctor import journal as checkup
from deployer.doctor.world import World
from deployer.edges.journal import SqlJournal
from deployer.errors import JournalError
from tests.doctor_world import REPO, nothing_but

NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
A, B = "a" * 40, "b" * 40
SECRETS = (Secret("s" * 16), Secret("t" * 16))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deployer.db"


@pytest.fixture
def journal(url: str) -> Iterator[SqlJournal]:
    """Deliveries that it is given came five hours ago."""
    journal = SqlJournal.open(url, migrate=True, now=lambda: NOW - timedelta(hours=5))
    yield journal
    journal.close()


def pushed(journal: SqlJournal, sha: str, repo: str = REPO) -> None:
    """Let a delivery of a push be accepted that came under the name `repo`."""
    journal.record_delivery(
        guid=sha,
        event="push",
        result="queued",
        reason="",
        payload={
            "ref": "refs/heads/main",
            "before": None,
            "after": sha,
            "forced": False,
            "repo_id": 7,
            "repo": repo,
            "known_as": REPO,
        },
    )


def pinged(journal: SqlJournal) -> None:
    journal.record_delivery(guid="ping", event="ping", result="ignored", reason="", payload={})


def beat(journal: SqlJournal, at: datetime, *processors: ProcessorCame) -> None:
    journal.beat(at=at, tip_checked_at=at, processors=processors)


def look(line: Callable[[World], str], url: str, **more: object) -> str:
    """Return what a line says; Airflow runs on this machine and needs no engine."""
    with ExitStack() as until:
        asked = {
            "journal": lambda: until.enter_context(closing(SqlJournal.open(url, migrate=False))),
            "processes": tuple,
            "now": lambda: NOW,
        }
        return line(nothing_but(**asked | more))


def parse_feed(url: str, meanwhile: Callable[[float], None] | None = None) -> str:
    """What is told of the feed; `meanwhile` is done where it is waited for."""
    now = NOW

    def sleep(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)
        (meanwhile or (lambda _: None))(seconds)

    return look(partial(checkup.parse_feed, sleep=sleep), url, now=lambda: now)


def same_packages(url: str, installed: str | None) -> str:
    return look(checkup.same_packages, url, installed=lambda: installed)


def deliveries(url: str) -> str:
    return look(checkup.deliveries, url, public_url="https://class.example")


# --- the journal and the worker ------------------------------------------------------


def test_a_journal_that_is_not_there_is_told_and_not_made(url: str, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="can't be read"):
        look(checkup.journal, url)
    assert "DEPLOYER_STATE_DIR" in checkup.MAKE
    assert list(tmp_path.iterdir()) == []


def test_a_journal_that_can_be_read_passes(journal: SqlJournal, url: str) -> None:
    assert "can be read" in look(checkup.journal, url)


def test_a_journal_that_holds_what_it_must_passes(journal: SqlJournal, url: str) -> None:
    assert "no commit is forgotten" in look(checkup.invariants, url)


def test_a_journal_that_does_not_hold_what_it_must_is_told_with_who_mends_it(
    journal: SqlJournal, url: str
) -> None:
    journal.set_live(Live(A))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as database:
        database.execute("INSERT INTO covers (deployment_id, position, sha) VALUES (7, 0, 'x')")
        database.commit()
    with pytest.raises(Ailment) as told:
        look(checkup.invariants, url)
    assert told.value.detail == (
        "aaaaaaa is said to be live and judged, and no deployment has judged it;"
        " rows of covers name rows that are not there"
    )
    assert "systemctl restart deployer-worker" in told.value.remedy


def test_a_fresh_heartbeat_passes(journal: SqlJournal, url: str) -> None:
    beat(journal, NOW - timedelta(seconds=3))
    assert look(checkup.worker, url).startswith("heartbeat 3 s ago")


def test_a_connected_dag_processor_passes(journal: SqlJournal, url: str) -> None:
    beat(journal, NOW, ProcessorCame("a", "3.3.2"))
    line = parse_feed(url)
    assert line == "the class's dag-processor is connected, Airflow 3.3.2"


def test_a_dag_processor_that_connects_to_a_worker_that_just_started_is_waited_for(
    journal: SqlJournal, url: str
) -> None:
    beat(journal, NOW)
    line = parse_feed(url, lambda _: beat(journal, NOW, ProcessorCame("a", "3.3.2")))
    assert line == "the class's dag-processor is connected, Airflow 3.3.2"


def test_a_class_without_its_dag_processor_is_told_what_that_means(
    journal: SqlJournal, url: str
) -> None:
    beat(journal, NOW)
    with pytest.raises(Ailment) as told:
        parse_feed(url)
    assert "goes live, and is not judged" in told.value.detail
    assert "start.py dag-processor" in told.value.remedy


def test_an_airflow_that_lacks_something_is_told_by_name(journal: SqlJournal, url: str) -> None:
    beat(journal, NOW, ProcessorCame("a", "3.9.0", "it has no claim_priority_files"))
    with pytest.raises(Ailment) as told:
        parse_feed(url)
    assert "Airflow 3.9.0" in told.value.detail
    assert "no claim_priority_files" in told.value.detail


def test_packages_of_the_live_commit_pass(journal: SqlJournal, url: str) -> None:
    journal.set_packages("cowsay")
    assert same_packages(url, "CowSay\n") == ("those of the live commit")


def test_other_packages_than_those_of_the_live_commit_are_told(
    journal: SqlJournal, url: str
) -> None:
    journal.set_packages("cowsay")
    with pytest.raises(Ailment, match=r"packages differ .* \(cowsay\)") as told:
        same_packages(url, "")
    assert "by itself" in told.value.remedy
    journal.beat(at=NOW, drift="packages differ; they can't be put back: it was yanked")
    with pytest.raises(Ailment, match="it was yanked"):
        same_packages(url, "")
    journal.beat(at=NOW, drift="a service runs on other packages")
    with pytest.raises(Ailment, match="a service runs on other packages"):
        same_packages(url, None)


def test_packages_that_are_not_known_are_no_ailment(journal: SqlJournal, url: str) -> None:
    with pytest.raises(NotApplicable, match="nothing was deployed yet"):
        same_packages(url, "")
    journal.set_packages("cowsay")
    with pytest.raises(NotApplicable, match="see services"):
        same_packages(url, None)


def test_without_a_worker_nothing_can_be_told_of_the_feed(journal: SqlJournal, url: str) -> None:
    beat(journal, NOW - timedelta(minutes=4), ProcessorCame("a", "3.3.2"))
    with pytest.raises(NotApplicable, match="see worker"):
        parse_feed(url)


@pytest.mark.parametrize(
    ("age", "detail"),
    [(None, "the worker has never run"), (timedelta(minutes=4), "last heartbeat was 4 min ago")],
)
def test_a_worker_that_is_away_is_told(
    journal: SqlJournal, url: str, age: timedelta | None, detail: str
) -> None:
    if age:
        beat(journal, NOW - age)
    with pytest.raises(Ailment) as told:
        look(checkup.worker, url)
    assert detail in told.value.detail
    assert "systemctl status deployer-worker" in told.value.remedy


def test_a_worker_that_could_fetch_nothing_yet_is_no_ailment(journal: SqlJournal, url: str) -> None:
    journal.beat(at=NOW)
    with pytest.raises(NotApplicable, match="has fetched nothing yet: see repository"):
        look(checkup.worker, url)


# --- the webhook ---------------------------------------------------------------------


def test_a_secret_that_is_set_passes(journal: SqlJournal, url: str) -> None:
    assert checkup.secret(nothing_but(webhook_secret=SECRETS[:1])) == "one is set"
    assert checkup.secret(nothing_but(webhook_secret=SECRETS)).startswith("2 are set")


def test_a_secret_that_only_the_web_process_has_is_proven_by_its_deliveries(
    journal: SqlJournal, url: str
) -> None:
    pinged(journal)
    assert "the web process has one" in look(checkup.secret, url)


def test_no_secret_at_all_is_told(journal: SqlJournal, url: str) -> None:
    for place in (url, f"{url}.nowhere"):
        with pytest.raises(Ailment, match="none is set") as told:
            look(checkup.secret, place)
        assert "DEPLOYER_WEBHOOK_SECRET" in told.value.remedy


def test_a_delivery_that_came_passes_with_its_age(journal: SqlJournal, url: str) -> None:
    pinged(journal)
    assert deliveries(url) == "the last was accepted 5 h ago"


def test_a_delivery_that_came_again_counts_from_then_on(journal: SqlJournal, url: str) -> None:
    pinged(journal)
    pushed(journal, A)
    with closing(SqlJournal.open(url, migrate=False, now=lambda: NOW)) as later:
        pinged(later)
    assert deliveries(url) == "the last was accepted 0 s ago"


def test_a_webhook_that_was_never_set_up_is_told_with_its_address(
    journal: SqlJournal, url: str
) -> None:
    with pytest.raises(Ailment, match="no signed delivery has ever been accepted") as told:
        deliveries(url)
    assert "add https://class.example/webhook, content type application/json" in told.value.remedy


def test_pushes_under_a_new_name_are_told_with_the_setting(journal: SqlJournal, url: str) -> None:
    pushed(journal, A, "school/new-name")
    with pytest.raises(Ailment, match="they come under a new name of the repository") as told:
        deliveries(url)
    assert "set DEPLOYER_GITHUB_REPO=school/new-name and restart" in told.value.remedy
