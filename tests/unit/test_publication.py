"""A push of which the dag-processor dies is taken back, and nobody else is blamed."""

from __future__ import annotations

import pytest

from deployer.core.model import (
    DAG_PROCESSOR,
    Live,
    Outcome,
    Proof,
    State,
    StepName,
)
from deployer.deployment.dag_processor import DagProcessor
from deployer.deployment.publication import GoLive
from tests.fakes.world import World

TAXI, WEATHER, HELPER = "dags/lasse/taxi.py", "dags/maria/weather.py", "dags/lasse/helper.py"
POISON = "dags/lasse/poison.py"


@pytest.fixture
def world() -> World:
    """Return a class whose first deployment is over, judged and proven, for some time."""
    world = World()
    world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    world.clock.sleep(1000)
    return world


def poisoned(world: World, *others: str, path: str = POISON) -> str:
    """Push a file that kills the dag-processor and is not found out before."""
    world.releases.poison.add(path)
    return world.announced(path, *others)


def live_paths(world: World) -> set[str]:
    live = world.releases.live()
    assert live is not None
    return set(world.releases.whole[live.name])


def names(world: World, sha: str) -> list[StepName]:
    return [step.name for step in world.judging(sha).steps]


def test_a_release_that_kills_the_dag_processor_is_taken_back_and_its_files_are_held(
    world: World,
) -> None:
    before = world.releases.live()
    assert before is not None
    sha = poisoned(world)
    world.reconciler.reconcile()
    assert world.releases.swaps[1:] == [sha, before.name, f"{sha}-2", before.name, f"{sha}-3"]
    assert POISON not in live_paths(world)
    assert world.journal.live() == Live(sha, (POISON,))
    assert world.state(sha) is State.BROKEN
    (verdict,) = world.judging(sha).verdicts
    assert (verdict.path, verdict.outcome, verdict.proof) == (POISON, Outcome.HELD, Proof.NONE)
    assert world.services.lives[DAG_PROCESSOR] == 2
    assert not world.services.ended


def test_while_the_release_before_comes_back_nobody_is_told_of_packages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, str] = {}
    restore = world.releases.restore

    def pushed_meanwhile(name: str | None) -> None:
        restore(name)
        if not seen:
            waiting = world.announced(WEATHER)
            world.reconciler.take_in()
            seen["killing"] = world.said(sha)["airflow/deploy"][1]
            seen["waiting"] = world.said(waiting)["airflow/deploy"][1]

    sha = poisoned(world)
    monkeypatch.setattr(world.releases, "restore", pushed_meanwhile)
    world.reconciler.reconcile()
    assert seen == {
        "killing": "Airflow's dag-processor died: the previous release comes back",
        "waiting": f"waits for {sha[:7]}: Airflow's dag-processor died",
    }


def test_its_commit_is_told_what_is_known(world: World) -> None:
    sha = poisoned(world)
    world.reconciler.reconcile()
    assert world.said(sha) == {
        "airflow/deploy": (
            "failure",
            "not live: Airflow's dag-processor died of it: it ended with exit code 1",
        ),
        "airflow/lasse": (
            "failure",
            "poison.py is held: Airflow's dag-processor died of it: it ended with exit code 1",
        ),
    }


def test_each_step_of_the_way_is_in_the_journal(world: World) -> None:
    sha = poisoned(world)
    world.reconciler.reconcile()
    once = [StepName.PUBLISH, StepName.PARSE, StepName.ROLLBACK]
    assert names(world, sha)[-8:] == [*once, *once, StepName.PUBLISH, StepName.PARSE]
    states = {s.name: s.state for s in world.judging(sha).steps}
    assert states[StepName.PARSE] == "ok"
    failed = [s for s in world.judging(sha).steps if s.state == "failed"]
    assert [s.detail for s in failed] == ["it ended with exit code 1"] * 2


def test_a_dag_processor_that_ended_by_chance_costs_nobody_his_green(world: World) -> None:
    sha = poisoned(world)
    # Somebody killed it; the second try goes well.
    revive = world.services.revive

    def and_never_again(service: str) -> None:
        world.releases.poison.clear()
        revive(service)

    world.services.revive = and_never_again  # type: ignore[method-assign]  # the chance
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: poison")
    assert world.journal.live() == Live(sha)


def test_whatever_else_the_push_changed_is_held_with_it_as_nobody_knows_which_it_was(
    world: World,
) -> None:
    sha = poisoned(world, HELPER, TAXI)
    world.reconciler.reconcile()
    assert world.journal.live() == Live(sha, (HELPER, POISON, TAXI))
    died = "Airflow's dag-processor died of this push: it ended with exit code 1"
    assert world.said(sha)["airflow/lasse"] == ("failure", f"helper.py is held: {died} (+2 more)")


def test_a_commit_that_changed_none_of_it_is_not_red(world: World) -> None:
    readme = world.announced("README.md")
    sha = poisoned(world)
    world.reconciler.reconcile()
    assert world.said(readme)["airflow/deploy"][0] == "success"
    assert world.said(sha)["airflow/deploy"][0] == "failure"


def test_the_next_push_of_a_neighbour_goes_green_and_leaves_the_poison_held(world: World) -> None:
    poisoned(world)
    world.reconciler.reconcile()
    sha = world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/maria"] == ("success", "1 DAG: weather")
    assert names(world, sha).count(StepName.PUBLISH) == 1
    assert POISON not in live_paths(world)


@pytest.mark.parametrize("path", [POISON, HELPER])
def test_what_was_held_goes_live_when_it_is_mended(world: World, path: str) -> None:
    poisoned(world, path=path)
    world.reconciler.reconcile()
    assert path not in live_paths(world)
    world.releases.poison.clear()
    sha = world.announced(path)
    world.reconciler.reconcile()
    assert path in live_paths(world)
    assert world.journal.live() == Live(sha)
    assert world.said(sha)["airflow/lasse"][0] == "success"


def test_a_deployment_by_hand_tries_what_was_held_once_more(world: World) -> None:
    poisoned(world)
    world.reconciler.reconcile()
    world.releases.poison.clear()
    world.request()
    world.reconciler.reconcile()
    assert POISON in live_paths(world)
    assert world.journal.condemned() == {}


def test_the_first_release_of_a_class_can_be_held_as_well() -> None:
    world = World()
    sha = poisoned(world, TAXI)
    world.reconciler.reconcile()
    assert live_paths(world) == set()
    assert world.state(sha) is State.BROKEN


def test_a_dag_processor_that_dies_of_the_release_before_too_is_the_operators_fault(
    world: World,
) -> None:
    sha = poisoned(world)
    revive = world.services.revive
    publish = world.releases.publish

    def and_dies_again(*args: object, **kwargs: object) -> object:
        release = publish(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        world.services.die(DAG_PROCESSOR)
        return release

    world.releases.publish = and_dies_again  # type: ignore[method-assign,assignment]  # an ill machine
    world.services.revive = revive  # type: ignore[method-assign]  # as it was
    world.reconciler.reconcile()
    assert world.state(sha) is State.ERROR
    assert world.said(sha)["airflow/lasse"] == (
        "error",
        "Airflow's dag-processor dies of what was live before, too: it ended with exit code 1",
    )


def test_one_that_does_not_come_back_is_the_operators_fault_and_the_release_before_is_live(
    world: World,
) -> None:
    before = world.releases.live()
    world.services.revives = False
    sha = poisoned(world)
    world.reconciler.reconcile()
    assert world.releases.live() == before
    assert world.state(sha) is State.ERROR
    assert world.said(sha)["airflow/lasse"][0] == "error"
    assert "does not come back within 180 s" in world.said(sha)["airflow/lasse"][1]


def test_after_a_worker_died_over_a_poison_the_release_before_is_back_first(world: World) -> None:
    before = world.releases.live()
    assert before is not None
    sha = poisoned(world)
    killed = KeyboardInterrupt()

    def dies(*_: object, **__: object) -> None:
        raise killed

    judge, GoLive.judge = GoLive.judge, dies  # type: ignore[method-assign]  # kill -9
    try:
        with pytest.raises(KeyboardInterrupt):
            world.reconciler.reconcile()
    finally:
        GoLive.judge = judge  # type: ignore[method-assign]  # as it was
    assert world.releases.live() != before
    world.worker().reconcile()
    assert world.releases.swaps[2] == before.name
    assert world.state(sha) is State.BROKEN
    assert POISON not in live_paths(world)


def test_after_a_worker_died_over_a_release_that_does_no_harm_it_is_not_taken_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = world.announced(TAXI)

    def dies(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(GoLive, "judge", dies)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    world.worker().reconcile()
    assert StepName.ROLLBACK not in names(world, sha)
    assert world.state(sha) is State.SUCCEEDED


def test_airflow_reads_anew_what_it_may_have_read_before_it_was_taken_back(world: World) -> None:
    poisoned(world, path=TAXI)
    world.reconciler.reconcile()
    _, touch, held = world.releases.published[-1]
    assert touch == held == {TAXI}


class Killed(BaseException):
    """The process dies: no handler of the deployer's runs."""


def test_after_a_worker_died_before_a_poison_was_condemned_it_is_held_again(world: World) -> None:
    sha = poisoned(world)
    condemn = world.journal.condemn

    def dies(*_: object, **__: object) -> None:
        raise Killed

    world.journal.condemn = dies  # type: ignore[method-assign]  # kill -9
    with pytest.raises(Killed):
        world.reconciler.reconcile()
    world.journal.condemn = condemn  # type: ignore[method-assign]  # as it was
    world.worker().reconcile()
    assert world.state(sha) is State.BROKEN
    assert POISON not in live_paths(world)
    assert world.services.lives[DAG_PROCESSOR] == 4


def test_one_that_dies_though_nothing_changed_is_the_operators_fault(world: World) -> None:
    publish = world.releases.publish

    def and_dies(*args: object, **kwargs: object) -> object:
        release = publish(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        world.services.die(DAG_PROCESSOR)
        return release

    world.releases.publish = and_dies  # type: ignore[method-assign,assignment]  # an ill machine
    world.request()
    world.reconciler.reconcile()
    (last, *_) = world.journal.deployments()
    assert last.state is State.ERROR
    assert last.reason.startswith("Airflow's dag-processor dies of what was live before, too")


# --- a dag-processor that is not well, and nobody's fault -------------------


def test_one_that_does_not_run_is_an_error_and_nobody_s_fault(world: World) -> None:
    world.services.die(DAG_PROCESSOR)
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.state(sha) is State.ERROR
    state, text = world.said(sha)["airflow/lasse"]
    assert state == "error"
    assert text == (
        "live, not judged: Airflow's dag-processor ended with exit code 1 and is not the class's,"
        " or not connected: see `deployer doctor`"
    )


def test_one_that_is_stuck_is_an_error(world: World) -> None:
    world.airflow.alive = False  # its process lives, and its heart stands still
    world.feed.silent = True
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    state, text = world.said(sha)["airflow/lasse"]
    assert state == "error"
    assert text.startswith("Airflow's dag-processor is stuck, without a heartbeat since ")


def test_one_that_comes_again_in_the_same_life_did_not_die(world: World) -> None:
    def cut_off_and_back() -> None:
        world.feed.leave(ended=False)
        world.feed.come(anew=False)

    sha = world.announced(TAXI)
    world.feed.while_waiting = [cut_off_and_back]
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert StepName.ROLLBACK not in names(world, sha)


def test_one_that_does_not_come_again_is_taken_for_dead(world: World) -> None:
    def cut_off() -> None:
        world.feed.leave(ended=False)
        world.services.ended.add(DAG_PROCESSOR)

    sha = world.announced(TAXI)
    world.feed.while_waiting = [cut_off]
    world.reconciler.reconcile()
    assert StepName.ROLLBACK in names(world, sha)
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_where_processes_can_not_be_seen_verdicts_are_given_all_the_same(world: World) -> None:
    world.services.untold = "Docker did not answer"
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_an_engine_that_goes_away_meanwhile_is_not_the_death_of_the_dag_processor(
    world: World,
) -> None:
    sha = world.announced(TAXI)
    publish = world.releases.publish

    def then_docker_goes(*args: object, **kwargs: object) -> object:
        release = publish(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        world.services.untold = "Docker did not answer"
        return release

    world.releases.publish = then_docker_goes  # type: ignore[method-assign,assignment]  # taken away
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_one_that_runs_again_by_now_was_killed(world: World) -> None:
    assert DagProcessor(world.parts).how_it_ended() == "it was killed"


def test_how_it_ended_is_not_told_where_nobody_can_see_it(world: World) -> None:
    world.services.untold = "Docker does not answer"
    guard = DagProcessor(world.parts)
    assert guard.how_it_ended() == "it ended, and how can't be seen"


def test_it_is_told_the_same_if_it_is_deployed_once_more(world: World) -> None:
    sha = poisoned(world, TAXI)
    world.reconciler.reconcile()
    told = world.said(sha)
    assert told["airflow/deploy"][1].startswith("not live: Airflow's dag-processor died of this")
    world.services.text = "numpy\n"  # somebody rebuilt the image
    world.clock.sleep(world.reconciler.reconcile() or 0.0)
    world.reconciler.reconcile()
    assert len(world.journal.deployments()) == 3
    assert world.said(sha) == told


def test_what_it_died_of_stays_out_though_nobody_knows_any_more_what_is_live(world: World) -> None:
    poisoned(world)
    world.reconciler.reconcile()
    deaths = world.services.lives[DAG_PROCESSOR]
    world.journal.set_live(None)  # as after an error, or a crash
    sha = world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.services.lives[DAG_PROCESSOR] == deaths
    assert POISON not in live_paths(world)
    assert world.said(sha)["airflow/maria"] == ("success", "1 DAG: weather")
    assert "airflow/lasse" not in world.said(sha)
    assert {v.path: v.outcome for v in world.judging(sha).verdicts}[POISON] is Outcome.HELD
