"""Somebody rebuilt the image, or changed packages by hand: seen, said, mended once."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from deployer.core.model import ParseError, State, StepName, Tree
from deployer.core.planning.packages import UNLIKE
from deployer.errors import JournalError, PusherError, ServicesError
from deployer.ports import Release
from deployer.worker.maintenance import BY_HAND_S, ONE_BY_ONE_S
from tests.fakes.world import SERVICES, World

POLL_S = 60.0
TAXI = "dags/lasse/taxi.py"
COW = "cowsay==6.1\n"
DIFFER = "packages differ from those of the live commit (cowsay): the image was rebuilt"


class Killed(BaseException):
    """The process dies: no handler of the deployer's runs."""


@pytest.fixture
def world() -> World:
    """Return a class that runs on a package of its own."""
    world = World()
    world.announced(TAXI)
    require(world, COW)
    assert world.reconciler.reconcile() is None
    assert world.services.text == COW
    world.services.recreated.clear()
    return world


def require(world: World, text: str) -> str:
    """Push and deliver requirements; return the commit."""
    before = world.repository.tip
    sha = world.repository.push({"requirements.txt": text})
    world.deliver(sha, before)
    return sha


def rebuilt(world: World, text: str | None = "") -> None:
    """Play `docker compose up --build`: other packages run, and run well."""
    world.services.text = text


def looks_later(world: World) -> float | None:
    """Let the worker look at the packages, and once more when it wants to."""
    world.clock.sleep(world.reconciler.reconcile() or POLL_S)
    return world.reconciler.reconcile()


def plan_of_the_last(world: World) -> str:
    (newest,) = world.journal.deployments(limit=1)
    return next(step.detail for step in newest.steps if step.name is StepName.PLAN)


def test_packages_that_a_rebuilt_image_lacks_are_put_back_once(world: World) -> None:
    rebuilt(world)
    said = world.said(world.repository.fetch())
    assert looks_later(world) is None
    assert world.services.text == COW
    assert world.services.recreated == [SERVICES]
    assert DIFFER in plan_of_the_last(world)
    assert world.said(world.repository.fetch()).keys() == said.keys()
    assert world.state(world.repository.fetch()) is State.SUCCEEDED
    world.clock.sleep(BY_HAND_S)
    assert world.reconciler.reconcile() is None
    assert world.services.recreated == [SERVICES]


def test_what_is_broken_once_packages_are_back_is_told_of_the_live_commit(world: World) -> None:
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"][0] == "success"
    rebuilt(world)
    world.breaks(TAXI)
    looks_later(world)
    assert world.said(sha)["airflow/lasse"][0] == "failure"


def test_packages_that_nobody_asked_for_are_taken_out_again(world: World) -> None:
    rebuilt(world, "cowsay==6.1\nemoji\n")
    looks_later(world)
    assert world.services.text == COW


def test_the_page_is_told_of_other_packages_as_long_as_they_run(world: World) -> None:
    rebuilt(world)
    world.reconciler.reconcile()
    assert world.journal.pulse().drift.startswith(DIFFER)
    world.clock.sleep(BY_HAND_S)
    world.reconciler.reconcile()
    assert world.journal.pulse().drift == ""


def test_somebody_who_recreates_by_hand_is_not_fought(world: World) -> None:
    for text in ("", "emoji\n", None, "emoji\n", COW):  # None: the services are down
        rebuilt(world, text)
        world.reconciler.reconcile()
        world.clock.sleep(BY_HAND_S - 1)
    world.reconciler.reconcile()
    assert world.services.recreated == []
    assert world.journal.pulse().drift == ""


def test_services_that_do_not_agree_are_told_at_once_and_put_right_when_nobody_does_it(
    world: World,
) -> None:
    rebuilt(world, None)  # one of them: no text is that of all
    world.clock.sleep(world.reconciler.reconcile() or POLL_S)
    assert world.journal.pulse().drift == UNLIKE
    assert world.reconciler.reconcile() == BY_HAND_S
    assert world.services.recreated == []
    world.clock.sleep(ONE_BY_ONE_S)
    world.reconciler.reconcile()
    assert (world.services.recreated, world.services.text) == ([SERVICES], COW)
    assert "which packages run is not known" in plan_of_the_last(world)
    assert world.journal.pulse().drift == ""


def test_of_a_service_that_does_not_run_nothing_is_said(world: World) -> None:
    rebuilt(world, None)
    world.services.die(SERVICES[0])
    assert world.reconciler.reconcile() is None
    assert world.journal.pulse().drift == ""


def test_pushes_meanwhile_do_not_count_as_a_second_look(world: World) -> None:
    rebuilt(world)
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    assert world.services.recreated == []


def test_the_same_text_in_other_words_is_no_other_package(world: World) -> None:
    rebuilt(world, "# a cow\nCowSay == 6.1\n")
    assert world.reconciler.reconcile() is None


def test_a_push_that_finds_other_packages_says_why_services_are_recreated(world: World) -> None:
    rebuilt(world)
    world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.services.recreated == [SERVICES]
    assert DIFFER in plan_of_the_last(world)


def test_a_push_that_does_not_know_what_runs_says_why_services_are_recreated(world: World) -> None:
    world.services.text = None
    world.announced(TAXI)
    world.reconciler.reconcile()
    assert "which packages run is not known" in plan_of_the_last(world)


def test_a_push_of_new_requirements_is_reason_enough(world: World) -> None:
    require(world, "emoji\n")
    world.reconciler.reconcile()
    assert "packages differ" not in plan_of_the_last(world)


def test_where_the_live_commits_own_are_refused_those_of_before_come_back(world: World) -> None:
    world.services.refuses["broken\n"] = "there is no such package"
    sha = require(world, "broken\n")
    world.reconciler.reconcile()
    said = world.said(sha)
    rebuilt(world)
    assert looks_later(world) is None
    assert world.services.text == COW
    assert world.services.recreated == [SERVICES]
    assert world.said(sha) == said


def test_a_push_that_is_refused_while_others_run_is_judged_with_those_of_before(
    world: World,
) -> None:
    rebuilt(world)
    world.services.refuses["broken\n"] = "there is no such package"
    require(world, "broken\n")
    assert world.reconciler.reconcile() is None
    assert world.services.text == COW
    assert len(world.journal.deployments()) == 3


def test_if_those_of_before_are_refused_as_well_what_ran_stays(world: World) -> None:
    rebuilt(world, "numpy\n")
    world.services.breaks.add("sick\n")
    world.services.refuses[COW] = "it was yanked"
    sha = require(world, "sick\n")
    world.reconciler.reconcile()
    assert world.services.text == "numpy\n"
    assert world.services.recreated == [SERVICES, SERVICES] * 2  # and back, twice
    assert "Airflow does not start with it" in world.said(sha)["airflow/deploy"][1]


def test_that_packages_can_not_be_compared_is_logged_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> str:
        raise ServicesError("the Docker engine has no image class-airflow:current")

    monkeypatch.setattr(world.services, "installed", missing)
    with capture_logs() as said:
        for _ in range(5):
            world.clock.sleep(60)
            world.reconciler.reconcile()
    assert [one["event"] for one in said].count("packages not compared") == 1


def test_packages_that_can_not_be_put_back_are_tried_once_and_told(world: World) -> None:
    rebuilt(world)
    world.services.refuses[COW] = "it was yanked"
    assert looks_later(world) is None
    tried = len(world.journal.deployments())
    world.clock.sleep(BY_HAND_S)
    assert world.reconciler.reconcile() is None
    assert len(world.journal.deployments()) == tried
    assert world.services.recreated == []
    assert world.journal.pulse().drift.endswith(
        "they can't be put back: requirements.txt:1 it was yanked"
    )


def test_one_service_rebuilt_below_requirements_that_nobody_can_read_is_told(world: World) -> None:
    require(world, "pandas=2.0\n")
    world.reconciler.reconcile()
    rebuilt(world, None)  # one of them: no text is that of all
    looks_later(world)
    drift = world.journal.pulse().drift
    assert drift.startswith(f"{UNLIKE}; they can't be put back: requirements.txt:1 ")


def test_packages_that_come_back_in_another_form_are_no_reason_to_restart_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuilt(world)
    monkeypatch.setattr(world.services, "installed", lambda: "")
    looks_later(world)
    for _ in range(3):
        world.clock.sleep(BY_HAND_S)
        assert world.reconciler.reconcile() is None
    assert world.services.recreated == [SERVICES]
    assert "did not help" in world.journal.pulse().drift


def test_packages_that_were_refused_for_a_files_sake_do_not_hinder_those_of_before(
    world: World,
) -> None:
    world.repository.push({TAXI: "# airflow dag\nimport cowsay\n"})
    why = ParseError("ImportError", "cannot import name 'cow'", 2)
    world.examiner.finds_on_built(TAXI, error=why)
    sha = require(world, "cowsay==7\n")
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "failure"
    world.examiner.finds_on_built(TAXI)
    rebuilt(world)
    looks_later(world)
    assert world.services.text == COW
    assert world.services.recreated == [SERVICES]


def test_packages_that_were_put_back_by_hand_after_all_may_be_put_back_again(world: World) -> None:
    rebuilt(world)
    world.services.refuses[COW] = "it was yanked"
    looks_later(world)
    world.services.refuses.clear()
    world.request()
    world.reconciler.reconcile()
    assert world.services.text == COW
    rebuilt(world)
    looks_later(world)
    assert world.services.text == COW


def test_an_engine_that_fails_while_packages_are_put_back_is_tried_again_later(
    world: World,
) -> None:
    rebuilt(world)
    world.services.down = "Docker does not answer"
    assert looks_later(world) == 5.0
    assert world.reconciler.reconcile() == 10.0
    world.services.down = None
    world.reconciler.reconcile()
    assert world.services.text == COW
    assert world.services.recreated == [SERVICES]
    assert world.said(world.repository.fetch())["airflow/deploy"][0] == "success"


def test_what_was_refused_and_is_installed_by_hand_is_the_live_commits_own(world: World) -> None:
    world.services.refuses["emoji\n"] = "the index was away"
    require(world, "emoji\n")
    world.reconciler.reconcile()
    rebuilt(world, "emoji\n")
    assert world.reconciler.reconcile() is None
    assert world.journal.pulse().drift == ""
    assert world.journal.packages() == "emoji\n"
    assert world.services.recreated == []


def test_a_worker_that_starts_looks_as_if_for_the_first_time(world: World) -> None:
    rebuilt(world)
    world.reconciler.reconcile()
    world.clock.sleep(BY_HAND_S)
    world.reconciler = world.worker()
    assert world.reconciler.reconcile() == BY_HAND_S
    rebuilt(world, COW)
    world.worker().reconcile()
    assert world.journal.pulse().drift == ""


def test_packages_that_can_not_be_told_disturb_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> str | None:
        raise ServicesError("Docker does not answer")

    rebuilt(world)
    world.reconciler.reconcile()
    monkeypatch.setattr(world.services, "installed", away)
    for _ in range(2):
        world.clock.sleep(BY_HAND_S)
        assert world.reconciler.reconcile() is None


def test_packages_are_told_and_not_put_back_while_the_tip_can_not_go_live(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, tip = world.repository.tree, world.push(TAXI)

    def too_large(sha: str) -> Tree:
        if sha == tip:
            raise PusherError("the commit is too large")
        return tree(sha)

    monkeypatch.setattr(world.repository, "tree", too_large)
    world.reconciler.reconcile()
    assert world.state(tip) is State.FAILED
    rebuilt(world)
    assert looks_later(world) is None
    assert world.journal.pulse().drift.startswith(DIFFER)
    assert world.services.recreated == []


def test_a_class_whose_first_requirements_are_refused_keeps_what_it_started_with() -> None:
    world = World()
    world.services.text = COW
    world.services.refuses["broken\n"] = "there is no such package"
    require(world, "broken\n")
    world.reconciler.reconcile()
    assert world.journal.packages() == COW
    rebuilt(world)
    looks_later(world)
    assert world.services.text == COW


def test_what_runs_with_what_is_live_is_noted_though_the_worker_died_right_after_the_swap(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = world.releases.publish

    def publish_and_die(*args: Any, **more: Any) -> Release:  # noqa: ANN401  # as the port has them
        publish(*args, **more)
        raise Killed

    require(world, "emoji\n")
    with monkeypatch.context() as patch:
        patch.setattr(world.releases, "publish", publish_and_die)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    world.services.refuses["broken\n"] = "there is no such package"
    require(world, "broken\n")
    world.services.recreated.clear()
    world.worker().reconcile()
    assert (world.services.text, world.services.recreated) == ("emoji\n", [])
    assert world.journal.packages() == "emoji\n"


def test_packages_whose_files_did_not_go_live_are_not_those_of_the_live_commit(
    world: World,
) -> None:
    require(world, "emoji\n")
    world.releases.full = True
    world.reconciler.reconcile()
    assert (world.services.text, world.journal.packages()) == ("emoji\n", COW)


def test_packages_that_stay_as_those_of_before_are_refused_too_are_those_of_the_live_commit(
    world: World,
) -> None:
    rebuilt(world, "emoji\n")
    world.services.refuses |= {COW: "the index lost it", "broken\n": "there is no such package"}
    sha = require(world, "broken\n")
    world.reconciler.reconcile()
    assert world.state(sha) is State.BROKEN
    assert (world.services.text, world.journal.packages()) == ("emoji\n", "emoji\n")
    assert world.journal.pulse().drift == ""


def test_packages_are_put_back_though_the_pass_that_was_to_do_it_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise JournalError("the disk is full")

    rebuilt(world)
    world.clock.sleep(world.reconciler.reconcile() or POLL_S)
    with monkeypatch.context() as patched:
        patched.setattr(world.journal, "set_live", fails)
        with pytest.raises(JournalError):
            world.reconciler.reconcile()
    world.reconciler.reconcile()
    assert world.services.text == COW
