"""Nobody waits for somebody else's slow files, and each of those gets its verdict."""

from __future__ import annotations

import pytest

from deployer.core.model import DAG_PROCESSOR, Ending, Outcome, Proof, State, Verdict
from deployer.deployment.parts import Pending, Result
from deployer.worker.carried import Carried, Carrying
from deployer.worker.reconciler import FIRST_RETRY_S
from tests.fakes.feed import Broken
from tests.fakes.world import World

SLOW, WEATHER, BIKE = "dags/lasse/slow.py", "dags/maria/weather.py", "dags/anna/bike.py"
QUICK = "dags/lasse/quick.py"
GREEN_SLOW, GREEN_WEATHER = ("success", "1 DAG: slow"), ("success", "1 DAG: weather")


@pytest.fixture
def world() -> World:
    world = World()
    world.announced(SLOW, WEATHER, BIKE, QUICK)
    world.reconciler.reconcile()
    return world


def while_waiting(world: World, *pushes: tuple[str, ...]) -> list[str]:
    """Let others push while Airflow parses; return the commits, which come as they come.

    Each at one wait for news, of which there are a few in the patience that a push has.
    """
    shas: list[str] = []

    def push(paths: tuple[str, ...]) -> None:
        if paths:
            shas.append(world.announced(*paths))
            world.reconciler.take_in()

    world.feed.while_waiting = [lambda paths=paths: push(paths) for paths in pushes]  # type: ignore[misc]  # mypy can't infer it
    return shas


def turn_until_rest(world: World, *, at_most: int = 50) -> None:
    """Take turns until there is nothing to do before the next poll."""
    for _ in range(at_most):
        wait_s = world.reconciler.reconcile()
        if wait_s is None:
            return
        world.clock.sleep(wait_s)
    raise AssertionError("the worker never rests")


def slow_push(world: World, *paths: str, seconds: float = 100) -> str:
    world.feed.slow = dict.fromkeys(paths, seconds)
    return world.announced(*paths)


def outcomes(world: World, sha: str) -> list[str]:
    return [str(verdict.outcome) for verdict in world.judging(sha).verdicts]


def test_a_neighbour_s_push_does_not_wait_for_files_that_parse_for_long(world: World) -> None:
    first = slow_push(world, SLOW)
    shas = while_waiting(world, (WEATHER,))
    began = world.clock.monotonic()
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    assert world.clock.monotonic() - began < 5
    assert world.said(shas[0])["airflow/maria"] == GREEN_WEATHER
    assert world.said(first)["airflow/lasse"][0] == "pending"
    assert world.state(first) is State.RUNNING
    live = world.journal.live()
    assert live is not None
    assert (live.sha, live.pending) == (shas[0], (SLOW,))


def test_the_slow_files_are_judged_in_their_own_time(world: World) -> None:
    first = slow_push(world, SLOW)
    while_waiting(world, (WEATHER,))
    turn_until_rest(world)
    assert world.state(first) is State.SUCCEEDED
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW
    assert world.said(first)["airflow/deploy"][0] == "success"
    assert world.clock.elapsed_s == 100  # the parse that was under way counts
    live = world.journal.live()
    assert live is not None
    assert (live.held, live.pending) == ((), ())


def test_its_commit_says_meanwhile_why_it_waits(world: World) -> None:
    first = slow_push(world, SLOW)
    while_waiting(world, (WEATHER,))
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"] == (
        "pending",
        "1 file takes long to parse; others are not kept waiting",
    )
    assert world.judging(first).steps[-1].detail == (
        "0 verdicts, 1 file parses for longer: others go first"
    )


def test_what_was_judged_before_the_cut_stays_judged(world: World) -> None:
    world.releases.contents[QUICK] = Broken()
    first = slow_push(world, SLOW)
    world.feed.slow = {SLOW: 100}
    first = world.announced(SLOW, QUICK)
    while_waiting(world, (WEATHER,))
    turn_until_rest(world)
    assert world.state(first) is State.BROKEN
    outcomes = {v.path: v.outcome for v in world.judging(first).verdicts}
    assert outcomes == {SLOW: Outcome.PARSED, QUICK: Outcome.BROKEN}


def test_a_slow_file_that_turns_out_broken_breaks_its_deployment(world: World) -> None:
    first = slow_push(world, SLOW)
    world.releases.contents[SLOW] = Broken()
    while_waiting(world, (WEATHER,))
    turn_until_rest(world)
    assert world.state(first) is State.BROKEN
    assert world.said(first)["airflow/lasse"][0] == "failure"


def test_one_of_several_slow_files_that_turns_out_broken_breaks_their_deployment(
    world: World,
) -> None:
    first = slow_push(world, SLOW, QUICK)
    world.releases.contents[SLOW] = Broken()
    while_waiting(world, (WEATHER,))
    turn_until_rest(world)
    assert world.state(first) is State.BROKEN


def test_verdicts_are_in_the_order_of_their_paths_whenever_they_came(world: World) -> None:
    world.feed.slow = {SLOW: 50, QUICK: 100}
    first = world.announced(SLOW, QUICK)
    while_waiting(world, (WEATHER,))
    turn_until_rest(world)
    assert [v.path for v in world.judging(first).verdicts] == [QUICK, SLOW]


def test_a_deployment_whose_packages_are_refused_is_broken_though_its_slow_file_is_good(
    world: World,
) -> None:
    world.services.refuses["nonsense\n"] = "there is no package nonsense"
    world.feed.slow = {SLOW: 100}
    first = world.repository.push({SLOW: "import airflow, dag\n", "requirements.txt": "nonsense\n"})
    world.deliver(first)
    while_waiting(world, (WEATHER,))
    turn_until_rest(world)
    assert world.state(first) is State.BROKEN
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW
    assert world.said(first)["airflow/deploy"][0] == "failure"


def test_each_of_several_ends_when_its_own_files_are_judged(world: World) -> None:
    world.feed.slow = {SLOW: 100, WEATHER: 20}
    first = world.announced(SLOW)
    shas = while_waiting(world, (WEATHER,), (), (), (), (BIKE,))
    ended: list[str] = []
    for _ in range(50):
        wait_s = world.reconciler.reconcile()
        for sha in (first, *shas):
            if world.state(sha).ended and sha not in ended:
                ended.append(sha)
        if wait_s is None:
            break
        world.clock.sleep(wait_s)
    second, third = shas[0], shas[-1]
    assert ended == [third, second, first]
    assert {world.state(sha) for sha in ended} == {State.SUCCEEDED}


def test_a_file_that_a_later_push_changes_is_judged_with_that(world: World) -> None:
    first = slow_push(world, SLOW, seconds=1000)

    def mended() -> None:
        world.feed.slow = {}
        shas.append(world.announced(SLOW))
        world.reconciler.take_in()

    shas: list[str] = []
    world.feed.while_waiting = [mended]
    world.releases.contents[SLOW] = ("slow",)
    turn_until_rest(world)
    assert world.said(shas[0])["airflow/lasse"] == GREEN_SLOW
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW
    assert world.clock.elapsed_s < 10


def test_a_worker_that_dies_meanwhile_leaves_them_to_the_next_one(world: World) -> None:
    first = slow_push(world, SLOW, seconds=60)
    while_waiting(world, (WEATHER,))
    world.reconciler.reconcile()
    live = world.journal.live()
    assert live is not None
    assert live.pending == (SLOW,)
    world.reconciler = world.worker()
    turn_until_rest(world)
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW
    # With what the neighbour pushed, and nothing else anew.
    assert {v.path for v in world.judging(first).verdicts} == {SLOW, WEATHER}


def test_a_verdict_stays_when_a_worker_dies_over_the_slow_files_of_somebody_else(
    world: World,
) -> None:
    first = slow_push(world, SLOW, seconds=60)
    while_waiting(world, (WEATHER,))
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    neighbour = str(world.repository.tip)
    said = world.said(neighbour)
    world.journal.set_live(None)  # as it is while what is examined by now is published
    world.reconciler = world.worker()
    turn_until_rest(world)
    assert said["airflow/deploy"][0] == "success"
    assert world.said(neighbour) == said
    assert world.said(first)["airflow/lasse"][0] == "success"


def test_a_slow_push_that_is_forced_away_ends_as_gone(world: World) -> None:
    base = world.repository.tip
    removed = slow_push(world, SLOW)

    def forced() -> None:
        sha = world.repository.push({WEATHER: "from airflow.sdk import dag  # forced\n"}, onto=base)
        world.deliver(sha, removed, forced=True)
        world.reconciler.take_in()

    world.feed.while_waiting = [forced]
    turn_until_rest(world)
    assert set(world.said(removed).values()) == {("error", "no longer on main")}


def test_a_teacher_s_request_judges_slow_files_anew_as_well(world: World) -> None:
    first = slow_push(world, SLOW)

    def request() -> None:
        world.feed.slow = {}
        world.request()
        world.reconciler.take_in()

    world.feed.while_waiting = [request]
    turn_until_rest(world)
    assert world.said(first)["airflow/lasse"] == ("success", "2 DAGs: quick, slow")
    assert world.state(first) is State.SUCCEEDED


def test_a_dag_processor_that_goes_away_leaves_nothing_pending_for_ever(world: World) -> None:
    first = slow_push(world, SLOW)
    while_waiting(world, (WEATHER,))
    world.reconciler.reconcile()
    world.feed.leave()
    for _ in range(5):
        world.reconciler.reconcile()
    assert world.said(first)["airflow/lasse"][0] == "error"
    world.feed.slow = {}
    world.feed.come()
    turn_until_rest(world)
    assert world.said(first)["airflow/lasse"] == ("success", "2 DAGs: quick, slow")


# --- files that the isolated parse takes long for ---------------------------


def pushed_meanwhile(world: World, at_s: float, *paths: str) -> list[str]:
    """Let a neighbour push at that second of a slow examination; return his commit."""
    shas: list[str] = []

    def push() -> None:
        shas.append(world.announced(*paths))
        world.reconciler.take_in()

    world.examiner.meanwhile = {world.clock.elapsed_s + at_s: push}
    return shas


def examined_for_long(world: World) -> tuple[str, str]:
    """Have a push cut short while its file is examined; return its commit and the neighbour's."""
    world.examiner.slow = {SLOW: 100}
    first = world.announced(SLOW)
    shas = pushed_meanwhile(world, 3, WEATHER)
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    return first, shas[0]


def test_a_neighbour_s_push_does_not_wait_for_files_that_are_examined_for_long(
    world: World,
) -> None:
    began = world.clock.monotonic()
    first, other = examined_for_long(world)
    assert world.clock.monotonic() - began < 5
    assert world.said(other)["airflow/maria"] == GREEN_WEATHER
    assert world.said(first)["airflow/lasse"][0] == "pending"


def test_what_is_not_yet_examined_stays_as_it_is_live_until_it_is(world: World) -> None:
    live = world.releases.live()
    assert live is not None
    kept = world.releases.whole[live.name][SLOW]
    first, other = examined_for_long(world)
    assert world.releases.whole[other][SLOW] == kept
    turn_until_rest(world, at_most=1000)
    live = world.releases.live()
    assert live is not None
    assert world.releases.whole[live.name][SLOW] != kept
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW
    assert world.state(first) is State.SUCCEEDED
    journaled = world.journal.live()
    assert journaled is not None
    assert (journaled.sha, journaled.held, journaled.pending) == (other, (), ())
    assert world.examiner.under_way == []


@pytest.mark.parametrize(("part", "method"), [("releases", "publish"), ("feed", "wait")])
def test_a_worker_that_dies_as_it_goes_on_tells_nothing_else_of_who_was_answered_meanwhile(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str, method: str
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    first, other = examined_for_long(world)
    told = world.said(other)
    assert told["airflow/deploy"][0] == "success"
    with monkeypatch.context() as dying:
        dying.setattr(getattr(world, part), method, die)
        with pytest.raises(KeyboardInterrupt):
            turn_until_rest(world, at_most=1000)
    world.examiner.slow = {}
    world.reconciler = world.worker()
    turn_until_rest(world)
    assert world.said(other) == told
    assert world.said(first)["airflow/lasse"][0] == "success"


def test_an_examination_goes_on_while_others_are_served_and_is_begun_only_once(
    world: World,
) -> None:
    world.examiner.slow = {SLOW: 100}
    world.announced(SLOW)
    pushed_meanwhile(world, 3, WEATHER)
    began = world.clock.monotonic()
    turn_until_rest(world, at_most=1000)
    assert world.clock.monotonic() - began < 105
    assert world.examiner.asked.count((SLOW,)) == 1


def test_what_moved_under_a_file_that_is_not_yet_examined_waits_with_it(world: World) -> None:
    push, help_py = world.repository.push, "dags/lasse/help.py"
    world.deliver(push({SLOW: "import airflow, dag\nimport lasse.help\n", help_py: "1"}))
    world.reconciler.reconcile()
    world.examiner.slow = {SLOW: 100}
    changed = push({help_py: "2"})
    world.deliver(changed)
    shas = pushed_meanwhile(world, 3, WEATHER)
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    assert world.releases.published[-1][2] == {SLOW, help_py}
    turn_until_rest(world, at_most=1000)
    assert world.releases.published[-1][2] == frozenset()
    assert world.releases.published[-1][0].sha == shas[0]
    assert world.said(changed)["airflow/lasse"] == GREEN_SLOW


def test_who_needs_a_module_that_waits_is_judged_with_it_and_not_with_what_is_live_meanwhile(
    world: World,
) -> None:
    push, tools = world.repository.push, "include/tools.py"
    dag = "import airflow, dag\nimport tools\n"
    world.deliver(push({SLOW: dag, WEATHER: dag, tools: "1"}))
    world.reconciler.reconcile()
    world.examiner.slow = {SLOW: 100}
    world.deliver(push({tools: "2"}))
    pushed_meanwhile(world, 3, BIKE)
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    assert world.releases.published[-1][2] == {SLOW, WEATHER, tools}
    turn_until_rest(world, at_most=1000)
    assert world.releases.published[-1][2] == frozenset()
    assert {SLOW, WEATHER} <= world.releases.published[-1][1]


def test_a_slow_file_that_turns_out_to_hurt_others_is_held_and_its_live_version_stays(
    world: World,
) -> None:
    live = world.releases.live()
    assert live is not None
    kept = world.releases.whole[live.name][SLOW]
    world.examiner.slow = {SLOW: 100}
    world.examiner.finds(SLOW, harm="did not finish parsing within 25 s")
    first = world.announced(SLOW)
    pushed_meanwhile(world, 3, WEATHER)
    turn_until_rest(world, at_most=1000)
    live = world.releases.live()
    assert live is not None
    assert world.releases.whole[live.name][SLOW] == kept
    assert world.said(first)["airflow/lasse"] == (
        "failure",
        "slow.py is held: did not finish parsing within 25 s",
    )
    journaled = world.journal.live()
    assert journaled is not None
    assert (journaled.held, journaled.pending) == ((SLOW,), ())


def test_what_makes_a_slow_file_of_others_hurt_is_held_with_it(world: World) -> None:
    push, tools = world.repository.push, "include/tools.py"
    world.deliver(push({SLOW: "import airflow, dag\nimport tools\n", tools: "1"}))
    world.reconciler.reconcile()
    world.examiner.slow = {SLOW: 100}
    world.examiner.finds(SLOW, harm="did not finish parsing within 25 s")
    changed = push({tools: "2"})
    world.deliver(changed)
    pushed_meanwhile(world, 3, WEATHER)
    turn_until_rest(world, at_most=1000)
    assert world.releases.published[-1][2] == {SLOW, tools}
    assert world.said(changed)["airflow/deploy"][1].startswith(f"{tools} is held: with it {SLOW} ")


def test_what_a_later_push_mends_is_not_held_for_what_its_text_of_before_did(world: World) -> None:
    world.examiner.slow = {SLOW: 100, BIKE: 100}
    world.examiner.finds(SLOW, harm="exits the process")
    first = world.announced(SLOW, BIKE)
    shas: list[str] = []

    def mend() -> None:
        world.examiner.slow = {}
        world.examiner.finds(SLOW, dag_ids=("slow",))
        shas.append(world.announced(SLOW))
        world.reconciler.take_in()

    world.examiner.meanwhile = {world.clock.elapsed_s + 3: mend}
    turn_until_rest(world, at_most=1000)
    assert world.said(shas[0])["airflow/lasse"] == GREEN_SLOW
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW
    assert world.said(first)["airflow/anna"] == ("success", "1 DAG: bike")
    journaled = world.journal.live()
    assert journaled is not None
    assert (journaled.held, journaled.pending) == ((), ())
    assert world.examiner.under_way == []


def test_what_a_later_push_changes_and_is_cut_short_for_too_is_not_held_for_its_text_of_before(
    world: World,
) -> None:
    world.examiner.slow = {SLOW: 100, BIKE: 100}
    world.examiner.finds(SLOW, harm="exits the process")
    first = world.announced(SLOW, BIKE)
    shas: list[str] = []

    def change() -> None:
        world.examiner.finds(SLOW, dag_ids=("slow",))
        shas.append(world.announced(SLOW))
        pushed_meanwhile(world, 3, WEATHER)
        world.reconciler.take_in()

    world.examiner.meanwhile = {world.clock.elapsed_s + 3: change}
    turn_until_rest(world, at_most=1000)
    assert [world.said(sha)["airflow/lasse"] for sha in (first, *shas)] == [GREEN_SLOW] * 2
    assert {outcome for sha in (first, *shas) for outcome in outcomes(world, sha)} == {"parsed"}


def test_a_file_that_takes_long_to_examine_and_to_parse_is_published_once(world: World) -> None:
    world.examiner.slow = world.feed.slow = {SLOW: 100}
    first = world.announced(SLOW)
    pushed_meanwhile(world, 3, WEATHER)
    for _ in range(1000):
        if any(SLOW in touch for _, touch, _ in world.releases.published[1:]):
            break
        world.clock.sleep(world.reconciler.reconcile() or 0)
        while_waiting(world, (), (), (), (BIKE,))  # which cuts the wait for its parse short
    turn_until_rest(world, at_most=1000)
    assert [SLOW in touch for _, touch, _ in world.releases.published[1:]].count(True) == 1
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW


def test_a_disk_that_is_full_as_it_goes_on_costs_nobody_a_verdict(world: World) -> None:
    first, other = examined_for_long(world)
    told = world.said(other)
    world.examiner.slow = {}
    world.releases.full = True
    for _ in range(1000):
        if world.reconciler.reconcile() != 0.0:  # it has waited, and can't publish
            break
    else:
        pytest.fail("the worker never rests")
    assert world.said(first)["airflow/lasse"][0] in {"pending", "error"}
    world.releases.full = False
    turn_until_rest(world, at_most=1000)
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW
    assert world.said(other) == told


def carried_after_an_error(world: World) -> str:
    """Have a slow file's first deployment fail, and its second cut short; return its commit."""
    world.releases.full = True
    sha = world.announced(SLOW)
    world.reconciler.reconcile()
    world.releases.full = False
    world.feed.slow = {SLOW: 1000}
    world.releases.contents[SLOW] = Broken()
    world.announced(WEATHER)
    while_waiting(world, (), (BIKE,))
    for _ in range(8):
        world.clock.sleep(max(world.reconciler.reconcile() or 0, 5))
    return sha


def test_who_was_in_error_is_told_nothing_while_its_slow_file_is_not_judged(world: World) -> None:
    sha = carried_after_an_error(world)
    assert world.said(sha)["airflow/lasse"][0] == "error"


def test_who_was_in_error_is_told_of_its_slow_file_though_the_worker_is_started_anew(
    world: World,
) -> None:
    sha = carried_after_an_error(world)
    world.reconciler, world.feed.slow = world.worker(), {}
    turn_until_rest(world)
    assert world.said(sha)["airflow/lasse"][0] == "failure"


def test_a_parser_that_fails_in_the_middle_costs_nobody_a_verdict(world: World) -> None:
    first, other = examined_for_long(world)
    world.examiner.close()  # its container was removed
    world.examiner.slow = {}
    turn_until_rest(world, at_most=1000)
    assert world.said(first)["airflow/lasse"][0] == "success"
    assert world.said(other)["airflow/maria"][0] == "success"


def test_a_slow_file_that_is_deleted_by_a_later_push_ends_as_deleted(world: World) -> None:
    first = slow_push(world, SLOW, seconds=1000)

    def deleted() -> None:
        before = world.repository.tip
        world.deliver(world.repository.push({SLOW: None}), before)
        world.reconciler.take_in()

    world.feed.while_waiting = [deleted]
    turn_until_rest(world)
    assert world.said(first)["airflow/lasse"] == ("success", "deleted: slow.py")
    assert world.clock.elapsed_s < 10


def test_a_commit_that_is_told_while_the_one_that_holds_it_is_carried_ends_with_it(
    world: World,
) -> None:
    before = world.repository.tip
    first = world.push(QUICK)
    second = slow_push(world, SLOW)
    while_waiting(world, (WEATHER,))
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    world.deliver(first, before)
    fetches = world.repository.fetches
    turn_until_rest(world)
    assert world.said(first)["airflow/deploy"][1].startswith(f"deployed as part of {second[:7]}")
    assert world.journal.unfinished() == ()
    assert world.repository.fetches - fetches <= 4


def test_who_can_t_go_on_is_tried_again_later(world: World) -> None:
    slow_push(world, SLOW)
    while_waiting(world, (WEATHER,))
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    world.feed.leave()
    assert world.reconciler.reconcile() == FIRST_RETRY_S


def test_a_dag_processor_that_ends_once_while_slow_files_are_waited_for_costs_nobody_anything(
    world: World,
) -> None:
    first = slow_push(world, SLOW, seconds=20)
    while_waiting(world, (WEATHER,))
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    live = world.releases.live()
    assert live is not None
    world.feed.while_waiting = [lambda: world.services.die(DAG_PROCESSOR)]
    swaps = len(world.releases.swaps)
    turn_until_rest(world)
    assert world.releases.swaps[swaps] == live.name
    assert world.said(first)["airflow/lasse"] == GREEN_SLOW


# --- what is carried --------------------------------------------------------


def cut_short(number: int, carrying: Carrying, pending: Pending) -> Carried:
    """Carry a deployment of nothing but what it was cut short for."""
    ending = Ending(f"{number}" * 40, State.SUCCEEDED)
    return carrying.add(number, Result(ending, pending=pending), (), ())


def of_one_release(name: str, *paths: str) -> Pending:
    return Pending(unjudged=dict.fromkeys(paths, frozenset({name})))


def parsed(path: str) -> Verdict:
    return Verdict(path, Outcome.PARSED, proof=Proof.RELEASE)


def test_modules_that_wait_with_a_file_have_nobody_who_judged_them_either() -> None:
    carrying = Carrying(lambda _: None)
    cut_short(1, carrying, Pending(frozenset({SLOW}), frozenset({"include/help.py"})))
    assert carrying.pending == {SLOW, "include/help.py"}


def test_a_file_that_two_wait_for_is_judged_by_any_release_that_holds_its_text() -> None:
    carrying = Carrying(lambda _: None)
    cut_short(1, carrying, of_one_release("r1", SLOW))
    cut_short(2, carrying, of_one_release("r2", SLOW, WEATHER))
    assert carrying.beside().files == {SLOW: {"r1", "r2"}, WEATHER: {"r2"}}


def test_who_goes_on_does_not_wait_for_its_own_files_beside() -> None:
    carrying = Carrying(lambda _: None)
    first = cut_short(1, carrying, of_one_release("r1", SLOW))
    cut_short(2, carrying, of_one_release("r2", WEATHER))
    assert carrying.beside(first).files == {WEATHER: {"r2"}}


def test_the_text_of_a_file_that_waits_is_in_each_later_release_as_well() -> None:
    carrying = Carrying(lambda _: None)
    carried = cut_short(1, carrying, of_one_release("r1", SLOW))
    carrying.after(Result(Ending("2" * 40, State.SUCCEEDED)), "r2")
    assert carried.pending.unjudged == {SLOW: {"r1", "r2"}}


def test_what_has_its_verdict_is_seen_to_no_more() -> None:
    carrying = Carrying(lambda _: None)
    carried = cut_short(1, carrying, of_one_release("r1", SLOW, WEATHER))
    carrying.judged(parsed(SLOW))
    assert carried.pending == of_one_release("r1", WEATHER)
    assert carrying.pending == {WEATHER}


def test_the_one_that_waits_for_the_fewest_files_goes_on_first() -> None:
    carrying = Carrying(lambda _: None)
    cut_short(1, carrying, of_one_release("r1", SLOW, WEATHER))
    second = cut_short(2, carrying, of_one_release("r2", BIKE))
    assert carrying.next is second


def test_what_goes_on_keeps_the_verdicts_that_were_open_to_nobody() -> None:
    ended: list[Ending] = []
    carrying = Carrying(lambda carried: ended.append(carried.ending))
    mine = cut_short(1, carrying, of_one_release("r1", SLOW))
    held = Verdict("include/help.py", Outcome.HELD, proof=Proof.NONE)
    result = Result(Ending("1" * 40, State.BROKEN, verdicts=(held, parsed(SLOW))))
    carrying.after(result, "r2", mine=mine)
    assert [ending.verdicts for ending in ended] == [(parsed(SLOW), held)]


def test_of_those_that_are_carried_only_the_ones_that_are_named_are_dropped() -> None:
    carrying = Carrying(lambda _: None)
    cut_short(1, carrying, of_one_release("r1", SLOW))
    cut_short(2, carrying, of_one_release("r2", WEATHER))
    carrying.drop({1})
    assert carrying.ids == {2}
