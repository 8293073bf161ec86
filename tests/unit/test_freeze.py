"""While somebody has frozen deployments nothing moves or is lost, and each commit says why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from deployer.core.airflow_version import BY
from deployer.core.model import Deployment, Freeze, Live, State, StatusState, Trigger
from deployer.core.reporting.commit_status import Commit, frozen
from deployer.core.reporting.render import freeze_as_json
from deployer.deployment.publication import GoLive
from deployer.errors import AirflowError, GitError, JournalError, NotNow
from tests.fakes.world import World

TAXI, WEATHER = "dags/lasse/taxi.py", "dags/maria/weather.py"
NOW = datetime(2026, 3, 1, 9, 15, tzinfo=UTC)
SAYS = ("pending", "frozen: exam")


class Killed(BaseException):
    """The process dies: no handler of the deployer's runs."""


def die(*_: object, **__: object) -> None:
    raise Killed


@pytest.fixture
def world() -> World:
    world = World()
    world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    return world


# --- the value -------------------------------------------------------------


def test_a_freeze_without_an_end_holds() -> None:
    freeze = Freeze("exam", "lasse", NOW)
    assert freeze.holds(NOW + timedelta(days=900))
    assert freeze.words == "exam"
    assert freeze_as_json(freeze) == {
        "why": "exam",
        "by": "lasse",
        "since": "2026-03-01T09:15:00.000Z",
        "until": None,
    }


def test_a_freeze_holds_until_its_time() -> None:
    freeze = Freeze("exam", "lasse", NOW, NOW + timedelta(hours=1))
    assert freeze.holds(NOW + timedelta(minutes=59))
    assert not freeze.holds(NOW + timedelta(hours=1))
    assert freeze.words == "exam, until 2026-03-01 10:15 UTC"


def test_a_long_reason_is_cut_in_the_status() -> None:
    status = frozen(Commit("a" * 40), Freeze("exam " * 40, "lasse", NOW))
    assert (status.context, status.state) == ("airflow/deploy", StatusState.PENDING)
    assert len(status.description) == 140


# --- reconciling -----------------------------------------------------------


def test_what_is_pushed_while_frozen_waits_and_says_why(world: World) -> None:
    live = world.journal.live()
    world.freeze()
    sha = world.announced(TAXI)
    assert world.reconciler.reconcile() is None
    assert world.journal.live() == live
    assert world.state(sha) is State.QUEUED
    assert world.said(sha) == {"airflow/deploy": SAYS}
    assert world.judging(sha).waits_for == "the end of a freeze: exam"


def test_what_was_queued_before_the_freeze_says_why_it_waits_too(world: World) -> None:
    sha = world.announced(TAXI)
    world.reconciler.take_in()
    assert world.said(sha)["airflow/deploy"][1] == "on its way to Airflow"
    world.freeze()
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == SAYS


def test_another_reason_is_told_to_those_that_wait(world: World) -> None:
    world.freeze()
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    world.freeze("repairs", for_s=3600)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][1] == "frozen: repairs, until 2026-03-01 10:00 UTC"


def test_a_push_that_nobody_delivered_says_it_too_and_once(world: World) -> None:
    world.freeze()
    sha = world.push(TAXI)
    world.reconciler.reconcile()
    world.worker().reconcile()
    world.deliver(sha)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == SAYS
    (row,) = world.journal.unfinished()
    assert row.trigger is Trigger.POLL


def test_unfreezing_deploys_the_tip_and_answers_all_that_waited(world: World) -> None:
    world.freeze()
    shas = [world.announced(TAXI), world.announced(WEATHER)]
    world.reconciler.reconcile()
    world.unfreeze()
    assert world.reconciler.take_in()
    world.reconciler.reconcile()
    assert world.journal.live() == Live(shas[1])
    assert [world.said(sha)["airflow/deploy"][0] for sha in shas] == ["success", "success"]
    assert world.journal.unfinished() == ()


def test_its_time_ends_a_freeze_by_itself(world: World) -> None:
    world.freeze(for_s=60)
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    world.clock.sleep(60)
    assert world.reconciler.take_in()
    world.reconciler.reconcile()
    assert world.journal.live() == Live(sha)


def test_a_freeze_wakes_the_worker_once(world: World) -> None:
    world.freeze()
    assert world.reconciler.take_in()
    assert not world.reconciler.take_in()


def test_a_request_of_before_the_freeze_is_kept_and_answered_once(world: World) -> None:
    request = world.request()
    world.freeze()
    world.reconciler.reconcile()
    assert world.journal.answer_to(request) is None
    world.unfreeze()
    world.reconciler.reconcile()
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert answer.state is State.SUCCEEDED
    assert world.journal.unseen() == ()


def test_a_commit_that_was_answered_before_keeps_its_verdict(world: World) -> None:
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    world.freeze()
    world.deliver(sha)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "success"


def test_what_waits_while_frozen_does_not_end_when_git_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.freeze()
    sha = world.announced(TAXI)
    with monkeypatch.context() as patch:
        patch.setattr(
            world.repository, "fetch", lambda: (_ for _ in ()).throw(GitError("no route"))
        )
        assert world.reconciler.reconcile() is not None
    assert world.state(sha) is State.QUEUED
    assert world.said(sha)["airflow/deploy"] == SAYS


@pytest.mark.parametrize("method", ["queue", "wait_for", "attach"])
def test_a_worker_that_dies_while_frozen_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    world.freeze()
    sha = world.announced(TAXI)
    with monkeypatch.context() as patch:
        patch.setattr(world.journal, method, die)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    again = world.worker()
    again.reconcile()
    assert world.said(sha)["airflow/deploy"] == SAYS
    assert [row.sha for row in world.journal.unfinished()] == [sha]
    assert world.journal.unseen() == ()
    world.unfreeze()
    again.reconcile()
    assert world.journal.live() == Live(sha)


# --- what was begun before -------------------------------------------------


def test_slow_files_get_their_verdicts_while_frozen(world: World) -> None:
    world.feed.slow = {TAXI: 60}
    first = world.announced(TAXI)
    later: list[str] = []

    def freeze_and_push() -> None:
        world.freeze()
        later.append(world.announced(WEATHER))
        world.reconciler.take_in()

    world.feed.while_waiting = [freeze_and_push]
    for _ in range(50):
        wait_s = world.reconciler.reconcile()
        if wait_s is None:
            break
        world.clock.sleep(wait_s)
    assert world.said(first)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert world.state(first) is State.SUCCEEDED
    assert world.said(later[0])["airflow/deploy"] == SAYS
    assert world.journal.live() == Live(first)


def test_a_deployment_that_died_before_the_freeze_is_finished_and_nothing_newer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    covered, begun = world.announced(WEATHER), world.announced(TAXI)
    with monkeypatch.context() as patch:
        patch.setattr(world.releases, "publish", die)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    world.freeze()
    later = world.announced(WEATHER)
    reconciler = world.worker()
    reconciler.reconcile()
    reconciler.reconcile()
    assert world.journal.live() == Live(begun)
    assert world.state(begun) is State.SUCCEEDED
    assert world.said(covered)["airflow/deploy"][0] == "success"
    assert world.said(later)["airflow/deploy"] == SAYS


@pytest.mark.parametrize("then", ["it stays so", "it is set forward"])
def test_a_way_back_that_a_worker_died_in_before_the_freeze_is_answered(
    world: World, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    older = world.announced(TAXI)
    world.reconciler.reconcile()
    newer = world.announced(WEATHER)
    world.reconciler.reconcile()
    world.repository.tip = older
    world.deliver(older, newer, forced=True)
    with monkeypatch.context() as patch:
        patch.setattr(world.journal, "set_plan", die)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    world.freeze()
    if then == "it is set forward":
        world.repository.tip = newer
    reconciler = world.worker()
    for _ in range(3):
        reconciler.reconcile()
    assert "pending" not in {state for state, _ in world.said(older).values()}
    live = world.journal.live()
    assert live is not None
    assert live.sha == world.repository.tip


def cut_short(world: World) -> tuple[str, str]:
    """Push a slow file, and another while it is examined; return both, the first cut short."""
    newer: list[str] = []

    def other() -> None:
        newer.append(world.announced(WEATHER))
        world.reconciler.take_in()

    world.examiner.slow[TAXI] = 600.0
    older = world.announced(TAXI)
    world.examiner.meanwhile[world.clock.elapsed_s + 2.0] = other
    world.reconciler.reconcile()
    return older, newer[0]


@pytest.mark.parametrize("how", ["it is another", "a pass of it fails"])
def test_a_push_that_was_cut_short_takes_no_later_one_off_in_a_freeze(
    world: World, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    def fails() -> tuple[Deployment, ...]:
        raise JournalError("database is locked")

    older, newer = cut_short(world)
    world.reconciler.reconcile()
    assert (world.state(older), world.state(newer)) == (State.RUNNING, State.SUCCEEDED)
    world.freeze("exam")
    if how == "it is another":
        world.reconciler = world.worker()
    else:
        with monkeypatch.context() as patched:
            patched.setattr(world.journal, "unfinished", fails)
            with pytest.raises(JournalError):
                world.reconciler.reconcile()
    world.reconciler.reconcile()
    live = world.releases.live()
    assert live is not None
    assert live.sha == newer


def test_in_a_freeze_a_later_push_whose_deployment_failed_is_not_taken_off_by_an_older_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_: object) -> None:
        raise AirflowError("the dag-processor had no heartbeat for 30 s")

    older, newer = cut_short(world)
    with monkeypatch.context() as patched:
        patched.setattr(GoLive, "judge", silent)
        world.reconciler.reconcile()
    assert (world.state(older), world.state(newer)) == (State.RUNNING, State.ERROR)
    world.freeze("exam")
    world.reconciler.reconcile()
    live = world.releases.live()
    assert live is not None
    assert live.sha == newer
    assert world.said(newer)["airflow/deploy"][0] == "success"


def test_who_freezes_while_another_airflow_is_put_in_is_told_to_wait(world: World) -> None:
    world.journal.freeze("Airflow 3.3.3 is installed", by=BY, until=None)
    with pytest.raises(NotNow, match="wait until that has ended"):
        world.freeze()
    with pytest.raises(NotNow):
        world.roll_back("a" * 40)
    with pytest.raises(NotNow):
        world.unfreeze()
