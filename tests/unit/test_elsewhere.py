"""Airflow with a bundle that is not the class's still gets verdicts, by stamps."""

from __future__ import annotations

import pytest

from deployer.core.model import Outcome, Proof, State, Verdict
from tests.fakes.airflow import Broken, Bundle
from tests.fakes.world import World

TAXI, WEATHER, HELLO = "dags/lasse/taxi.py", "dags/maria/weather.py", "dags/class_demo/hello.py"


@pytest.fixture(params=[Bundle.LOCAL, Bundle.GIT])
def world(request: pytest.FixtureRequest) -> World:
    """Return a class with two students, whose first deployment is over."""
    world = World(request.param)
    world.announced(TAXI, WEATHER)
    world.turns.turn()
    return world


def deployed(world: World, sha: str) -> dict[str, Verdict]:
    world.turns.turn()
    return {verdict.path: verdict for verdict in world.judging(sha).verdicts}


def test_a_new_a_changed_a_broken_a_mended_and_a_deleted_file_are_proven_by_stamps(
    world: World,
) -> None:
    said = deployed(world, world.announced(TAXI, HELLO))
    assert {v.outcome for v in said.values()} == {Outcome.PARSED}
    assert said[HELLO].dag_ids == ("hello",)
    seen = list(said.values())

    world.breaks(WEATHER)
    broken = deployed(world, world.announced(WEATHER))[WEATHER]
    world.releases.contents[WEATHER] = ("weather", "forecast")
    world.examiner.finds(WEATHER, dag_ids=("weather", "forecast"))
    mended = deployed(world, world.announced(WEATHER))[WEATHER]
    before = world.repository.tip
    sha = world.repository.push({TAXI: None})
    world.deliver(sha, before)
    gone = deployed(world, sha)[TAXI]

    assert [v.outcome for v in (broken, mended, gone)] == [
        Outcome.BROKEN,
        Outcome.PARSED,
        Outcome.DELETED,
    ]
    assert mended.dag_ids == ("forecast", "weather")
    assert {v.proof for v in (*seen, broken, mended, gone)} == {Proof.STAMPS}


def test_a_parse_that_began_before_the_publication_is_not_taken_for_the_new_one(
    world: World,
) -> None:
    world.breaks(TAXI)
    world.airflow.behind.add(TAXI)
    assert deployed(world, world.announced(TAXI))[TAXI].outcome is Outcome.BROKEN


def test_a_file_without_dags_is_told_by_the_isolated_parse(world: World) -> None:
    world.examiner.finds(HELLO)
    world.releases.contents[HELLO] = ()
    verdict = deployed(world, world.announced(HELLO))[HELLO]
    assert (verdict.outcome, verdict.proof) == (Outcome.NO_DAG, Proof.PREFLIGHT)


def test_an_airflow_that_does_not_read_the_release_is_the_operators_trouble(world: World) -> None:
    """As where its container mounts `current` itself, and so stays with what that once named."""
    world.airflow.looks_late = 10_000
    sha = world.announced(TAXI)
    world.turns.turn()
    assert world.state(sha) is State.ERROR


def test_a_git_bundle_that_is_ahead_holds_the_commit() -> None:
    world = World(Bundle.GIT)
    sha = world.announced(TAXI)
    # Pushed when the mirror had been fetched already, and Airflow has it.
    fetch = world.repository.fetch
    world.repository.fetch = lambda: (fetch(), sha)[1]  # type: ignore[method-assign]  # the host, a moment ago
    world.airflow.ahead = world.push(WEATHER)
    fetches = world.repository.fetches
    assert deployed(world, sha)[TAXI].proof is Proof.STAMPS
    assert world.repository.fetches > fetches


def test_a_git_bundle_at_a_commit_that_nobody_has_heard_of_proves_nothing() -> None:
    world = World(Bundle.GIT)
    world.airflow.ahead = "f" * 40
    sha = world.announced(TAXI)
    world.turns.turn()
    assert world.state(sha) is State.ERROR


def test_the_class_s_bundle_is_asked_for_no_more_than_before() -> None:
    world = World()
    asked: list[set[str]] = []
    observe = world.airflow.observe

    def spy(release: str, dag_ids: set[str]) -> object:
        asked.append(dag_ids)
        return observe(release, dag_ids)

    world.airflow.observe = spy  # type: ignore[assignment,method-assign]  # to count
    world.airflow.looks_late = 3
    world.announced(TAXI, WEATHER)
    world.turns.turn()
    assert asked
    assert all(len(ids) == 1 for ids in asked)


def test_a_broken_file_of_the_class_without_a_path_is_parsed_again_before_it_is_judged() -> None:
    world = World()
    world.releases.contents[TAXI] = Broken("AirflowClusterPolicyViolation: needs a tag", line=None)
    verdict = deployed(world, world.announced(TAXI))[TAXI]
    assert (verdict.outcome, verdict.proof) == (Outcome.BROKEN, Proof.STAMPS)
