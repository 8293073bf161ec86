"""Packages change without hurting the class: drained, proven, healthy or taken back."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import nullcontext
from itertools import count

import pytest

from deployer.core.airflow_version import BY
from deployer.core.model import (
    ParseError,
    Running,
    State,
    StepName,
    StepRecord,
    TaskInstance,
    Vitals,
)
from deployer.deployment.rollout import TELL_EVERY_S, Drain
from deployer.errors import AirflowUnreachable, NotHealthy, ServicesError
from tests.fakes.airflow import FakeAirflow, Task
from tests.fakes.world import SERVICES, World

TAXI, WEATHER = "dags/lasse/taxi.py", "dags/maria/weather.py"
POOLS = {"default_pool": 128, "warehouse": 4, "closed": 0}
IMPORTS = "# airflow dag\nimport pandas\n"


@pytest.fixture
def world() -> World:
    """Return a class with two students, whose first deployment is over."""
    world = World()
    world.airflow.slots = dict(POOLS)
    world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    world.airflow.resizes.clear()
    return world


def packages(world: World, text: str = "pandas\n") -> str:
    """Push and deliver other requirements; return the commit."""
    before = world.repository.tip
    sha = world.repository.push({"requirements.txt": text})
    world.deliver(sha, before)
    return sha


def steps(world: World, sha: str) -> dict[StepName, StepRecord]:
    """Return the last record of each step."""
    return {step.name: step for step in world.judging(sha).steps}


# --- drain -----------------------------------------------------------------


def test_pools_are_empty_while_services_are_recreated_and_have_their_slots_back_after(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, int]] = []
    recreate = world.services.recreate

    def look(services: tuple[str, ...]) -> str:
        seen.append(dict(world.airflow.slots))
        return recreate(services)

    monkeypatch.setattr(world.services, "recreate", look)
    packages(world)
    world.reconciler.reconcile()
    assert seen == [dict.fromkeys(POOLS, 0)]
    assert world.airflow.slots == POOLS
    assert world.journal.drained() == {}


def test_running_tasks_are_waited_for_before_anything_is_recreated(world: World) -> None:
    world.airflow.tasks = [Task("lasse_taxi", "ingest", looks=30)]
    sha = packages(world)
    world.reconciler.reconcile()
    assert world.airflow.tasks == []
    assert steps(world, sha)[StepName.DRAIN].detail == "no task runs"
    assert world.clock.elapsed_s >= 29


def test_the_status_says_whom_a_drain_waits_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.airflow.tasks = [
        Task("maria_weather", "load", looks=3),
        Task("lasse_taxi", "ingest", looks=3),
        Task("lasse_taxi", "dbt", looks=3),
    ]
    said: list[tuple[str, str]] = []
    running: list[Running | None] = []
    busy = world.airflow.busy
    sha = packages(world)

    def look() -> tuple[TaskInstance, ...]:
        said.append(world.said(sha)["airflow/deploy"])
        running.append(world.judging(sha).running)
        return busy()

    monkeypatch.setattr(world.airflow, "busy", look)
    world.reconciler.reconcile()
    words = "packages change: waiting for lasse_taxi.dbt and 2 more"
    assert said[1] == ("pending", words)
    assert running[1] is not None
    assert (running[1].step, running[1].words) == (StepName.DRAIN, words)
    assert world.said(sha)["airflow/deploy"][0] == "success"


def test_whom_a_drain_waits_for_is_told_when_it_is_another_and_not_at_each_look(
    world: World,
) -> None:
    world.airflow.tasks = [
        Task("dag", "a", looks=3),
        Task("dag", "b", looks=5),
        Task("dag", "c", looks=40),
    ]
    told: list[tuple[float, str]] = []
    parts = world.parts
    began = world.clock.elapsed_s
    drain = Drain(parts.airflow, parts.journal, parts.clock, timeout_s=300)
    assert drain.wait(lambda words: told.append((world.clock.elapsed_s - began, words))) == ()
    assert told == [
        (0, "waiting for dag.a and 2 more"),
        (TELL_EVERY_S, "waiting for dag.c"),
    ]


def test_a_task_that_outlasts_the_bound_does_not_hold_the_class_up(world: World) -> None:
    world.airflow.tasks = [Task("maria_weather", "load")]
    sha = packages(world)
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert steps(world, sha)[StepName.DRAIN].detail == "still running: maria_weather.load"
    assert world.clock.elapsed_s == pytest.approx(300, abs=5)


def test_tasks_are_not_waited_for_that_no_scheduler_runs(world: World) -> None:
    world.services.text = None  # somebody removed it
    world.services.ended.add("airflow-scheduler")
    world.airflow.tasks = [Task("lasse_taxi", "ingest")]
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    said = "not waited for, no scheduler runs: lasse_taxi.ingest"
    assert steps(world, sha)[StepName.DRAIN].detail == said
    assert world.clock.elapsed_s < 60


def test_tasks_are_waited_for_no_longer_when_the_scheduler_ends_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.airflow.tasks = [Task("lasse_taxi", "ingest")]
    looks, busy = count(), world.airflow.busy

    def look() -> tuple[TaskInstance, ...]:
        if next(looks) == 5:
            world.services.ended.add("airflow-scheduler")
        return busy()

    monkeypatch.setattr(world.airflow, "busy", look)
    packages(world)
    world.reconciler.reconcile()
    assert 4 <= world.clock.elapsed_s < 60
    assert world.services.installed() == "pandas\n"


def test_tasks_are_waited_for_though_docker_has_no_answer_for_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.airflow.tasks = [Task("lasse_taxi", "ingest", looks=30)]
    vitals, looks = world.services.vitals, count()

    def look(service: str) -> Vitals:
        if next(looks) == 10:
            raise ServicesError("the Docker engine did not answer")
        return vitals(service)

    monkeypatch.setattr(world.services, "vitals", look)
    sha = packages(world)
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert steps(world, sha)[StepName.DRAIN].detail == "no task runs"


def test_an_airflow_that_does_not_answer_is_recreated_without_a_drain(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.airflow.reachable = False
    recreate = world.services.recreate

    def mended(services: tuple[str, ...]) -> str:
        world.airflow.reachable = True
        return recreate(services)

    monkeypatch.setattr(world.services, "recreate", mended)
    sha = packages(world)
    world.reconciler.reconcile()
    assert steps(world, sha)[StepName.DRAIN].state == "skipped"
    assert world.state(sha) is State.SUCCEEDED


def test_a_drain_goes_on_when_airflow_has_no_answer_for_a_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.airflow.tasks = [Task("lasse_taxi", "ingest", looks=3)]
    moments = iter([True, False] * 20)

    def moody(airflow: FakeAirflow) -> None:
        if next(moments):
            raise AirflowUnreachable("answered 500 to pools: database is locked")

    monkeypatch.setattr(FakeAirflow, "_answer", moody)
    sha = packages(world)
    world.reconciler.reconcile()
    assert steps(world, sha)[StepName.DRAIN].detail == "no task runs"
    assert world.airflow.slots == POOLS


class KilledError(BaseException):
    """The process ends right here: nothing below it may do anything about that."""


def resizing_until(world: World, last: int) -> Callable[[str, int], None]:
    """Return a `resize_pool` during whose call number `last` the process is killed."""
    real, calls = FakeAirflow.resize_pool, iter(range(1, 99))

    def resize(name: str, slots: int) -> None:
        if next(calls) == last:
            raise KilledError
        real(world.airflow, name, slots)

    return resize


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_crash_between_any_two_pools_loses_no_slots(
    world: World, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    sha = packages(world)
    with monkeypatch.context() as patched:
        patched.setattr(world.airflow, "resize_pool", resizing_until(world, at))
        with pytest.raises(KilledError):
            world.reconciler.reconcile()
    world.worker().reconcile()
    assert world.airflow.slots == POOLS
    assert world.journal.drained() == {}
    assert world.state(sha) is State.SUCCEEDED


def test_pools_emptied_by_a_worker_that_died_are_refilled_though_nothing_is_recreated(
    world: World,
) -> None:
    world.airflow.slots["default_pool"] = 0
    world.journal.set_drained({"default_pool": 128})
    world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.airflow.slots == POOLS
    assert world.services.recreated == []


def test_a_pool_that_somebody_refilled_meanwhile_is_left_as_it_is(world: World) -> None:
    world.airflow.slots["default_pool"] = 7
    world.journal.set_drained({"default_pool": 128, "gone": 3})
    world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.airflow.slots == {**POOLS, "default_pool": 7}
    assert world.journal.drained() == {}


@pytest.mark.parametrize("why", ["its commit is gone", "git does not answer", "it fails before"])
def test_a_rollout_that_died_is_ended_where_nobody_begins_it_again(
    world: World, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def die(_: object) -> str:
        raise KilledError

    def fail() -> None:
        raise ServicesError("the disk of Docker is full")

    live = world.repository.tip
    packages(world)
    with monkeypatch.context() as patched:
        patched.setattr(world.services, "wait_healthy", die)
        with pytest.raises(KilledError):
            world.reconciler.reconcile()
    assert (world.services.text, world.services.installed()) == ("pandas\n", None)
    if why == "its commit is gone":
        world.repository.tip = live
    elif why == "git does not answer":
        world.repository.down = "no route to host"
    else:
        monkeypatch.setattr(world.services, "tidy", fail)
    worker = world.worker()
    worker.reconcile()
    worker.reconcile()
    assert world.airflow.slots == POOLS
    assert world.services.installed() == ""
    assert world.journal.drained() == {}


def test_a_rollout_that_died_is_ended_though_airflow_had_no_answer_when_it_began(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: object) -> str:
        raise KilledError

    live = world.repository.tip
    world.airflow.reachable = False
    packages(world)
    with monkeypatch.context() as patched:
        patched.setattr(world.services, "wait_healthy", die)
        with pytest.raises(KilledError):
            world.reconciler.reconcile()
    world.repository.tip = live
    world.worker().reconcile()
    assert world.services.installed() == ""
    assert world.journal.drained() == {}


def test_a_rollout_that_docker_left_in_the_middle_is_ended_though_its_commit_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_away(_: object) -> str:
        world.services.down = "Docker does not answer"
        raise ServicesError("Docker does not answer")

    live = world.repository.tip
    packages(world)
    monkeypatch.setattr(world.services, "wait_healthy", goes_away)
    world.reconciler.reconcile()
    monkeypatch.undo()
    world.repository.tip, world.services.down = live, None
    world.clock.sleep(60)
    world.reconciler.reconcile()
    assert world.services.installed() == ""
    assert world.airflow.slots == POOLS


def test_services_that_docker_left_on_their_way_back_are_put_back_though_the_commit_is_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_away(_: object) -> str:
        raise ServicesError("Docker does not answer")

    world.services.refuses["nosuch\n"] = "no such package"
    live, world.services.text = world.repository.tip, None  # a service was stopped by hand
    packages(world, "nosuch\n")
    with monkeypatch.context() as patched:
        patched.setattr(world.services, "wait_healthy", goes_away)
        world.reconciler.reconcile()
    world.repository.tip = live
    world.clock.sleep(60)
    world.services.recreated.clear()
    world.reconciler.reconcile()
    assert world.services.recreated == [SERVICES]
    assert world.journal.drained() == {}


def test_a_rollout_that_can_not_be_ended_yet_is_tried_again(world: World) -> None:
    world.announced(TAXI)
    world.reconciler.reconcile()
    world.airflow.slots["default_pool"] = 0
    world.journal.set_drained({"default_pool": 128})
    world.airflow.reachable = False
    assert world.reconciler.reconcile() is None
    world.airflow.reachable = True
    assert world.reconciler.reconcile() is None
    assert world.airflow.slots == POOLS


def test_a_rollout_that_died_is_ended_in_a_freeze_too(world: World) -> None:
    world.announced(TAXI)
    world.reconciler.reconcile()
    world.airflow.slots["default_pool"] = 0
    world.journal.set_drained({"default_pool": 128})
    world.freeze()
    world.reconciler.reconcile()
    assert world.airflow.slots == POOLS


def test_pools_that_are_empty_while_another_airflow_is_put_in_are_let_be(world: World) -> None:
    world.announced(TAXI)
    world.reconciler.reconcile()
    world.journal.freeze("Airflow 3.4.0 is installed", by=BY, until=None)
    world.airflow.slots["default_pool"] = 0
    world.journal.set_drained({"default_pool": 128})
    world.services.text = None
    world.reconciler.reconcile()
    world.repository.down = "no route to host"
    world.reconciler.reconcile()
    assert world.airflow.slots["default_pool"] == 0
    assert world.services.recreated == []


def test_an_engine_that_fails_leaves_no_pool_empty_while_the_next_try_is_waited_for(
    world: World,
) -> None:
    world.services.down = "Docker does not answer"
    sha = packages(world)
    world.reconciler.reconcile()
    assert world.state(sha) is State.ERROR
    assert world.airflow.slots == POOLS
    world.services.down = None
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert world.services.recreated == [SERVICES]


# --- seen while it goes on -------------------------------------------------


def while_packages_are_built(
    world: World, monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]
) -> None:
    """Call `do` in the middle of the next build."""
    build = world.services.build

    def meanwhile(text: str) -> str:
        do()
        return build(text)

    monkeypatch.setattr(world.services, "build", meanwhile)


def test_a_step_that_takes_long_is_told_on_the_commit_and_seen_while_it_runs(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []
    sha = packages(world)
    while_packages_are_built(
        world,
        monkeypatch,
        lambda: seen.append((world.said(sha)["airflow/deploy"], world.judging(sha).running)),
    )
    world.reconciler.reconcile()
    words = "packages change: building them"
    running = Running(StepName.BUILD, steps(world, sha)[StepName.BUILD].started_at, words)
    assert seen == [(("pending", words), running)]
    assert world.judging(sha).running is None


def test_who_comes_during_a_rollout_is_told_what_it_waits_for_and_how_long_it_was(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shas: list[str] = []
    seen: list[object] = []

    def push() -> None:
        shas.append(world.announced(TAXI))
        world.reconciler.take_in()
        waiting = world.judging(shas[0])
        seen.append((waiting.waits_for, world.said(shas[0])))
        world.clock.sleep(60)

    sha = packages(world)
    while_packages_are_built(world, monkeypatch, push)
    world.reconciler.reconcile()
    why = f"{sha[:7]}: packages change"
    assert seen == [(why, {"airflow/deploy": ("pending", f"waits for {why}")})]
    world.reconciler.reconcile()
    assert world.judging(shas[0]).waits_for is None
    text = world.said(shas[0])["airflow/deploy"][1]
    assert text == "live: 1 file parsed in 60.0 s, 60.0 s of them waiting"


def test_who_comes_after_a_rollout_waits_for_nothing(world: World) -> None:
    packages(world)
    world.reconciler.reconcile()
    sha = world.announced(TAXI)
    world.reconciler.take_in()
    assert world.judging(sha).waits_for is None
    assert world.said(sha)["airflow/deploy"] == ("pending", "on its way to Airflow")


def test_who_waited_before_a_rollout_began_is_told_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shas: list[str] = []
    fetch = world.repository.fetch

    def fetched() -> str:
        tip = fetch()
        if not shas:
            shas.append(world.announced(TAXI))
            world.reconciler.take_in()
        return tip

    sha = packages(world)
    monkeypatch.setattr(world.repository, "fetch", fetched)
    while_packages_are_built(
        world, monkeypatch, lambda: shas.append(str(world.judging(shas[0]).waits_for))
    )
    world.reconciler.reconcile()
    assert shas[1] == f"{sha[:7]}: packages change"


# --- proven ----------------------------------------------------------------


def test_packages_that_spoil_somebody_elses_dag_are_refused_before_anything_is_recreated(
    world: World,
) -> None:
    world.repository.push({WEATHER: IMPORTS})
    world.reconciler.reconcile()
    error = ParseError("ImportError", "cannot import name 'Series'", 2)
    world.examiner.finds_on_built(WEATHER, error=error)
    sha = packages(world, "pandas==3\n")
    world.reconciler.reconcile()
    assert world.services.recreated == []
    why = f"with it {WEATHER} no longer parses: ImportError: cannot import name 'Series'"
    said = ("failure", f"requirements.txt: {why}; packages kept")
    assert world.said(sha)["airflow/deploy"] == said
    assert steps(world, sha)[StepName.BUILD].state == "failed"


def test_a_dag_that_hangs_with_the_new_packages_refuses_them(world: World) -> None:
    world.repository.push({WEATHER: IMPORTS})
    world.reconciler.reconcile()
    world.examiner.finds_on_built(WEATHER, harm="did not finish parsing within 25 s")
    sha = packages(world, "pandas==3\n")
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "failure"
    assert f"{WEATHER} did not finish" in world.said(sha)["airflow/deploy"][1]


def test_packages_with_which_the_isolated_parser_does_not_start_stop_nobody_else(
    world: World,
) -> None:
    why = "the isolated parser did not start: it died: SystemExit"
    world.examiner.down_on_built = [why, why]
    sha = packages(world)
    assert world.reconciler.reconcile() != 5.0, "it is not tried again"
    said = f"requirements.txt: with it {why}; packages kept"
    assert world.said(sha)["airflow/deploy"] == ("failure", said)
    after = world.announced("dags/maria/after.py")
    world.reconciler.reconcile()
    assert world.said(after)["airflow/deploy"][0] == "success"
    assert world.services.recreated == []


@pytest.mark.parametrize("then", ["well", "down"])
def test_packages_are_not_blamed_for_a_parser_that_does_not_start_once_or_on_those_of_before(
    world: World, then: str
) -> None:
    why = "the isolated parser did not start: it was not ready within 90 s"
    world.examiner.down_on_built = [why]
    world.examiner.down = why if then == "down" else None
    sha = packages(world)
    world.reconciler.reconcile()
    state = {"well": "success", "down": "error"}[then]
    assert world.said(sha)["airflow/deploy"][0] == state
    assert world.journal.refusals() == {}


def test_a_dag_that_is_broken_already_refuses_no_packages(world: World) -> None:
    error = ParseError("ModuleNotFoundError", "No module named 'pandas'", 2)
    world.examiner.finds(WEATHER, error=error)
    world.examiner.finds_on_built(WEATHER, error=error)
    before = world.repository.tip
    sha = world.repository.push({WEATHER: IMPORTS, "requirements.txt": "numpy\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.services.recreated == [SERVICES]


# --- taken back ------------------------------------------------------------


def test_the_log_lines_of_what_did_not_start_are_on_the_deployment(world: World) -> None:
    world.services.breaks.add("breaks\n")
    sha = packages(world, "breaks\n")
    world.reconciler.reconcile()
    assert "ImportError: broken" in world.judging(sha).reason
    assert world.airflow.slots == POOLS


def test_a_refusal_is_kept_though_the_pools_can_not_be_refilled(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.services.breaks.add("breaks\n")
    put_back = world.services.put_back

    def cut_off(services: tuple[str, ...], *, keep: bool) -> str:
        world.airflow.reachable = False
        return put_back(services, keep=keep)

    monkeypatch.setattr(world.services, "put_back", cut_off)
    sha = packages(world, "breaks\n")
    world.reconciler.reconcile()
    assert world.state(sha) is State.ERROR
    world.airflow.reachable = True
    recreated = list(world.services.recreated)
    world.reconciler.reconcile()
    assert world.services.recreated == recreated
    assert world.airflow.slots == POOLS
    assert world.said(sha)["airflow/deploy"][0] == "failure"


def test_a_failed_way_back_is_the_operators_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.services.breaks.add("breaks\n")

    def fails(services: tuple[str, ...], *, keep: bool = False) -> str:
        raise ServicesError("Docker does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.services, "put_back", fails)
        sha = packages(world, "breaks\n")
        assert world.reconciler.reconcile() == 5.0
    assert world.said(sha)["airflow/deploy"] == ("error", "Docker does not answer")
    world.reconciler.reconcile()
    assert world.services.text == ""


def ends_by_chance(
    world: World, monkeypatch: pytest.MonkeyPatch, in_looks: Collection[int]
) -> None:
    """Let services end in some looks for their health, whatever packages they run on."""
    wait_healthy, looks = world.services.wait_healthy, count()

    def look(services: tuple[str, ...]) -> str:
        if next(looks) in in_looks:
            raise NotHealthy("airflow-scheduler ends again and again: 2 restarts")
        return wait_healthy(services)

    monkeypatch.setattr(world.services, "wait_healthy", look)


def test_packages_are_not_blamed_for_services_that_end_once_by_chance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends_by_chance(world, monkeypatch, in_looks={0})
    sha = packages(world)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "success"
    assert world.services.installed() == "pandas\n"
    assert world.journal.refusals() == {}
    back = [s.name for s in world.judging(sha).steps if s.state == "failed"]
    assert back == [StepName.HEALTH]


@pytest.mark.parametrize("in_looks", [{0, 1}, {0, 2, 3}], ids=["at once", "the second time"])
def test_packages_are_not_blamed_where_airflow_does_not_start_without_them_either(
    world: World, monkeypatch: pytest.MonkeyPatch, in_looks: Collection[int]
) -> None:
    ends_by_chance(world, monkeypatch, in_looks)
    sha = packages(world)
    assert world.reconciler.reconcile() == 5.0
    assert world.said(sha)["airflow/deploy"][0] == "error"
    assert world.journal.refusals() == {}
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "success"
    assert world.services.installed() == "pandas\n"


@pytest.mark.parametrize("then", ["the worker dies", "those of before do not start"])
def test_what_was_built_is_not_kept_for_a_second_try_that_nobody_makes(
    world: World, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    dies = then == "the worker dies"
    looks = iter([NotHealthy("ended"), KilledError() if dies else NotHealthy("no database")])

    def look(_: object) -> str:
        raise next(looks)

    live = world.repository.tip
    packages(world)
    with monkeypatch.context() as patched:
        patched.setattr(world.services, "wait_healthy", look)
        with pytest.raises(KilledError) if dies else nullcontext():
            world.reconciler.reconcile()
    world.repository.tip = live  # by force
    worker = world.worker()
    for _ in range(3):
        world.clock.sleep(60)
        worker.reconcile()
    world.services.recreate(SERVICES)
    assert world.services.text == ""


def test_what_is_built_for_another_airflow_is_left_alone(world: World) -> None:
    world.journal.freeze("Airflow 3.4.0 is installed", by=BY, until=None)
    world.services.build("pandas\n")
    worker = world.worker()
    worker.maintenance.prepare()
    worker.reconcile()
    world.services.recreate(())
    assert world.services.text == "pandas\n"


def test_what_can_not_be_told_to_be_the_packages_fault_is_not_tried_again_without_a_build(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(services: tuple[str, ...]) -> str:
        raise ServicesError("airflow-scheduler has no container: was it removed by hand?")

    with monkeypatch.context() as patched:
        patched.setattr(world.services, "wait_healthy", gone)
        packages(world)
        world.reconciler.reconcile()
    recreated = len(world.services.recreated)
    world.services.recreate(SERVICES)
    assert (len(world.services.recreated), world.services.text) == (recreated + 1, "")


def test_an_engine_that_is_away_for_a_moment_is_not_the_packages_fault(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(services: tuple[str, ...]) -> str:
        raise ServicesError("Docker does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(world.services, "recreate", away)
        sha = packages(world)
        world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == ("error", "Docker does not answer")
    world.reconciler.reconcile()
    assert world.services.text == "pandas\n"
    assert world.said(sha)["airflow/deploy"][0] == "success"


# --- by hand, and beside ---------------------------------------------------


def test_a_deployment_by_hand_tries_refused_requirements_once_more(world: World) -> None:
    world.services.refuses["pandas\n"] = "no internet on that day"
    packages(world)
    world.reconciler.reconcile()
    world.services.refuses.clear()
    world.request()
    world.reconciler.reconcile()
    assert world.services.text == "pandas\n"


def refused_for_the_sake_of_a_file(world: World) -> str:
    """Return the text that is refused, since `WEATHER` would not parse with it."""
    world.repository.push({WEATHER: IMPORTS})
    world.reconciler.reconcile()
    error = ParseError("ModuleNotFoundError", "No module named 'pandas'", 2)
    world.examiner.finds_on_built(WEATHER, error=error)
    packages(world, "polars\n")
    world.reconciler.reconcile()
    assert world.services.recreated == []
    return "polars\n"


def test_a_refusal_for_a_file_s_sake_lapses_when_the_file_is_deleted(world: World) -> None:
    text = refused_for_the_sake_of_a_file(world)
    before = world.repository.tip
    sha = world.repository.push({WEATHER: None})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.services.text == text
    assert "packages kept" not in world.said(sha)["airflow/deploy"][1]


def test_a_refusal_for_a_file_s_sake_lapses_when_what_it_imports_changes(world: World) -> None:
    world.repository.push({"dags/maria/helper.py": "import pandas\n"})
    importing = f"{IMPORTS}import maria.helper\n"
    world.repository.push({WEATHER: importing})
    world.reconciler.reconcile()
    error = ParseError("ModuleNotFoundError", "No module named 'pandas'", 1)
    world.examiner.finds_on_built(WEATHER, error=error)
    packages(world, "polars\n")
    world.reconciler.reconcile()
    world.examiner.finds_on_built(WEATHER, dag_ids=("weather",))
    world.repository.push({"dags/maria/helper.py": "import polars\n"})
    world.reconciler.reconcile()
    assert world.services.text == "polars\n"


def test_a_refusal_for_a_file_s_sake_outlives_the_pushes_of_others(world: World) -> None:
    refused_for_the_sake_of_a_file(world)
    tried = len(world.examiner.asked_on_built)
    world.announced(TAXI)
    world.reconciler.reconcile()
    assert len(world.examiner.asked_on_built) == tried


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_refusal_for_a_file_s_sake_lapses_though_the_file_moves_beside_other_requirements(
    world: World, *, by_hand: bool
) -> None:
    text = refused_for_the_sake_of_a_file(world)
    world.repository.push({WEATHER: "import numpy\n", "requirements.txt": "numpy\n"})
    if by_hand:
        world.request()
    world.reconciler.reconcile()
    world.examiner.finds_on_built(WEATHER, dag_ids=("weather",))
    packages(world, text)
    world.reconciler.reconcile()
    assert world.services.text == text


def test_what_was_installed_at_last_is_not_refused_when_it_comes_again(world: World) -> None:
    world.services.refuses["pandas\n"] = "no internet on that day"
    packages(world)
    world.reconciler.reconcile()
    world.services.refuses.clear()
    world.request()
    world.reconciler.reconcile()
    packages(world, "numpy\n")
    world.reconciler.reconcile()
    packages(world)
    world.reconciler.reconcile()
    assert world.services.text == "pandas\n"


def test_what_died_half_way_is_tidied_before_the_next_rollout(world: World) -> None:
    world.services.litter = 3
    packages(world)
    world.reconciler.reconcile()
    assert world.services.litter == 0


def test_what_died_half_way_is_tidied_when_the_worker_starts(world: World) -> None:
    world.services.litter = 3
    world.reconciler.maintenance.prepare()
    assert world.services.litter == 0
    assert world.examiner.warm


@pytest.mark.parametrize("why", ["a worker that died", "a build that failed"])
def test_what_could_not_be_tidied_as_docker_was_away_is_tidied_when_nobody_waits(
    world: World, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    def away() -> None:
        raise ServicesError("Docker does not answer")

    def fails(_: object) -> str:
        world.services.litter = 1
        raise ServicesError("Docker does not answer")

    live = world.repository.tip
    if why == "a build that failed":
        monkeypatch.setattr(world.services, "build", fails)
        packages(world)
        world.reconciler.reconcile()
        world.repository.tip = live
    else:
        world.services.litter = 1
        worker = world.worker()
        with monkeypatch.context() as patched:
            patched.setattr(world.services, "tidy", away)
            with pytest.raises(ServicesError):
                worker.maintenance.prepare()
            worker.reconcile()
        world.reconciler = worker
    world.clock.sleep(60)
    world.reconciler.reconcile()
    assert world.services.litter == 0


@pytest.mark.parametrize(
    "text", ["nosuch\n", "pandas=2\n"], ids=["by the index", "for how it is written"]
)
def test_what_a_dead_worker_left_on_trial_is_taken_back_though_the_tip_is_refused(
    world: World, text: str
) -> None:
    world.services.refuses["nosuch\n"] = "no such package"
    world.services.breaks.add("sick\n")
    world.services.build("sick\n")
    world.services.recreate(SERVICES)
    world.airflow.slots, drained = dict.fromkeys(POOLS, 0), {"default_pool": 128, "warehouse": 4}
    world.journal.set_drained(drained)
    sha = packages(world, text)
    world.reconciler.reconcile()
    assert world.state(sha) is State.BROKEN
    assert world.services.installed() == ""
    assert steps(world, sha)[StepName.HEALTH].state == "ok"
    assert world.airflow.slots == POOLS
    assert world.journal.drained() == {}


@pytest.mark.parametrize("text", ["nosuch\n", "pandas=2\n"])
def test_a_refused_text_moves_nothing_where_it_is_known_what_runs(world: World, text: str) -> None:
    world.services.refuses["nosuch\n"] = "no such package"
    sha = packages(world, text)
    world.reconciler.reconcile()
    assert world.state(sha) is State.BROKEN
    assert world.services.recreated == []
    assert StepName.ROLLBACK not in steps(world, sha)


def test_the_parser_is_warm_again_once_packages_have_moved(world: World) -> None:
    world.examiner.warm = False
    packages(world)
    world.reconciler.reconcile()
    assert world.examiner.warm


def test_a_compose_file_that_differs_is_told_and_changes_nothing(world: World) -> None:
    world.services.stack = "services: {postgres: {image: postgres:16}}\n"
    before = world.repository.tip
    sha = world.repository.push({"docker-compose.yaml": "services: {miner: {image: coin}}\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert "differs from the operator's copy" in steps(world, sha)[StepName.PLAN].detail
    assert world.state(sha) is State.SUCCEEDED
    assert world.services.recreated == []


def test_a_compose_file_that_can_not_be_read_is_told_and_stops_nobody(world: World) -> None:
    world.services.stack_unreadable = "/etc/deployer/docker-compose.yaml can't be read"
    before = world.repository.tip
    sha = world.repository.push({"docker-compose.yaml": "services: {}\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert "can't be read" in steps(world, sha)[StepName.PLAN].detail
    assert world.state(sha) is State.SUCCEEDED
