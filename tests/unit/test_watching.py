"""A wait for verdicts ends when it has to: with the last of them, for others, or for a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from deployer.core.model import DAG_PROCESSOR, Outcome, Verdict
from deployer.core.verdicts.watch import Watch
from deployer.deployment.watching import ABSENT_S, BACK_WITHIN_S, PATIENCE_S, Beside, Waiting
from deployer.errors import AirflowError, DagProcessorEnded
from tests.fakes.world import World

TAXI, WEATHER, BIKE = "dags/lasse/taxi.py", "dags/maria/weather.py", "dags/anna/bike.py"
RELEASE, BEFORE = "b" * 40, "a" * 40
TIMEOUT_S = 90.0


@pytest.fixture
def world() -> World:
    """Return a class whose release serves three files, none of which has a verdict."""
    world = World()
    for release in (BEFORE, RELEASE):
        world.feed.serve(release, {TAXI: ("taxi",), WEATHER: ("weather",), BIKE: ("bike",)})
    return world


def waiting(
    world: World,
    *paths: str,
    beside: Mapping[str, frozenset[str]] | None = None,
    tell: Callable[[Verdict], None] = lambda _: None,
    cut: bool = False,
    lives: frozenset[str] | None = None,
) -> Waiting:
    """Return a wait for files of a release that has just gone live; `lives`: None: who is there."""
    return Waiting(
        world.parts,
        Watch(RELEASE, dict.fromkeys(paths, frozenset({RELEASE}))),
        since=world.clock.monotonic(),
        lives=frozenset(world.feed.present()) if lives is None else lives,
        beside=Beside(beside or {}, frozenset(), tell),
        cut=lambda: cut,
    )


def after(world: World, seconds: float, event: Callable[[], None]) -> Callable[[], None]:
    def happen() -> None:
        world.clock.sleep(seconds)
        event()

    return happen


def outcomes(watch: Watch) -> dict[str, tuple[Outcome, float]]:
    """Return what became of each file, and how many seconds that took."""
    return {verdict.path: (verdict.outcome, verdict.waited_s) for verdict in watch.verdicts}


def test_seconds_are_told_from_when_the_release_went_live(world: World) -> None:
    world.clock.sleep(50)
    world.feed.slow = {TAXI: 2.5}
    found = waiting(world, TAXI, WEATHER).until_settled()
    assert outcomes(found) == {TAXI: (Outcome.PARSED, 2.5), WEATHER: (Outcome.PARSED, 0.0)}


def test_others_are_kept_waiting_for_no_longer_than_the_patience(world: World) -> None:
    world.clock.sleep(50)
    world.feed.slow = {TAXI: 100}
    found = waiting(world, TAXI, WEATHER, cut=True).until_settled()
    assert set(found.waiting) == {TAXI}
    assert world.clock.elapsed_s == 50 + PATIENCE_S


def test_who_waits_cuts_nothing_short_that_the_dag_processor_has_not_looked_at(
    world: World,
) -> None:
    world.feed.silent = True
    with pytest.raises(AirflowError, match="did not look at this release within 90 s"):
        waiting(world, TAXI, cut=True).until_settled()
    assert world.clock.elapsed_s == TIMEOUT_S


def test_a_file_is_given_up_when_there_was_no_news_for_as_long_as_the_bound(world: World) -> None:
    world.feed.slow, world.feed.deaf = {TAXI: 50, BIKE: 95}, {WEATHER}
    found = waiting(world, TAXI, WEATHER, BIKE).until_settled()
    assert outcomes(found) == {
        TAXI: (Outcome.PARSED, 50.0),
        BIKE: (Outcome.PARSED, 95.0),
        WEATHER: (Outcome.TIMEOUT, 95 + TIMEOUT_S),
    }


def test_no_file_is_given_up_where_the_dag_processor_is_stuck(world: World) -> None:
    world.feed.deaf, world.airflow.alive = {TAXI}, False
    with pytest.raises(AirflowError, match="is stuck"):
        waiting(world, TAXI).until_settled()


# --- a dag-processor that goes ---------------------------------------------


def test_one_whose_process_ended_is_dead_at_once(world: World) -> None:
    world.feed.slow = {TAXI: 20}
    world.feed.while_waiting = [after(world, 5, lambda: world.services.die(DAG_PROCESSOR))]
    with pytest.raises(DagProcessorEnded):
        waiting(world, TAXI).until_settled()
    assert world.clock.elapsed_s == 5


def test_one_that_ended_before_anything_was_asked_is_dead_at_once(world: World) -> None:
    wait = waiting(world, TAXI)
    world.services.die(DAG_PROCESSOR)
    with pytest.raises(DagProcessorEnded):
        wait.until_settled()
    assert world.clock.elapsed_s == 0


def test_one_that_left_and_came_again_before_anything_was_asked_did_not_die(world: World) -> None:
    world.feed.slow = {TAXI: 20}
    wait = waiting(world, TAXI)
    world.feed.leave(ended=False)
    world.feed.come(anew=False)
    assert outcomes(wait.until_settled()) == {TAXI: (Outcome.PARSED, 20.0)}


def test_one_that_left_is_dead_when_it_is_not_back_in_time(world: World) -> None:
    world.feed.slow = {TAXI: 20}
    world.feed.while_waiting = [after(world, 5, lambda: world.feed.leave(ended=False))]
    with pytest.raises(DagProcessorEnded):
        waiting(world, TAXI).until_settled()
    assert world.clock.elapsed_s == 5 + BACK_WITHIN_S


def test_one_that_is_gone_when_it_is_asked_is_dead_when_it_is_not_back_in_time(
    world: World,
) -> None:
    world.feed.slow = {TAXI: 20}
    with pytest.raises(DagProcessorEnded):
        waiting(world, TAXI, lives=frozenset({"life 0"})).until_settled()
    assert world.clock.elapsed_s == BACK_WITHIN_S


def test_one_that_is_back_in_time_is_waited_for_however_long_it_takes(world: World) -> None:
    def back() -> None:
        world.feed.leave(ended=False)
        world.feed.come(anew=False)

    world.feed.slow = {TAXI: 20}
    world.feed.while_waiting = [after(world, 5, back)]
    found = waiting(world, TAXI).until_settled()
    assert outcomes(found) == {TAXI: (Outcome.PARSED, 25.0)}


def test_one_that_was_not_well_before_may_be_away_for_a_while(world: World) -> None:
    world.feed.slow = {TAXI: 20}
    gone = after(world, 5, lambda: world.feed.leave(ended=False))
    world.feed.while_waiting = [gone, after(world, 7, world.feed.nudge)]
    with pytest.raises(AirflowError, match="not connected"):
        waiting(world, TAXI, lives=frozenset()).until_settled()
    assert world.clock.elapsed_s == 5 + ABSENT_S


def test_one_that_will_tell_nothing_is_not_waited_for(world: World) -> None:
    world.feed.unfit = "it runs without the feed"
    with pytest.raises(AirflowError, match="it runs without the feed"):
        waiting(world, TAXI, lives=frozenset()).until_settled()
    assert world.clock.elapsed_s == 0


# --- what earlier deployments wait for -------------------------------------


def test_what_others_wait_for_is_asked_for_after_what_is_waited_for(world: World) -> None:
    waiting(world, TAXI, beside={BIKE: frozenset({BEFORE})}).until_settled()
    assert world.feed.asked == [(RELEASE, frozenset({TAXI}), frozenset({BIKE}))]


def test_what_others_wait_for_is_told_once_as_it_comes(world: World) -> None:
    told: list[tuple[str, float]] = []
    world.feed.slow = {WEATHER: 2, BIKE: 3, TAXI: 4}
    beside = dict.fromkeys((WEATHER, BIKE), frozenset({BEFORE}))
    tell = told.append
    waiting(
        world, TAXI, beside=beside, tell=lambda v: tell((v.path, world.clock.elapsed_s))
    ).until_settled()
    assert told == [(WEATHER, 2), (BIKE, 3)]


def test_a_verdict_for_others_that_came_just_before_is_not_asked_for_anew(world: World) -> None:
    told: list[str] = []
    world.feed.ask(BEFORE, first={BIKE})  # and answered at once
    world.feed.slow = {BIKE: 1000}
    beside = {BIKE: frozenset({BEFORE})}
    waiting(world, TAXI, beside=beside, tell=lambda v: told.append(v.path)).until_settled()
    assert told == [BIKE]
