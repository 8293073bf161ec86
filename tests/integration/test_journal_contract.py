"""What each journal must do: the fake, SQLite, and PostgreSQL if there is one.

`TEST_POSTGRES_URL` names a database in which the tests may make schemas.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from deployer.core.airflow_version import BY
from deployer.core.alerts import ClassStanding
from deployer.core.invariants import Audit
from deployer.core.model import (
    Closed,
    Deployment,
    Duplicate,
    Ending,
    Freeze,
    Heard,
    LeftOut,
    Live,
    Origin,
    Outcome,
    Owed,
    ParseError,
    Plan,
    ProcessorCame,
    Proof,
    Pulse,
    Refusal,
    RequirementsDiff,
    Running,
    State,
    Status,
    StatusRecord,
    StatusState,
    StepName,
    StepRecord,
    Tally,
    Trigger,
    Verdict,
)
from deployer.core.reporting.pacing import patience, urgency
from deployer.edges.journal import SqlJournal
from deployer.edges.journal.transactions import deliveries
from deployer.errors import DeployerError, JournalError, NotNow
from deployer.ports import Journal
from tests.fakes.journal import FakeJournal

REF = "refs/heads/main"
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
A, B, C = "a" * 40, "b" * 40, "c" * 40


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture(params=["fake", "sqlite", "postgresql"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "fake":
        yield FakeJournal(now=lambda: NOW)
        return
    with _database(request, tmp_path) as url:
        yield from _opened(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own, without a journal in it."""
    with _database(request, tmp_path) as url:
        yield url


@contextmanager
def _database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/journal.sqlite3"
        return
    url = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
    own = f"test_{uuid4().hex}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA {own}"))
            # A zone other than UTC: times must come back in UTC all the same.
            yield url.update_query_dict(
                {"options": f"-csearch_path={own} -ctimezone=Asia/Kathmandu"}
            ).render_as_string(hide_password=False)
            connection.execute(text(f"DROP SCHEMA {own} CASCADE"))
    finally:
        engine.dispose()


def _opened(url: str) -> Iterator[Journal]:
    journal = SqlJournal.open(url, migrate=True, now=lambda: NOW)
    try:
        yield journal
    finally:
        journal.close()


def push(
    journal: Journal, guid: str, sha: str = A, before: str | None = B, *, forced: bool = True
) -> bool:
    return journal.record_delivery(
        guid=guid,
        event="push",
        result="queued",
        reason="",
        payload={"ref": REF, "before": before, "after": sha, "forced": forced, "pusher": "lasse"},
    )


def ignored(journal: Journal, guid: str) -> bool:
    return journal.record_delivery(
        guid=guid, event="push", result="ignored", reason="another branch", payload={}
    )


def queued(journal: Journal, sha: str = A, at: datetime = NOW) -> int:
    return journal.queue(sha, base_sha=None, ref=REF, trigger=Trigger.WEBHOOK, at=at)


def started(journal: Journal, sha: str = A, covers: tuple[str, ...] = ()) -> int:
    number = queued(journal, sha)
    journal.start(number, at=NOW, base_sha=None, covers=covers or (sha,))
    return number


def whole(journal: Journal, number: int) -> Deployment:
    found = journal.deployment(number)
    assert found is not None
    return found


def status(
    state: StatusState = StatusState.PENDING,
    description: str = "",
    *,
    sha: str = A,
    context: str = "airflow/deploy",
) -> Status:
    return Status(sha, context, state, description or str(state))


PENDING, SUCCESS = status(StatusState.PENDING), status(StatusState.SUCCESS)


def due(journal: Journal, at: datetime = NOW, limit: int = 100) -> tuple[Owed, ...]:
    return journal.due(at, limit)


def words(journal: Journal, at: datetime = NOW) -> list[Status]:
    return [owed.status for owed in due(journal, at)]


def verdict(path: str, *dag_ids: str, outcome: Outcome = Outcome.PARSED) -> Verdict:
    return Verdict(path, outcome, dag_ids, proof=Proof.RELEASE, waited_s=0.5)


# -- deliveries and announcements


def test_a_queued_push_is_announced(journal: Journal) -> None:
    assert push(journal, "1")
    (announced,) = journal.unseen()
    assert (announced.sha, announced.before, announced.forced) == (A, B, True)
    assert (announced.trigger, announced.received_at) == (Trigger.WEBHOOK, NOW)
    assert announced.received_at.tzinfo is UTC


def test_a_guid_is_taken_once(journal: Journal) -> None:
    assert push(journal, "1")
    assert not push(journal, "1", sha=B)
    assert [announced.sha for announced in journal.unseen()] == [A]


def test_a_delivery_that_is_not_queued_announces_nothing(journal: Journal) -> None:
    assert ignored(journal, "1")
    assert journal.unseen() == ()


def test_what_was_ignored_is_taken_when_it_is_delivered_again(journal: Journal) -> None:
    assert ignored(journal, "1")
    assert ignored(journal, "1")
    assert push(journal, "1")
    assert [announced.sha for announced in journal.unseen()] == [A]
    assert journal.pusher_of(A) == "lasse"


def test_what_was_taken_is_not_taken_back_by_a_delivery_that_would_be_ignored(
    journal: Journal,
) -> None:
    push(journal, "1")
    assert not ignored(journal, "1")
    assert not push(journal, "1")
    assert [announced.sha for announced in journal.unseen()] == [A]


@pytest.mark.parametrize("before", ["0" * 40, None])
def test_a_new_branch_has_no_tip_before(journal: Journal, before: str | None) -> None:
    push(journal, "1", before=before)
    assert journal.unseen()[0].before is None


def test_announcements_come_in_the_order_of_arrival(journal: Journal) -> None:
    push(journal, "z", sha=A)
    request = journal.request_deploy(None, Trigger.MANUAL)
    push(journal, "b", sha=C)
    found = journal.unseen()
    assert [announced.sha for announced in found] == [A, None, C]
    assert found[1].id == request
    assert found[1].trigger is Trigger.MANUAL
    assert [announced.id for announced in found] == sorted(announced.id for announced in found)


def test_an_attached_announcement_is_seen(journal: Journal) -> None:
    push(journal, "1")
    journal.request_deploy(B, Trigger.ROLLBACK)
    first, second = journal.unseen()
    journal.attach(first.id, queued(journal))
    assert journal.unseen() == (second,)


def test_what_was_heard_of_a_commit_is_told_with_what_answers_it(journal: Journal) -> None:
    push(journal, "1", sha=A)
    push(journal, "2", sha=B)
    request = journal.request_deploy(A, Trigger.MANUAL)
    number = queued(journal)
    journal.attach(request, number)
    assert journal.heard(A) == (
        Heard(NOW, A, Trigger.WEBHOOK, "1", "push", by="lasse"),
        Heard(NOW, A, Trigger.MANUAL, deployment=number),
    )
    assert journal.heard(C) == ()


def test_what_was_heard_of_a_delivery_is_told_though_it_was_ignored(journal: Journal) -> None:
    push(journal, "1", sha=A)
    ignored(journal, "2")
    assert journal.heard("2") == (Heard(NOW, None, None, "2", "push", reason="another branch"),)


def test_all_deployments_about_a_commit_are_told_oldest_first(journal: Journal) -> None:
    own, other, covering = queued(journal, A), queued(journal, B), queued(journal, C)
    journal.start(covering, at=NOW, base_sha=None, covers=[A, C])
    assert [found.id for found in journal.about(A)] == [own, covering]
    assert [found.id for found in journal.about(B)] == [other]


def test_a_freeze_holds_until_somebody_ends_it(journal: Journal) -> None:
    assert journal.frozen(NOW) is None
    made = journal.freeze("exam", by="lasse", until=None)
    assert made == Freeze("exam", "lasse", NOW) == journal.frozen(after(9e6))
    assert journal.pulse().freeze == made
    assert journal.unfreeze(by="maria") == made
    assert journal.frozen(NOW) is None
    assert journal.pulse().freeze is None
    assert journal.unfreeze(by="maria") is None


def test_a_rollback_is_a_freeze_and_a_request(journal: Journal) -> None:
    request = journal.roll_back(A, "exam", by="lasse")
    assert journal.frozen(after(9e6)) == Freeze("exam", "lasse", NOW, sha=A)
    (found,) = journal.unseen()
    assert (found.id, found.sha, found.trigger) == (request, A, Trigger.ROLLBACK)
    again = journal.freeze("repairs", by="maria", until=after(60))
    assert again == Freeze("repairs", "maria", NOW, after(60), sha=A) == journal.frozen(NOW)


def test_a_freeze_ends_at_its_time(journal: Journal) -> None:
    made = journal.freeze("exam", by="lasse", until=after(60))
    assert journal.frozen(after(59)) == made
    assert journal.frozen(after(60)) is None


def test_the_pulse_tells_when_the_last_freeze_ended(journal: Journal) -> None:
    assert journal.pulse().thawed_at is None
    journal.freeze("exam", by="lasse", until=after(60))
    assert journal.pulse().thawed_at == after(60)  # by itself
    journal.unfreeze(by="lasse")
    assert journal.pulse().thawed_at == NOW
    journal.roll_back(A, "repairs", by="maria")
    assert journal.pulse().thawed_at is None
    journal.unfreeze(by="maria")
    journal.unfreeze(by="maria")
    assert journal.pulse().thawed_at == NOW


def test_a_freeze_whose_time_was_over_ended_at_its_time(journal: Journal) -> None:
    journal.freeze("exam", by="lasse", until=after(-60))
    assert journal.unfreeze(by="lasse") is None
    assert journal.pulse().thawed_at == after(-60)


def test_a_second_freeze_takes_the_place_of_the_first(journal: Journal) -> None:
    journal.freeze("exam", by="lasse", until=after(60))
    second = journal.freeze("repairs", by="maria", until=None)
    assert journal.frozen(NOW) == second
    journal.unfreeze(by="maria")
    assert journal.frozen(NOW) is None


def test_the_freeze_in_which_another_airflow_is_put_in_is_nobody_elses_to_replace(
    journal: Journal,
) -> None:
    journal.freeze("Airflow 3.3.3 is installed", by=BY, until=None)
    again = journal.freeze("Airflow 3.3.4 is installed", by=BY, until=None)
    with pytest.raises(NotNow, match="frozen by `deployer airflow-version`"):
        journal.freeze("exam", by="lasse", until=None)
    with pytest.raises(NotNow):
        journal.roll_back(A, "exam", by="lasse")
    with pytest.raises(NotNow):
        journal.unfreeze(by="lasse")
    assert journal.frozen(NOW) == again
    assert journal.unseen() == ()


def test_the_tip_before_is_that_of_the_newest_announcement(journal: Journal) -> None:
    push(journal, "1", sha=A, before=B)
    push(journal, "2", sha=A, before=C)
    push(journal, "3", sha=B, before=None)
    journal.request_deploy(A, Trigger.MANUAL)
    assert journal.before_of(A) == C
    assert journal.before_of(B) is None
    assert journal.before_of(C) is None


def test_the_pusher_of_a_commit_is_the_one_that_a_delivery_names(journal: Journal) -> None:
    push(journal, "1", sha=A)
    journal.request_deploy(B, Trigger.MANUAL)
    assert journal.pusher_of(A) == "lasse"
    assert journal.pusher_of(B) is None


def test_a_commit_that_a_forced_push_replaced_is_known_until_it_is_announced_again(
    journal: Journal,
) -> None:
    push(journal, "1", sha=A, before=B, forced=False)
    assert not journal.forced_away(A)
    push(journal, "other", sha="d" * 40, before="e" * 40)
    assert not journal.forced_away(A)
    assert not journal.forced_away(B)
    push(journal, "2", sha=C, before=A)
    assert journal.forced_away(A)
    push(journal, "3", sha=A, before=C)
    assert not journal.forced_away(A)
    assert journal.forced_away(C)


# -- deployments


def test_a_deployment_begins_queued(journal: Journal) -> None:
    number = journal.queue(A, base_sha=B, ref=REF, trigger=Trigger.POLL, at=NOW)
    assert whole(journal, number) == Deployment(number, A, B, REF, Trigger.POLL, State.QUEUED, NOW)


def test_a_deployment_comes_back_whole(journal: Journal) -> None:
    plan = Plan(
        dag_files=("dags/lasse/b.py", "dags/lasse/a.py"),
        deleted=("dags/maria/old.py",),
        requirements=RequirementsDiff(added=("pandas",), removed=("x==1",), changed=("y>2",)),
        recreate=("airflow-scheduler",),
        refused="line 3: no such package",
        left_out=(LeftOut("dags/x\u00fc.py", "why"),),
    )
    steps = tuple(
        StepRecord(name, state, after(n), after(n + 0.5), f"detail {n}")
        for n, (name, state) in enumerate(
            [(StepName.PUBLISH, "ok"), (StepName.FETCH, "skipped"), (StepName.PARSE, "failed")]
        )
    )
    error = ParseError("ModuleNotFoundError", "No module named 'pandas'", 12, "Traceback …")
    broken = Verdict(
        "dags/lasse/b.py", Outcome.BROKEN, error=error, waited_s=0.25, warnings=("w", "v")
    )
    parsed = verdict("dags/lasse/a.py", "z", "a")
    number = queued(journal, C)
    journal.start(number, at=after(1), base_sha=B, covers=[B, A, C])
    journal.set_plan(number, plan)
    for step in steps:
        journal.add_step(number, step)
    ending = Ending(
        C,
        State.BROKEN,
        8.25,
        (parsed, broken),
        refused="no such package",
        reason="one file",
        duplicates=(
            Duplicate("dags/a/x.py", "x", "dags/b/x.py", both=True),
            Duplicate("dags/a/y.py", "y", "dags/b/y.py", imported=True),
        ),
    )
    journal.end(number, ending, at=after(9), statuses=[PENDING])
    found = whole(journal, number)
    assert found == Deployment(
        id=number,
        sha=C,
        base_sha=B,
        ref=REF,
        trigger=Trigger.WEBHOOK,
        state=State.BROKEN,
        queued_at=NOW,
        started_at=after(1),
        finished_at=after(9),
        covers=(B, A, C),
        reason="one file",
        plan=plan,
        steps=steps,
        verdicts=(parsed, broken),
        statuses=found.statuses,
        ending=ending,
    )
    assert [record.status for record in found.statuses] == [PENDING]
    assert found.finished_at is not None
    assert found.finished_at.tzinfo is UTC


def test_what_a_plan_installs_is_not_kept(journal: Journal) -> None:
    number = started(journal)
    journal.set_plan(number, Plan(dag_files=("dags/a/x.py",), installs="pandas"))
    assert whole(journal, number).plan == Plan(dag_files=("dags/a/x.py",))


def test_a_time_of_another_zone_comes_back_in_utc(journal: Journal) -> None:
    number = queued(journal, at=NOW.astimezone(timezone(timedelta(hours=-7))))
    found = whole(journal, number).queued_at
    assert found == NOW


def test_starting_again_clears_the_interrupted_try(journal: Journal) -> None:
    number = started(journal, covers=(A, B))
    journal.add_step(number, StepRecord(StepName.FETCH, "ok", NOW, NOW))
    journal.set_verdicts(number, [verdict("dags/maria/x.py")])
    journal.start(number, at=after(60), base_sha=C, covers=(A,))
    found = whole(journal, number)
    assert (found.steps, found.verdicts, found.covers) == ((), (), (A,))
    assert (found.state, found.started_at, found.base_sha) == (State.RUNNING, after(60), C)
    assert journal.deployments(folder="maria") == ()


def test_starting_an_ended_one_again_makes_it_unfinished(journal: Journal) -> None:
    number = started(journal)
    journal.end(number, Ending(A, State.ERROR, reason="disk full"), at=NOW)
    journal.start(number, at=after(1), base_sha=None, covers=(A,))
    found = whole(journal, number)
    assert (found.finished_at, found.reason) == (None, "")
    assert journal.unfinished() == (replace(found, covers=()),)


def test_verdicts_are_replaced_as_a_whole(journal: Journal) -> None:
    number = started(journal)
    journal.set_verdicts(number, [verdict("dags/a/x.py"), verdict("dags/b/y.py")])
    journal.set_verdicts(number, [verdict("dags/b/y.py"), verdict("dags/a/Z.py")])
    assert [found.path for found in whole(journal, number).verdicts] == [
        "dags/a/Z.py",
        "dags/b/y.py",
    ]
    journal.set_verdicts(number, [])
    assert whole(journal, number).verdicts == ()


def test_ending_ends_those_it_supersedes(journal: Journal) -> None:
    one, two, other = queued(journal, A), queued(journal, B), queued(journal, B)
    last = started(journal, C, covers=(A, B, C))
    journal.end(last, Ending(C, State.SUCCEEDED), at=after(5), supersedes=[one, two])
    for number in (one, two):
        found = whole(journal, number)
        assert (found.state, found.finished_at) == (State.SUPERSEDED, after(5))
        assert str(last) in found.reason
    assert [found.id for found in journal.unfinished()] == [other]


def test_one_that_was_superseded_shows_what_its_commit_was_told(journal: Journal) -> None:
    one = queued(journal, A)
    journal.owe([status(StatusState.PENDING, sha=A)], deployment=one, at=NOW)
    last = started(journal, B, covers=(A, B))
    said = [status(StatusState.SUCCESS, sha=A), status(StatusState.SUCCESS, sha=B)]
    journal.end(last, Ending(B, State.SUCCEEDED), at=NOW, statuses=said, supersedes=[one])
    assert [record.status for record in whole(journal, one).statuses] == said[:1]
    assert [record.status for record in whole(journal, last).statuses] == said


def test_an_end_tells_what_is_live_or_leaves_it(journal: Journal) -> None:
    first, second = started(journal, A), started(journal, B)
    live = Live(A, held=("dags/a/x.py",))
    journal.end(first, Ending(A, State.SUCCEEDED), at=NOW, live=live)
    assert journal.live() == live
    journal.end(second, Ending(B, State.ERROR), at=NOW)
    assert journal.live() == live


def test_unfinished_are_queued_and_running_oldest_first(journal: Journal) -> None:
    first, ended, last = queued(journal, A), started(journal, B), started(journal, C)
    journal.end(ended, Ending(B, State.FAILED), at=NOW)
    assert [(found.id, found.state) for found in journal.unfinished()] == [
        (first, State.QUEUED),
        (last, State.RUNNING),
    ]


def test_what_concerns_an_unknown_deployment_is_an_error(journal: Journal) -> None:
    with pytest.raises(JournalError):
        journal.start(7, at=NOW, base_sha=None, covers=())
    with pytest.raises(JournalError):
        journal.set_plan(7, Plan())
    with pytest.raises(JournalError):
        journal.add_step(7, StepRecord(StepName.FETCH, "ok", NOW, NOW))
    with pytest.raises(JournalError):
        journal.set_verdicts(7, [verdict("dags/a/x.py")])
    with pytest.raises(JournalError):
        journal.end(7, Ending(A, State.FAILED), at=NOW)
    with pytest.raises(JournalError):
        journal.owe([PENDING], deployment=7, at=NOW)
    with pytest.raises(JournalError):
        journal.attach(7, queued(journal))


# -- asking for deployments


@pytest.mark.parametrize("number", [0, -1, 99, 10**30])
def test_a_deployment_that_is_not_there_is_none(journal: Journal, number: int) -> None:
    queued(journal)
    assert journal.deployment(number) is None


def test_deployments_come_newest_first_up_to_the_limit(journal: Journal) -> None:
    numbers = [queued(journal) for _ in range(25)]
    newest = numbers[::-1]
    assert [found.id for found in journal.deployments()] == newest[:20]
    assert [found.id for found in journal.deployments(limit=3)] == newest[:3]
    assert journal.deployments(limit=0) == ()
    assert journal.deployments(limit=-1) == ()


def test_a_refused_request_is_in_no_list_of_deployments(journal: Journal) -> None:
    asked = {
        state: journal.queue(A, base_sha=None, ref=REF, trigger=Trigger.MANUAL, at=NOW)
        for state in (State.QUEUED, State.FAILED, State.BROKEN)
    }
    journal.end(asked[State.FAILED], Ending(A, State.FAILED, reason="not on main"), at=NOW)
    journal.start(asked[State.BROKEN], at=NOW, base_sha=None, covers=(A,))
    journal.end(asked[State.BROKEN], Ending(A, State.FAILED), at=NOW)
    assert [found.id for found in journal.deployments()] == [
        asked[State.BROKEN],
        asked[State.QUEUED],
    ]
    assert journal.deployment(asked[State.FAILED]) is not None
    assert journal.judging(A) == whole(journal, asked[State.BROKEN])


def test_deployments_in_a_list_are_whole(journal: Journal) -> None:
    for sha in (A, B):
        number = started(journal, sha, covers=(C, sha))
        journal.set_plan(number, Plan(dag_files=(f"dags/{sha[0]}/x.py",)))
        journal.add_step(number, StepRecord(StepName.FETCH, "ok", NOW, NOW, sha))
        journal.set_verdicts(number, [verdict(f"dags/{sha[0]}/x.py", "x")])
        journal.owe([status(sha=sha)], deployment=number, at=NOW)
    listed = journal.deployments()
    assert listed == tuple(whole(journal, found.id) for found in listed)
    assert [found.steps[0].detail for found in listed] == [B, A]
    assert [found.statuses[0].status.sha for found in listed] == [B, A]


def test_a_list_leaves_out_the_traces_of_errors_and_nothing_else(journal: Journal) -> None:
    number = started(journal)
    error = ParseError("ValueError", "no", line=3, trace="Traceback …")
    broken = Verdict("dags/a/x.py", Outcome.BROKEN, error=error)
    journal.set_verdicts(number, [broken, verdict("dags/a/y.py", "y")])
    (listed,) = journal.deployments()
    assert listed.verdicts[0].error == ParseError("ValueError", "no", line=3)
    assert listed.verdicts[1] == verdict("dags/a/y.py", "y")
    assert whole(journal, number).verdicts[0].error == error


def test_a_folders_deployments_planned_or_judged_a_file_in_it(journal: Journal) -> None:
    planned, deleted, judged, other = (started(journal) for _ in range(4))
    journal.set_plan(planned, Plan(dag_files=("dags/lasse/x.py", "dags/lasse/y.py")))
    journal.set_plan(deleted, Plan(deleted=("dags/lasse/x.py",)))
    journal.set_verdicts(judged, [verdict("dags/lasse/deep/x.py")])
    journal.set_plan(judged, Plan(dag_files=("dags/maria/x.py",)))
    journal.set_plan(other, Plan(dag_files=("dags/lasse.py", "dags/lassen/x.py")))
    assert [found.id for found in journal.deployments(folder="lasse")] == [
        judged,
        deleted,
        planned,
    ]
    assert [found.id for found in journal.deployments(folder="maria")] == [judged]
    assert journal.deployments(folder="nobody") == ()


def test_deployments_can_be_asked_for_by_state_and_folder(journal: Journal) -> None:
    broken, fine = started(journal), started(journal)
    for number, state in ((broken, State.BROKEN), (fine, State.SUCCEEDED)):
        journal.set_plan(number, Plan(dag_files=("dags/lasse/x.py",)))
        journal.end(number, Ending(A, state), at=NOW)
    assert [found.id for found in journal.deployments(state=State.BROKEN)] == [broken]
    assert [found.id for found in journal.deployments(folder="lasse", state=State.SUCCEEDED)] == [
        fine
    ]
    assert journal.deployments(folder="maria", state=State.BROKEN) == ()


def test_the_newest_that_covers_a_commit_judges_it(journal: Journal) -> None:
    started(journal, A)
    covering = started(journal, B, covers=(A, B))
    assert whole(journal, covering) == journal.judging(A) == journal.judging(B)
    again = queued(journal, A)
    found = journal.judging(A)
    assert found is not None
    assert found.id == again
    assert journal.judging(C) is None


def test_a_superseded_one_judges_only_for_want_of_another(journal: Journal) -> None:
    first, superseded = started(journal, A), queued(journal, A)
    journal.supersede(superseded, "", at=NOW)
    alone = queued(journal, B)
    journal.supersede(alone, "", at=NOW)
    for sha, number in ((A, first), (B, alone)):
        found = journal.judging(sha)
        assert found is not None
        assert found.id == number


def test_the_step_that_runs_is_known_until_it_is_over(journal: Journal) -> None:
    number = started(journal)
    running = Running(StepName.BUILD, after(1), "building them")
    journal.doing(number, running)
    assert whole(journal, number).running == running
    journal.add_step(number, StepRecord(StepName.BUILD, "ok", after(1), after(2)))
    assert whole(journal, number).running is None
    journal.doing(number, running)
    journal.end(number, Ending(A, State.ERROR), at=NOW)
    assert whole(journal, number).running is None


def test_what_a_deployment_waits_for_is_known_until_it_starts(journal: Journal) -> None:
    first, second = queued(journal, A), queued(journal, B)
    said = [Status(sha, "airflow/deploy", StatusState.PENDING, "waits for c") for sha in (A, B)]
    journal.wait_for([first, second], "c: packages change", at=NOW, statuses=said)
    for number, status in zip((first, second), said, strict=True):
        found = whole(journal, number)
        assert found.waits_for == "c: packages change"
        assert [record.status for record in found.statuses] == [status]
    journal.start(first, at=NOW, base_sha=None, covers=[A])
    journal.supersede(second, "gone", at=NOW)
    assert {whole(journal, number).waits_for for number in (first, second)} == {None}


def test_a_commit_is_in_error_until_a_later_deployment_that_holds_it_has_ended(
    journal: Journal,
) -> None:
    failed = started(journal, B, covers=(A, B))
    journal.end(failed, Ending(B, State.ERROR, reason="no git"), at=NOW)
    assert journal.in_error() == ((failed, A), (failed, B))
    again = started(journal, C, covers=(A, C))
    assert journal.in_error() == ((failed, A), (failed, B))
    journal.end(again, Ending(C, State.ERROR), at=NOW)
    assert journal.in_error() == ((failed, B), (again, A), (again, C))
    last = started(journal, C, covers=(B, C))
    journal.end(last, Ending(C, State.BROKEN), at=NOW)
    assert journal.in_error() == ((again, A),)
    for number in (again, failed):
        journal.supersede(number, "told anew", at=NOW)
    assert journal.in_error() == ()


def test_what_was_good_is_told_from_the_newest_verdict_before_a_deployment(
    journal: Journal,
) -> None:
    old, new, this = started(journal, A), started(journal, B), started(journal, C)
    bad = Verdict("dags/a/y.py", Outcome.BROKEN)
    journal.set_verdicts(old, [verdict("dags/a/x.py"), verdict("dags/a/y.py")])
    journal.set_verdicts(new, [bad])
    journal.set_verdicts(this, [replace(bad, path="dags/a/x.py")])
    paths = ["dags/a/x.py", "dags/a/y.py", "dags/a/never.py"]
    assert journal.were_good(paths, before=this) == {"dags/a/x.py"}
    assert journal.were_good(paths, before=new) == {"dags/a/x.py", "dags/a/y.py"}
    assert journal.were_good([], before=this) == frozenset()


def test_a_file_is_judged_until_it_is_told_to_be_deleted(journal: Journal) -> None:
    old, new = started(journal, A), started(journal, B)
    judged = [verdict("dags/a/x.py"), Verdict("dags/a/y.py", Outcome.BROKEN)]
    journal.set_verdicts(old, [*judged, Verdict("dags/a/z.py", Outcome.DELETED)])
    assert journal.judged() == {"dags/a/x.py", "dags/a/y.py"}
    journal.set_verdicts(new, [Verdict("dags/a/y.py", Outcome.DELETED)])
    assert journal.judged() == {"dags/a/x.py"}
    unlisted = Verdict("dags/a/x.py", Outcome.NO_DAG, proof=Proof.LISTING)
    journal.set_verdicts(started(journal, C), [unlisted])
    assert journal.judged() == frozenset()


def test_what_is_held_is_judged_by_what_airflow_said_of_it_before(journal: Journal) -> None:
    journal.set_verdicts(started(journal, A), [verdict("dags/a/x.py")])
    held = [Verdict(path, Outcome.HELD) for path in ("dags/a/help.py", "dags/a/x.py")]
    journal.set_verdicts(started(journal, B), held)
    assert journal.judged() == {"dags/a/x.py"}


def test_a_dag_id_is_that_of_the_file_whose_last_good_verdict_names_it(journal: Journal) -> None:
    x, y, z = "dags/a/x.py", "dags/b/y.py", "dags/c/z.py"
    journal.set_verdicts(started(journal, A), [verdict(x, "one", "two"), verdict(y, "three")])
    journal.set_verdicts(started(journal, B), [verdict(x, "one"), verdict(z, "three")])
    assert journal.files_of(["one", "two", "three", "four"]) == {
        "one": frozenset({x}),
        "three": frozenset({y, z}),
    }
    assert journal.files_of([]) == {}


def test_a_file_that_broke_keeps_its_dag_id_and_a_deleted_one_does_not(journal: Journal) -> None:
    broken, held, deleted = "dags/a/broken.py", "dags/b/held.py", "dags/c/deleted.py"
    journal.set_verdicts(
        started(journal, A),
        [verdict(broken, "one"), verdict(held, "two"), verdict(deleted, "three")],
    )
    journal.set_verdicts(
        started(journal, B),
        [
            verdict(broken, outcome=Outcome.BROKEN),
            verdict(held, outcome=Outcome.HELD),
            verdict(deleted, outcome=Outcome.DELETED),
        ],
    )
    assert journal.files_of(["one", "two", "three"]) == {
        "one": frozenset({broken}),
        "two": frozenset({held}),
    }


def test_an_announcement_is_answered_by_what_it_is_attached_to(journal: Journal) -> None:
    request = journal.request_deploy(None, Trigger.MANUAL)
    assert journal.answer_to(request) is None
    number = started(journal)
    journal.attach(request, number)
    assert journal.answer_to(request) == whole(journal, number)
    assert journal.answer_to(request + 1) is None


def test_a_commit_is_known_by_the_beginning_of_its_id(journal: Journal) -> None:
    announced, deployed, covered = "1a" + "0" * 38, "2b" + "0" * 38, "1b" + "0" * 38
    push(journal, "1", sha=announced)
    started(journal, deployed, covers=(covered, deployed))
    for sha in (announced, deployed, covered):
        assert journal.complete(sha[:2]) == sha
        assert journal.complete(sha) == sha
    assert journal.complete("1A0") == announced
    with pytest.raises(DeployerError, match="1 is the beginning of several commits"):
        journal.complete("1")
    assert journal.complete("3") is None
    assert journal.complete("2%") is None


# -- what the worker remembers


def test_what_is_live_is_unknown_until_said_and_after_it_is_taken_back(journal: Journal) -> None:
    assert journal.live() is None
    known = Live(
        A,
        ("dags/a/x.py", "dags/b/y.py"),
        ("dags/b/y.py", "dags/c/slow.py"),
        (("dags/d", B), ("dags/e/link.py", C)),
    )
    journal.set_live(known)
    assert journal.live() == known
    journal.set_live(None)
    assert (journal.live(), journal.stays()) == (None, known.stays)
    journal.set_live(replace(known, pending=()))
    assert journal.live() == replace(known, pending=())
    journal.set_live(Live(B))
    assert (journal.live(), journal.stays()) == (Live(B), ())
    journal.set_live(None)
    assert journal.live() is None


def test_what_the_dag_processor_died_of_is_remembered_until_somebody_asks_for_all_anew(
    journal: Journal,
) -> None:
    assert journal.condemned() == {}
    journal.condemn({"dags/a/x.py": "b1", "dags/a/y.py": "b2"}, "DataError", at=NOW)
    journal.condemn({"dags/a/x.py": "b1"}, "MemoryError", at=after(1))
    journal.condemn({"dags/a/x.py": "b3"}, "KeyError", at=after(2))
    assert journal.condemned() == {
        ("dags/a/x.py", "b1"): "MemoryError",
        ("dags/a/y.py", "b2"): "DataError",
        ("dags/a/x.py", "b3"): "KeyError",
    }
    journal.refuse("hash", Refusal("no such package"), at=NOW)
    journal.pardon()
    assert journal.condemned() == {}
    assert journal.refusals() == {}


def test_a_refusal_is_remembered_with_its_latest_reason(journal: Journal) -> None:
    assert journal.refusals() == {}
    none = Refusal("no such package")
    journal.refuse("hash", none, at=NOW)
    journal.refuse("other", none, at=NOW)
    spoils = Refusal("with it dags/lasse/cow.py no longer parses", "dags/lasse/cow.py")
    journal.refuse("hash", spoils, at=after(1))
    assert journal.refusals() == {"hash": spoils, "other": none}
    journal.lift("hash")
    journal.lift("unknown")
    assert journal.refusals() == {"other": none}


def test_the_packages_that_the_class_runs_on_are_kept_to_the_letter(journal: Journal) -> None:
    assert journal.packages() is None
    journal.set_packages("# größer\ncowsay==6.1\n")
    assert journal.packages() == "# größer\ncowsay==6.1\n"
    journal.set_packages("")
    assert journal.packages() == ""


def test_the_slots_of_emptied_pools_are_kept_until_they_have_them_back(journal: Journal) -> None:
    assert journal.drained() == {}
    slots = {"default_pool": 128, "no limit": -1, "größer/als's": 0}
    journal.set_drained(slots)
    assert journal.drained() == slots
    journal.set_drained({"default_pool": 3})
    assert journal.drained() == {"default_pool": 3}
    journal.set_drained(None)
    assert journal.drained() is None
    journal.set_drained({})
    assert journal.drained() == {}


def test_the_slots_of_emptied_pools_survive_reopening(url: str) -> None:
    first = SqlJournal.open(url, migrate=True)
    first.set_live(Live(A))
    first.set_drained({"default_pool": 128})
    first.close()
    again = SqlJournal.open(url, migrate=True)
    assert again.drained() == {"default_pool": 128}
    assert again.live() == Live(A)
    again.close()


def test_text_that_no_database_takes_is_mended(url: str) -> None:
    journal = SqlJournal.open(url, migrate=True, now=lambda: NOW)
    bad = "a\x00b\ud800"
    good = "a\ufffdb\ufffd"
    about = {"ref": bad, "after": A, "pusher": bad}
    assert journal.record_delivery(
        guid="1", event="push", result="queued", reason="", payload=about
    )
    number = started(journal)
    journal.set_plan(number, Plan(dag_files=(f"dags/x/{bad}.py",), refused=bad))
    journal.add_step(number, StepRecord(StepName.FETCH, "ok", NOW, NOW, bad))
    journal.set_verdicts(
        number,
        [Verdict(f"dags/x/{bad}", Outcome.BROKEN, error=ParseError(bad, bad, trace=bad))],
    )
    status = Status(A, "airflow/x", StatusState.FAILURE, bad)
    for _ in range(2):
        journal.owe([status], deployment=number, at=NOW)
    journal.set_live(Live(A, (bad,), (bad,)))
    found = journal.deployment(number)
    assert found is not None
    assert (found.plan.refused, found.steps[0].detail) == (good, good)
    assert found.verdicts[0].path == f"dags/x/{good}"
    assert found.verdicts[0].error == ParseError(good, good, trace=good)
    assert [one.status.description for one in journal.due(NOW, 9)] == [good]
    assert journal.live() == Live(A, (good,), (good,))
    assert journal.deployments(folder=bad) == ()
    assert journal.complete(bad) is None
    journal.close()


def test_a_new_journal_has_no_pulse(journal: Journal) -> None:
    assert journal.pulse() == Pulse(None, None, None, None, None, None, 0)


def test_a_beat_without_a_tip_keeps_the_tip(journal: Journal) -> None:
    journal.beat(at=after(1), tip=A, tip_checked_at=NOW)
    journal.beat(at=after(2))
    assert journal.pulse() == Pulse(after(2), A, NOW, NOW, None, None, 0)


def test_a_beat_tells_which_dag_processors_are_connected(journal: Journal) -> None:
    here = (ProcessorCame("one", "3.3.2"), ProcessorCame("two", "3.9.0", "it has no selector"))
    journal.beat(at=NOW, processors=here)
    journal.beat(at=after(1), tip=A, tip_checked_at=after(1))
    assert journal.pulse().processors == here
    journal.beat(at=after(2), processors=())
    assert journal.pulse().processors == ()
    assert journal.pulse().tip == A


def test_a_beat_tells_of_other_packages_until_one_says_that_they_are_gone(journal: Journal) -> None:
    journal.beat(at=NOW, drift="packages differ")
    journal.beat(at=after(1))
    assert journal.pulse().drift == "packages differ"
    journal.beat(at=after(2), drift="")
    assert journal.pulse().drift == ""


def test_a_beat_tells_of_what_was_changed_by_hand_until_one_says_that_it_is_mended(
    journal: Journal,
) -> None:
    journal.beat(at=NOW, edited="1 file was changed by hand")
    journal.beat(at=after(1), drift="packages differ")
    assert journal.pulse().edited == "1 file was changed by hand"
    journal.beat(at=after(2), edited="")
    assert (journal.pulse().edited, journal.pulse().drift) == ("", "packages differ")


def pushed_as(journal: Journal, guid: str, result: str, origin: Origin) -> None:
    payload = {"ref": REF, "after": A, **asdict(origin)} if result == "queued" else {}
    journal.record_delivery(guid=guid, event="push", result=result, reason="", payload=payload)


def test_the_pulse_tells_when_the_newest_delivery_came(journal: Journal) -> None:
    assert journal.pulse().delivered_at is None
    pushed_as(journal, "1", "ignored", Origin(None, "a/new", "a/old"))
    assert journal.pulse().delivered_at == NOW


def test_the_pulse_tells_where_the_newest_accepted_push_came_from(journal: Journal) -> None:
    old, new = Origin(2**63 - 1, "a/old", "a/old"), Origin(None, "a/new", "a/old")
    pushed_as(journal, "1", "ignored", new)
    assert journal.pulse().pushed is None
    pushed_as(journal, "2", "queued", old)
    pushed_as(journal, "3", "ignored", new)
    journal.request_deploy(B, Trigger.MANUAL)
    assert journal.pulse().pushed == old
    pushed_as(journal, "1", "queued", new)  # redelivered, and by now ours
    assert journal.pulse().pushed == new


def test_a_push_that_does_not_tell_its_repository_leaves_it_unknown(journal: Journal) -> None:
    push(journal, "1")
    assert journal.pulse().pushed is None


def test_what_is_live_is_behind_since_the_first_of_the_tips_after_it(journal: Journal) -> None:
    journal.set_live(Live(A))
    journal.beat(at=NOW, tip=A, tip_checked_at=NOW)
    journal.beat(at=after(60), tip=B, tip_checked_at=after(59))
    assert journal.pulse().tip_since == after(59)
    journal.beat(at=after(120), tip=C, tip_checked_at=after(119))
    assert journal.pulse().tip_since == after(59)
    assert journal.pulse().tip_checked_at == after(119)


def test_a_step_towards_the_tip_counts_though_others_have_come(journal: Journal) -> None:
    journal.beat(at=NOW, tip=A, tip_checked_at=NOW)
    number = started(journal)
    journal.beat(at=after(60), tip=B, tip_checked_at=after(60))
    journal.end(number, Ending(A, State.SUCCEEDED), at=after(90), live=Live(A))
    assert journal.pulse().tip_since == after(90)


def test_a_tip_that_is_deployed_once_more_was_not_behind_before(journal: Journal) -> None:
    journal.set_live(Live(A))
    journal.beat(at=NOW, tip=A, tip_checked_at=NOW)
    journal.beat(at=after(60), tip=A, tip_checked_at=after(60))
    journal.set_live(None)
    journal.beat(at=after(70), tip=A, tip_checked_at=after(70))
    assert journal.pulse().tip_since == after(60)


def test_the_pulse_tells_what_is_live_and_owed(journal: Journal) -> None:
    number = started(journal)
    journal.set_live(Live(C, ("dags/a/x.py",)))
    journal.owe([status(context="one")], deployment=number, at=after(5))
    journal.owe([status(context="two"), status(context="six")], deployment=number, at=after(8))
    pulse = journal.pulse()
    assert (pulse.live_sha, pulse.oldest_owed, pulse.owed) == (C, after(5), 3)


# -- the outbox


def test_statuses_are_due_in_the_order_they_were_owed(journal: Journal) -> None:
    number = started(journal)
    owed = [status(context=f"airflow/{name}") for name in ("z", "a", "m")]
    journal.owe(owed, deployment=number, at=NOW)
    assert words(journal) == owed
    assert [one.status for one in journal.due(NOW)] == owed[:1]
    assert [(one.attempts, one.owed_since) for one in due(journal)] == [(0, NOW)] * 3


def test_the_first_in_each_line_are_all_that_is_read_of_a_backlog(journal: Journal) -> None:
    owed = []
    for sha in (B, C, A):
        number = started(journal, sha)
        for context, state in itertools.product(
            ("airflow/zoe", "airflow/Deploy", "airflow/anna"), StatusState
        ):
            name = context if context == "airflow/Deploy" else f"{context}-{state}"
            owed.append(status(state, sha=sha, context=name))
        journal.owe(owed[-12:], deployment=number, at=NOW)
    everything = due(journal)
    assert {one.tip for one in everything} == {1, 2, 3}
    for limit in (1, 3, 20):
        lines = (sorted(everything, key=order)[:limit] for order in (urgency, patience))
        first = list(dict.fromkeys(one for line in lines for one in line))
        assert list(journal.due(NOW, limit)) == first


def test_a_commit_that_is_named_again_is_the_newest_tip(journal: Journal) -> None:
    for sha in (A, B):
        number = started(journal, sha)
        journal.owe([status(StatusState.SUCCESS, sha=sha)], deployment=number, at=NOW)
    assert journal.due(NOW)[0].status.sha == B
    queued(journal, A)
    assert journal.due(NOW)[0].status.sha == A


def test_a_retry_that_another_clock_put_off_is_due(journal: Journal) -> None:
    journal.owe([PENDING], deployment=started(journal), at=after(3600))
    assert words(journal, NOW) == [PENDING]


def test_what_was_posted_lately_is_known_oldest_first(journal: Journal) -> None:
    number = started(journal)
    journal.owe([status(context=name) for name in "abcd"], deployment=number, at=NOW)
    for second, owed in zip((4, 1, 3, 2), due(journal), strict=True):
        journal.posted(owed.id, at=after(second), target_url=None)
    assert journal.posted_since(after(1), 9) == (after(2), after(3), after(4))
    assert journal.posted_since(NOW, 2) == (after(3), after(4))


def test_githubs_word_on_when_to_come_back_is_kept(journal: Journal) -> None:
    assert journal.closed() is None
    journal.owe([PENDING], deployment=started(journal), at=NOW)
    (one,) = due(journal)
    journal.try_again(one.id, due_at=NOW, error="rate limit", closed=Closed(NOW, 90.5))
    journal.try_again(one.id, due_at=NOW, error="a timeout")
    assert journal.closed() == Closed(NOW, 90.5)


def test_a_status_is_not_due_before_its_time(journal: Journal) -> None:
    journal.owe([PENDING], deployment=started(journal), at=after(1))
    assert words(journal, NOW) == []
    assert words(journal, after(1)) == [PENDING]


def test_a_posted_status_is_no_longer_owed(journal: Journal) -> None:
    number = started(journal)
    journal.owe([PENDING], deployment=number, at=NOW)
    assert whole(journal, number).statuses == (StatusRecord(PENDING),)
    journal.posted(due(journal)[0].id, at=after(1), target_url="https://x.example/1")
    assert due(journal, after(99)) == ()
    assert whole(journal, number).statuses == (
        StatusRecord(PENDING, "https://x.example/1", posted_at=after(1), attempts=1),
    )


def test_a_refused_status_is_no_longer_owed_and_says_why(journal: Journal) -> None:
    number = started(journal)
    journal.owe([PENDING], deployment=number, at=NOW)
    journal.refused(due(journal)[0].id, error="No commit found for SHA")
    assert due(journal, after(99)) == ()
    (record,) = whole(journal, number).statuses
    assert (record.posted_at, record.attempts) == (None, 1)
    assert record.error == "No commit found for SHA"


def test_a_status_to_be_tried_again_waits_and_counts(journal: Journal) -> None:
    number = started(journal)
    other = status(context="airflow/lasse")
    journal.owe([PENDING, other], deployment=number, at=NOW)
    _, second = due(journal)
    journal.try_again(second.id, due_at=after(60), error="502")
    assert words(journal) == [PENDING]
    assert words(journal, after(60)) == [PENDING, other]
    assert [owed.attempts for owed in due(journal, after(60))] == [0, 1]
    assert whole(journal, number).statuses[1].error == "502"
    journal.posted(second.id, at=after(61), target_url=None)
    record = whole(journal, number).statuses[1]
    assert (record.attempts, record.error) == (2, None)


def test_a_status_that_replaces_an_owed_one_keeps_its_place_and_age(journal: Journal) -> None:
    number = started(journal)
    other = status(context="airflow/lasse")
    journal.owe([PENDING, other], deployment=number, at=NOW)
    journal.owe([SUCCESS], deployment=number, at=after(5))
    assert words(journal, after(5)) == [SUCCESS, other]
    assert due(journal, after(5))[0].owed_since == NOW
    assert journal.pulse().owed == 2


def test_a_replacement_need_not_wait_out_the_retries_of_what_it_replaced(
    journal: Journal,
) -> None:
    number = started(journal)
    journal.owe([PENDING], deployment=number, at=NOW)
    journal.try_again(due(journal)[0].id, due_at=after(60), error="502")
    journal.owe([SUCCESS], deployment=number, at=after(5))
    (one,) = due(journal, after(5))
    assert (one.status, one.attempts, one.deployment) == (SUCCESS, 0, number)


def test_contexts_that_differ_in_case_are_one(journal: Journal) -> None:
    number = started(journal)
    journal.owe([status(context="airflow/Lasse")], deployment=number, at=NOW)
    later = status(StatusState.SUCCESS, context="airflow/lasse")
    journal.owe([later], deployment=number, at=NOW)
    assert words(journal) == [later]


def test_the_last_of_several_in_one_call_is_owed(journal: Journal) -> None:
    journal.owe([PENDING, SUCCESS], deployment=started(journal), at=NOW)
    assert words(journal) == [SUCCESS]


def test_what_was_said_last_is_not_said_again(journal: Journal) -> None:
    number = started(journal)
    journal.owe([PENDING], deployment=number, at=NOW)
    journal.owe([PENDING], deployment=number, at=NOW)
    assert words(journal) == [PENDING]
    journal.posted(due(journal)[0].id, at=NOW, target_url=None)
    journal.owe([PENDING], deployment=number, at=NOW)
    assert words(journal) == []


def test_what_was_said_before_something_else_is_said_again(journal: Journal) -> None:
    number = started(journal)
    broken = status(StatusState.FAILURE)
    for said in (broken, SUCCESS):
        journal.owe([said], deployment=number, at=NOW)
        journal.posted(due(journal)[0].id, at=NOW, target_url=None)
    journal.owe([broken], deployment=number, at=NOW)
    assert words(journal) == [broken]


def test_a_pending_that_a_verdict_overtook_is_not_owed(journal: Journal) -> None:
    number = started(journal)
    journal.owe([SUCCESS], deployment=number, at=NOW)
    again = started(journal)
    journal.owe([PENDING], deployment=again, at=NOW)
    assert words(journal) == [SUCCESS]
    journal.posted(due(journal)[0].id, at=NOW, target_url=None)
    journal.owe([PENDING], deployment=again, at=NOW)
    assert words(journal) == []
    assert whole(journal, again).statuses == ()


def test_the_same_state_with_other_words_is_said(journal: Journal) -> None:
    number = started(journal)
    journal.owe([PENDING], deployment=number, at=NOW)
    journal.posted(due(journal)[0].id, at=NOW, target_url=None)
    other = status(StatusState.PENDING, "deploying")
    journal.owe([other], deployment=number, at=NOW)
    assert words(journal) == [other]


def test_what_was_refused_was_not_said(journal: Journal) -> None:
    number = started(journal)
    journal.owe([PENDING], deployment=number, at=NOW)
    journal.refused(due(journal)[0].id, error="no permission")
    journal.owe([PENDING], deployment=number, at=NOW)
    assert words(journal) == [PENDING]


def test_a_status_replaced_on_its_way_to_github_leaves_the_new_one_owed(journal: Journal) -> None:
    number = started(journal)
    journal.owe([PENDING], deployment=number, at=NOW)
    (on_its_way,) = due(journal)
    journal.owe([SUCCESS], deployment=number, at=NOW)
    journal.posted(on_its_way.id, at=NOW, target_url=None)
    assert words(journal) == [SUCCESS]


def test_not_now_for_a_replaced_status_holds_the_new_one_back(journal: Journal) -> None:
    number = started(journal)
    journal.owe([PENDING], deployment=number, at=NOW)
    (on_its_way,) = due(journal)
    journal.owe([SUCCESS], deployment=number, at=NOW)
    journal.try_again(on_its_way.id, due_at=after(30), error="rate limit")
    assert words(journal, after(29)) == []
    assert words(journal, after(30)) == [SUCCESS]


def test_the_order_of_one_commits_context_never_inverts(journal: Journal) -> None:
    number = started(journal)
    sent: list[Status] = []
    states = list(StatusState)
    for step in range(24):
        journal.owe([status(states[step % 4], str(step))], deployment=number, at=after(step))
        for owed in due(journal, after(step)):
            if step % 3 == 0:
                journal.try_again(owed.id, due_at=after(step + 2), error="502")
            else:
                sent.append(owed.status)
                journal.posted(owed.id, at=after(step), target_url=None)
    numbers = [int(one.description) for one in sent]
    assert numbers == sorted(numbers)
    assert len(numbers) > 5


def test_a_status_that_is_not_there_cant_be_settled(journal: Journal) -> None:
    with pytest.raises(JournalError):
        journal.posted(5, at=NOW, target_url=None)
    with pytest.raises(JournalError):
        journal.refused(5, error="")
    with pytest.raises(JournalError):
        journal.try_again(5, due_at=NOW, error="")


def test_a_deployment_shows_its_last_word_on_each_commit_and_context(journal: Journal) -> None:
    number = started(journal, B, covers=(A, B))
    contexts = [(A, "airflow/deploy"), (B, "airflow/deploy"), (A, "airflow/lasse")]
    for state in (StatusState.PENDING, StatusState.FAILURE):
        journal.owe(
            [status(state, sha=sha, context=context) for sha, context in contexts],
            deployment=number,
            at=NOW,
        )
        if state is StatusState.PENDING:
            journal.posted(due(journal)[0].id, at=NOW, target_url=None)
    shown = whole(journal, number).statuses
    assert [(record.status.sha, record.status.context) for record in shown] == contexts
    assert {record.status.state for record in shown} == {StatusState.FAILURE}
    assert {record.posted_at for record in shown} == {None}


def test_a_status_replaced_by_a_later_deployment_is_shown_by_both(journal: Journal) -> None:
    first, later = started(journal, A), started(journal, B, covers=(A, B))
    journal.owe([PENDING], deployment=first, at=NOW)
    journal.owe([SUCCESS], deployment=later, at=NOW)
    for number in (first, later):
        assert [record.status for record in whole(journal, number).statuses] == [SUCCESS]


def test_a_posted_status_stays_its_deployments_own(journal: Journal) -> None:
    first, later = started(journal, A), started(journal, B, covers=(A, B))
    journal.owe([PENDING], deployment=first, at=NOW)
    journal.posted(due(journal)[0].id, at=NOW, target_url=None)
    journal.owe([SUCCESS], deployment=later, at=NOW)
    assert [record.status for record in whole(journal, first).statuses] == [PENDING]
    assert [record.status for record in whole(journal, later).statuses] == [SUCCESS]


def test_a_deployment_that_repeats_what_was_said_shows_it(journal: Journal) -> None:
    first, again = started(journal), started(journal)
    journal.owe([SUCCESS], deployment=first, at=NOW)
    journal.posted(due(journal)[0].id, at=after(1), target_url=None)
    journal.end(again, Ending(A, State.SUCCEEDED), at=after(2), statuses=[SUCCESS])
    (record,) = whole(journal, again).statuses
    assert (record.status, record.posted_at) == (SUCCESS, after(1))


def test_a_deployment_that_cant_end_owes_nothing(journal: Journal) -> None:
    number = started(journal)
    with pytest.raises(JournalError):
        journal.end(number, Ending(A, State.SUCCEEDED), at=NOW, statuses=[SUCCESS], supersedes=[99])
    assert whole(journal, number).state is State.RUNNING
    assert words(journal) == []


def test_what_a_commit_was_last_said_to_be_is_known_by_context(journal: Journal) -> None:
    number = started(journal, A)
    for state in (StatusState.PENDING, StatusState.FAILURE):
        journal.owe([Status(A, "airflow/Deploy", state, "words")], deployment=number, at=NOW)
    assert journal.shown(A, "airflow/deploy") is StatusState.FAILURE
    assert journal.shown(A, "airflow/lasse") is None
    assert journal.shown(B, "airflow/deploy") is None


def test_the_contexts_without_a_verdict_of_a_commit_are_known(journal: Journal) -> None:
    number = started(journal, A)
    for context, *states in (
        ("airflow/deploy", StatusState.PENDING, StatusState.SUCCESS),
        ("airflow/Lasse", StatusState.PENDING),
        ("airflow/maria", StatusState.PENDING, StatusState.ERROR),
        ("airflow/ida", StatusState.FAILURE),
    ):
        for state in states:
            journal.owe([Status(A, context, state, "words")], deployment=number, at=NOW)
    assert journal.open_contexts(A) == ("airflow/Lasse", "airflow/maria")
    assert journal.open_contexts(B) == ()


# -- what is old


def ended_one(
    journal: Journal,
    sha: str,
    *verdicts: Verdict,
    state: State = State.SUCCEEDED,
    owe: bool = False,
) -> int:
    """Announce, deploy and end, with a status that GitHub has unless it is to be owed."""
    push(journal, sha, sha=sha)
    number = started(journal, sha)
    journal.attach(journal.unseen()[0].id, number)
    said = status(StatusState.SUCCESS, sha=sha)
    journal.end(number, Ending(sha, state, verdicts=verdicts), at=NOW, statuses=[said])
    if not owe:
        journal.posted(due(journal)[-1].id, at=NOW, target_url=None)
    return number


def judged_since(journal: Journal, path: str) -> None:
    ending = Ending(C, State.SUCCEEDED, verdicts=(verdict(path),))
    journal.end(started(journal, C), ending, at=after(9))


def test_what_ended_long_ago_is_removed_with_all_that_hangs_on_it(journal: Journal) -> None:
    old, new = ended_one(journal, A, verdict("dags/l/a.py")), ended_one(journal, B)
    judged_since(journal, "dags/l/a.py")
    assert journal.prune(after(5)) == 2
    assert journal.deployment(old) is None
    assert journal.deployment(new) is None
    assert (journal.heard(A), journal.shown(A, "airflow/deploy")) == ((), None)
    assert len(journal.deployments()) == 1
    assert journal.prune(after(5)) == 0


def test_a_verdict_that_stands_keeps_its_deployment(journal: Journal) -> None:
    number = ended_one(journal, A, verdict("dags/l/a.py"), verdict("dags/l/b.py"))
    judged_since(journal, "dags/l/a.py")
    assert journal.prune(after(5)) == 0
    assert journal.deployment(number) is not None


@pytest.mark.parametrize("gone", [Outcome.DELETED, Outcome.NO_DAG])
def test_a_file_that_airflow_looks_at_no_more_keeps_nothing(
    journal: Journal, gone: Outcome
) -> None:
    ended_one(journal, A, verdict("dags/l/a.py"))
    ended_one(journal, B, Verdict("dags/l/a.py", gone, proof=Proof.LISTING))
    assert journal.prune(after(5)) == 2


def test_what_is_live_owed_in_error_or_not_over_is_kept_however_old(journal: Journal) -> None:
    ended_one(journal, A)
    journal.set_live(Live(A))
    ended_one(journal, B, state=State.ERROR)
    ended_one(journal, C, owe=True)
    started(journal, "d" * 40)
    assert journal.prune(after(5)) == 0
    assert len(journal.deployments()) == 4


def test_what_was_said_of_the_live_commit_is_kept_whoever_said_it(journal: Journal) -> None:
    ended_one(journal, A)
    journal.set_live(Live(A))
    late = queued(journal, A)
    journal.supersede(late, "live already", at=NOW, statuses=[status(StatusState.SUCCESS, sha=A)])
    for owed in due(journal):
        journal.posted(owed.id, at=NOW, target_url=None)
    assert journal.prune(after(5)) == 0
    assert journal.deployment(late) is not None


def test_old_deliveries_are_removed_and_can_come_anew(journal: Journal) -> None:
    ignored(journal, "1")
    push(journal, "2")
    journal.prune(after(5))
    assert journal.heard("1") == ()
    assert ignored(journal, "1")
    assert not push(journal, "2")


def test_a_commit_without_an_end_is_stranded_once_nobody_works_on_it(journal: Journal) -> None:
    push(journal, "one", sha=A)
    assert journal.audit(NOW) == Audit()
    number = started(journal, B, covers=(B, A))
    journal.attach(journal.unseen()[0].id, number)
    journal.owe([Status(B, "airflow/lasse", StatusState.PENDING, "")], deployment=number, at=NOW)
    assert journal.audit(NOW) == Audit(owed=1)
    journal.supersede(number, "lost", at=NOW)
    assert journal.audit(NOW) == Audit(stranded=(A, B), owed=1)
    said = [status(StatusState.ERROR, sha=A), Status(B, "airflow/Lasse", StatusState.SUCCESS, "")]
    journal.owe(said, deployment=number, at=NOW)
    assert journal.audit(NOW) == Audit(owed=2)


def test_a_push_that_was_told_nothing_is_stranded_for_a_day(journal: Journal) -> None:
    number = ended_one(journal, B)
    push(journal, "one", sha=A)
    journal.attach(journal.unseen()[0].id, number)
    assert journal.audit(NOW).stranded == (A,)
    assert journal.audit(NOW + timedelta(days=2)).stranded == ()


def test_what_is_live_is_unjudged_unless_a_deployment_judged_it(journal: Journal) -> None:
    number = started(journal, A)
    journal.set_live(Live(A))
    assert journal.audit(NOW).unjudged is None
    journal.end(number, Ending(A, State.ERROR), at=NOW)
    assert journal.audit(NOW).unjudged == A
    journal.set_live(Live(A, pending=("dags/l/a.py",)))
    assert journal.audit(NOW).unjudged is None


def test_all_is_counted(journal: Journal) -> None:
    ended_one(journal, A)
    journal.end(started(journal, B), Ending(B, State.BROKEN), at=after(2))
    queued(journal, C)
    ignored(journal, "1")
    assert journal.tally() == Tally(
        {State.SUCCEEDED: 1, State.BROKEN: 1, State.QUEUED: 1},
        {"queued": 1, "ignored": 1},
        (0.0, 2.0),
    )


# -- who may see it


def test_the_key_of_links_is_made_with_the_journal_and_stays(journal: Journal) -> None:
    key = journal.link_key()
    assert len(key) == 64
    assert journal.link_key() == key
    assert FakeJournal().link_key() != key


def test_another_key_of_links_can_be_set(journal: Journal) -> None:
    journal.set_link_key("another")
    assert journal.link_key() == "another"


def test_who_was_not_admitted_is_not_let_in(journal: Journal) -> None:
    journal.admit("f1", at=NOW, until=after(60))
    assert not journal.admitted("f2", NOW)
    assert not journal.exchange("f2", "f3", at=NOW, until=after(60))
    assert not journal.admitted("f3", NOW)


def test_who_was_admitted_is_let_in_until_his_time_is_over(journal: Journal) -> None:
    journal.admit("f1", at=NOW, until=after(60))
    assert journal.admitted("f1", after(59))
    assert not journal.admitted("f1", after(60))
    assert not journal.exchange("f1", "f2", at=after(60), until=after(90))


def test_who_was_admitted_for_good_is_let_in_while_others_come_and_go(journal: Journal) -> None:
    journal.admit("f1", at=NOW, until=None)
    journal.admit("f2", at=NOW, until=after(1))
    journal.admit("f3", at=after(10**9), until=None)
    assert journal.admitted("f1", after(10**9))


def test_what_lets_in_once_is_exchanged_once(journal: Journal) -> None:
    journal.admit("once", at=NOW, until=after(600))
    assert journal.exchange("once", "f1", at=NOW, until=after(60))
    assert not journal.exchange("once", "f2", at=NOW, until=after(60))
    assert not journal.admitted("once", NOW)
    assert [journal.admitted(name, after(59)) for name in ("f1", "f2")] == [True, False]
    assert not journal.admitted("f1", after(60))


def test_all_who_were_admitted_are_let_in_no_more_when_that_is_revoked(journal: Journal) -> None:
    journal.admit("f1", at=NOW, until=None)
    journal.admit("f2", at=NOW, until=after(60))
    key = journal.link_key()
    assert journal.revoke() == 2
    assert not any(journal.admitted(name, NOW) for name in ("f1", "f2"))
    assert journal.revoke() == 0
    assert journal.link_key() == key


# -- what the teacher is told


def test_a_class_stands_as_its_newest_ended_deployment_left_it(journal: Journal) -> None:
    assert journal.standing() == ClassStanding()
    live = _queued(journal, A)
    journal.start(live, at=NOW, base_sha=None, covers=[A])
    ending = Ending(
        A, State.BROKEN, refused="nothing of that name", verdicts=(_bad("dags/a/x.py"),)
    )
    journal.end(live, ending, at=after(2))
    failed = _queued(journal, B)
    journal.start(failed, at=after(3), base_sha=A, covers=[B])
    journal.end(failed, Ending(B, State.ERROR, reason="no Docker"), at=after(4))
    passed = _queued(journal, C)
    journal.supersede(passed, "part of another", at=after(5))
    assert journal.standing() == ClassStanding(
        deployment=failed,
        sha=B,
        state=State.ERROR,
        reason="no Docker",
        refused="nothing of that name",
        red=(_bad("dags/a/x.py"),),
    )


def test_a_file_is_red_until_a_newer_verdict_of_an_ended_deployment(journal: Journal) -> None:
    first = _queued(journal, A)
    journal.start(first, at=NOW, base_sha=None, covers=[A])
    both = (_bad("dags/a/x.py"), _bad("dags/b/y.py"))
    journal.end(first, Ending(A, State.BROKEN, verdicts=both), at=after(1))
    second = _queued(journal, B)
    journal.start(second, at=after(2), base_sha=A, covers=[B])
    good = (Verdict("dags/a/x.py", Outcome.PARSED),)
    journal.set_verdicts(second, good)
    assert journal.standing().red == both
    journal.end(second, Ending(B, State.SUCCEEDED, verdicts=good), at=after(3))
    assert journal.standing().red == both[1:]


def test_what_is_held_is_red_until_it_is_live_though_it_gets_no_verdict_then(
    journal: Journal,
) -> None:
    helper, ignores = "dags/a/help.py", "dags/a/.airflowignore"
    both = tuple(Verdict(path, Outcome.HELD, error=_bad("").error) for path in (ignores, helper))
    first = _queued(journal, A)
    journal.start(first, at=NOW, base_sha=None, covers=[A])
    journal.set_plan(first, Plan(left_out=(LeftOut(ignores, "it is UTF-16"),)))
    held = Live(A, held=(helper,))
    journal.end(first, Ending(A, State.BROKEN, verdicts=both), at=after(1), live=held)
    assert journal.standing().red == both
    second = _queued(journal, B)
    journal.start(second, at=after(2), base_sha=A, covers=[B])
    journal.end(second, Ending(B, State.SUCCEEDED), at=after(3), live=Live(B))
    assert journal.standing().red == ()
    journal.set_live(None)
    assert journal.standing().red == both


def test_by_which_claim_a_file_is_held_is_known_until_something_else_is_told_of_it(
    journal: Journal,
) -> None:
    mine, hers = "dags/a/x.py", "dags/b/y.py"
    claims = (Duplicate(mine, "x", hers, both=True), Duplicate(hers, "x", mine, both=True))
    both = tuple(Verdict(path, Outcome.HELD) for path in (mine, hers))
    journal.end(
        started(journal, A),
        Ending(A, State.BROKEN, verdicts=both, duplicates=claims),
        at=after(1),
    )
    assert set(journal.duplicates([mine, hers, "dags/c/z.py"])) == set(claims)
    assert journal.duplicates([mine]) == claims[:1]
    assert journal.duplicates([]) == ()
    journal.set_verdicts(started(journal, B), [verdict(mine)])
    assert journal.duplicates([mine, hers]) == claims[1:]


def test_more_is_asked_for_than_one_statement_can_name(journal: Journal) -> None:
    names = [f"dags/a/x{number}.py" for number in range(70_000)]
    first, last = names[0], names[-1]
    claims = (Duplicate(first, "x", last), Duplicate(last, "x", first))
    held = tuple(Verdict(path, Outcome.HELD) for path in (first, last))
    known = started(journal, A)
    journal.end(known, Ending(A, State.BROKEN, verdicts=held, duplicates=claims), at=after(1))
    assert set(journal.duplicates(names)) == set(claims)
    both = [verdict(first, "one"), verdict(last, names[-1])]
    judged = started(journal, B)
    journal.set_verdicts(judged, both)
    assert journal.were_good(names, before=judged + 1) == {first, last}
    assert journal.files_of(names) == {last: frozenset({last})}


def test_a_delivery_is_told_that_it_failed_while_github_waits(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound_s = deliveries.WAIT_S
    monkeypatch.setattr(deliveries, "WAIT_S", 0.2)
    engine = create_engine(url)
    lock = "LOCK TABLE deliveries" if url.startswith("postgresql") else "BEGIN IMMEDIATE"
    with closing(SqlJournal.open(url, migrate=True, now=lambda: NOW)) as journal:
        with engine.connect() as other:
            other.exec_driver_sql(lock)
            began = time.monotonic()
            with pytest.raises(JournalError, match=r"has been writing|statement timeout"):
                push(journal, "1")
            assert time.monotonic() - began < bound_s
        engine.dispose()
        assert push(journal, "1")


def test_the_oldest_push_without_an_end_waits(journal: Journal) -> None:
    number = _queued(journal, A)
    journal.queue(B, base_sha=A, ref=REF, trigger=Trigger.WEBHOOK, at=after(9))
    assert journal.standing().waits == (A, NOW)
    journal.supersede(number, "another", at=after(10))
    assert journal.standing().waits == (B, after(9))


def test_a_push_that_no_worker_has_seen_waits(journal: Journal) -> None:
    journal.request_deploy(A, Trigger.MANUAL)
    assert journal.standing().waits == (A, NOW)


def _queued(journal: Journal, sha: str) -> int:
    return journal.queue(sha, base_sha=None, ref=REF, trigger=Trigger.WEBHOOK, at=NOW)


def _bad(path: str) -> Verdict:
    return Verdict(path, Outcome.BROKEN, error=ParseError("NameError", "no dag", line=3))
