"""Every announced commit gets exactly one end, whatever comes in between."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from deployer.core.model import (
    Deployment,
    LeftOut,
    Live,
    Outcome,
    ParseError,
    Proof,
    Running,
    State,
    StatusState,
    StepName,
    Tree,
    Trigger,
)
from deployer.errors import DiskError, GitError, JournalError, PusherError, UnknownCommit
from deployer.ports import Edits
from deployer.worker.maintenance import ASKED_ABOUT, PRUNE_EVERY_S, QUIET_S, Maintenance
from tests.fakes.feed import Broken
from tests.fakes.world import SERVICES, World

TAXI, WEATHER, HELLO = "dags/lasse/taxi.py", "dags/maria/weather.py", "dags/class_demo/hello.py"


@pytest.fixture
def world() -> World:
    """Return a class with two students, whose first deployment is over."""
    world = World()
    world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    return world


def planned(judged: Deployment) -> str:
    (step,) = (step for step in judged.steps if step.name is StepName.PLAN)
    return step.detail


# --- the main job ----------------------------------------------------------


def test_the_first_deployment_judges_every_dag_file() -> None:
    world = World()
    sha = world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    judged = world.judging(sha)
    assert judged.state is State.SUCCEEDED
    assert [v.path for v in judged.verdicts] == [TAXI, WEATHER]
    assert {v.proof for v in judged.verdicts} == {Proof.RELEASE}
    assert world.journal.live() == Live(sha)


def test_a_changed_file_is_published_parsed_and_reported(world: World) -> None:
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha) == {
        "airflow/deploy": ("success", "live: 1 file parsed in 0.0 s"),
        "airflow/lasse": ("success", "1 DAG: taxi"),
    }
    assert world.judging(sha).base_sha is not None
    assert [s.name for s in world.judging(sha).steps] == [
        StepName.FETCH,
        StepName.PLAN,
        StepName.PREFLIGHT,
        StepName.PUBLISH,
        StepName.PARSE,
    ]


@pytest.mark.parametrize("announced", ["before git is asked", "while it answers", "never"])
def test_a_deployment_begins_with_its_first_step(
    world: World, monkeypatch: pytest.MonkeyPatch, announced: str
) -> None:
    before, fetch = world.repository.tip, world.repository.fetch
    sha = world.push(TAXI)

    def slow() -> str:
        world.clock.sleep(1)
        if announced == "while it answers":
            world.deliver(sha, before)
            world.reconciler.take_in()
        world.clock.sleep(1)
        return fetch()

    monkeypatch.setattr(world.repository, "fetch", slow)
    if announced == "before git is asked":
        world.deliver(sha, before)
    world.reconciler.reconcile()
    judged = world.judging(sha)
    steps = [at for step in judged.steps for at in (step.started_at, step.finished_at)]
    assert judged.started_at == steps[0]
    assert judged.queued_at <= steps[0]
    assert steps == sorted(steps)
    assert steps[1] == world.clock.now()


def test_each_step_says_what_came_of_it(world: World) -> None:
    sha = world.announced(TAXI, HELLO)
    world.reconciler.reconcile()
    assert [step.detail for step in world.judging(sha).steps[1:]] == [
        "2 to parse",
        "2 examined, 0 held",
        f"release {sha}, 2 written",
        "2 verdicts",
    ]


def test_the_step_that_others_wait_for_can_be_seen_while_it_runs(world: World) -> None:
    seen: list[Running | None] = []
    sha = world.announced(TAXI)
    world.feed.while_waiting = [lambda: seen.append(world.judging(sha).running)]
    world.reconciler.reconcile()
    assert seen == [Running(StepName.PARSE, world.clock.now())]
    assert world.judging(sha).running is None


def test_a_commit_is_told_how_long_it_took_and_how_much_of_that_it_waited(world: World) -> None:
    sha = world.announced(TAXI)
    world.reconciler.take_in()
    world.clock.sleep(4)
    world.feed.slow = {TAXI: 2.5}
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == (
        "success",
        "live: 1 file parsed in 6.5 s, 4.0 s of them waiting",
    )


def test_what_came_while_no_worker_ran_waited_from_then_on(world: World) -> None:
    sha = world.announced(TAXI)
    world.clock.sleep(270)
    world.reconciler.take_in()
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == (
        "success",
        "live: 1 file parsed in 270.0 s, 270.0 s of them waiting",
    )


def test_a_broken_file_is_live_and_red_in_its_own_folder(world: World) -> None:
    world.breaks(WEATHER)
    sha = world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.state(sha) is State.BROKEN
    assert world.journal.live() == Live(sha)
    assert world.said(sha)["airflow/deploy"][0] == "success"
    assert world.said(sha)["airflow/maria"] == (
        "failure",
        "weather.py:2 ModuleNotFoundError: No module named 'nothing_of_that_name'",
    )


def test_a_deleted_file_is_told_when_airflow_shows_it_no_more(world: World) -> None:
    before = world.repository.tip
    sha = world.repository.push({TAXI: None})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert [v.outcome for v in world.judging(sha).verdicts] == [Outcome.DELETED]
    assert world.said(sha)["airflow/lasse"] == ("success", "deleted: taxi.py")


def test_a_file_that_airflow_looks_at_no_more_is_told_of_once(world: World) -> None:
    sha = world.repository.push({TAXI: "x = 1"})
    world.deliver(sha)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "gone from Airflow: taxi.py")
    world.request()
    world.reconciler.reconcile()
    assert [v.path for v in world.judging(sha).verdicts] == [WEATHER]


def test_a_file_that_is_deleted_while_it_is_not_known_what_is_live_is_told_too(
    world: World,
) -> None:
    world.breaks(TAXI)
    world.announced(TAXI)
    world.reconciler.reconcile()
    before = world.repository.tip
    sha = world.repository.push({TAXI: None})
    world.deliver(sha, before)
    world.request()
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "deleted: taxi.py")
    assert world.journal.standing().red == ()
    assert world.journal.judged() == {WEATHER}


def test_a_push_without_dag_files_goes_live_without_waiting_for_airflow(world: World) -> None:
    asked = len(world.feed.asked)
    sha = world.announced("README.md")
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert len(world.feed.asked) == asked


def test_a_commit_is_pending_as_soon_as_it_is_taken_in(world: World) -> None:
    sha = world.announced(TAXI)
    assert world.reconciler.take_in()
    assert world.said(sha) == {"airflow/deploy": ("pending", "on its way to Airflow")}
    assert world.state(sha) is State.QUEUED


def test_a_push_right_after_a_request_is_taken_in_with_it(world: World) -> None:
    world.request()
    sha = world.announced(TAXI)
    assert world.reconciler.take_in()
    assert world.said(sha) == {"airflow/deploy": ("pending", "on its way to Airflow")}


def test_the_outbox_is_told_at_once_of_what_is_owed(world: World) -> None:
    told: list[int] = []
    world.parts = replace(
        world.parts,
        owed=lambda: told.append(len(world.journal.due(world.clock.now(), limit=99))),
    )
    reconciler = world.worker()
    owed_before = len(world.journal.due(world.clock.now(), limit=99))
    world.announced(TAXI)
    reconciler.reconcile()
    assert [count - owed_before for count in told] == [1, 2, 2]


@pytest.mark.parametrize(
    ("way", "told"),
    [
        ("it never comes", "no longer on main"),
        ("it is rolled back", "rolled back to "),
        ("it is frozen", "frozen: exam"),
    ],
)
def test_the_outbox_is_told_at_once_of_a_commit_that_is_not_deployed(
    world: World, way: str, told: str
) -> None:
    def due() -> list[str]:
        return [one.status.description for one in world.journal.due(world.clock.now(), limit=99)]

    seen: list[list[str]] = []
    before = str(world.repository.tip)
    world.announced(TAXI)
    world.reconciler.reconcile()
    world.parts = replace(world.parts, owed=lambda: seen.append(due()))
    reconciler = world.worker()
    if way == "it never comes":
        world.deliver("f" * 40, before)
        reconciler.reconcile()
        world.clock.sleep(61)
    elif way == "it is rolled back":
        world.roll_back(before)
    else:
        world.freeze()
        world.announced(HELLO)
    reconciler.reconcile()
    assert any(words.startswith(told) for words in seen[-1])


# --- what others share -----------------------------------------------------

HELP, USES_HELP = "include/help.py", "from airflow.sdk import dag\nfrom include.help import name\n"


def with_a_shared_helper(world: World) -> None:
    world.repository.push({HELP: "name = 1\n", TAXI: USES_HELP})
    world.reconciler.reconcile()


@pytest.mark.parametrize("beside", [(), ("README.md",), (".github/workflows/check.yml",)])
def test_a_push_that_breaks_files_of_others_is_red(world: World, beside: tuple[str, ...]) -> None:
    with_a_shared_helper(world)
    world.breaks(TAXI)
    sha = world.announced(HELP, *beside)
    world.reconciler.reconcile()
    assert world.said(sha) == {
        "airflow/deploy": (
            "failure",
            "breaks lasse/taxi.py:2 ModuleNotFoundError: No module named 'nothing_of_that_name'",
        )
    }


def test_who_breaks_what_stays_in_the_place_of_something_else_is_told_so(world: World) -> None:
    helper = "dags/lasse/names.py"
    uses = "from airflow.sdk import dag\nfrom lasse.names import name\n"
    world.repository.push({helper: "name = 1\n", TAXI: uses})
    world.reconciler.reconcile()
    for changes in ({TAXI: None}, {helper: "name = 2\n"}):
        before, sha = world.repository.tip, world.repository.push(changes)
        world.repository.left_out[sha] = (LeftOut(TAXI, "the link leads to nothing"),)
        world.deliver(sha, before)
        world.reconciler.reconcile()
        world.breaks(TAXI)
    assert world.said(sha)["airflow/lasse"] == (
        "failure",
        "taxi.py:2 ModuleNotFoundError: No module named 'nothing_of_that_name'",
    )


def test_a_file_that_is_no_python_reddens_no_other_commit_of_its_folder(world: World) -> None:
    world.repository.push({TAXI: "from airflow.sdk import dag\ndef (:\n"})
    world.releases.contents[TAXI] = Broken("SyntaxError: invalid syntax")
    world.reconciler.reconcile()
    sha = world.announced("dags/lasse/other.py")
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: other")
    told = "live: 1 of 2 files parsed in 0.0 s; 1 broken; lasse/taxi.py:2 SyntaxError: "
    assert world.said(sha)["airflow/deploy"] == ("success", f"{told}invalid syntax")


def test_a_helper_that_is_held_stays_so_when_all_is_judged_anew(world: World) -> None:
    with_a_shared_helper(world)
    world.examiner.finds(TAXI, harm="exits the process")
    sha = world.announced(HELP)
    world.reconciler.reconcile()
    said = world.said(sha)
    assert said["airflow/deploy"][1].startswith(f"{HELP} is held: with it {TAXI} exits the process")
    world.request()
    world.reconciler.reconcile()
    assert world.releases.published[-1][2] == {HELP, TAXI}
    assert world.said(sha) == said
    assert {v.path for v in world.journal.standing().red} == {HELP, TAXI}


def test_a_helper_that_is_held_stays_so_though_its_file_moved_and_all_is_judged_anew(
    world: World,
) -> None:
    with_a_shared_helper(world)
    world.examiner.finds(TAXI, harm="exits the process")
    world.announced(HELP)
    world.reconciler.reconcile()
    before = world.repository.tip
    world.deliver(world.repository.push({TAXI: f"{USES_HELP}# 2"}), before)
    world.reconciler.reconcile()
    assert world.releases.published[-1][2] == {HELP, TAXI}
    world.request()
    world.reconciler.reconcile()
    assert world.releases.published[-1][2] == {HELP, TAXI}


def test_of_a_helper_that_was_held_and_mended_nothing_is_told_any_more(world: World) -> None:
    with_a_shared_helper(world)
    world.examiner.finds(TAXI, harm="exits the process")
    world.announced(HELP)
    world.reconciler.reconcile()
    world.examiner.finds(TAXI, dag_ids=("taxi",))
    sha = world.announced(HELP)
    world.reconciler.reconcile()
    assert world.journal.standing().red == ()
    world.request()
    world.reconciler.reconcile()
    assert [v.path for v in world.judging(sha).verdicts] == [TAXI, WEATHER]


@pytest.mark.parametrize("wished", [1, 2])
def test_a_push_that_broke_files_of_others_is_red_when_all_is_judged_anew(
    world: World, wished: int
) -> None:
    with_a_shared_helper(world)
    world.breaks(TAXI)
    sha = world.announced(HELP)
    world.reconciler.reconcile()
    said = world.said(sha)
    for _ in range(wished):
        world.request()
        world.reconciler.reconcile()
    assert world.said(sha) == said


def test_a_folder_is_green_for_who_left_its_bad_file_alone_when_all_is_judged_anew(
    world: World,
) -> None:
    world.breaks(TAXI)
    world.announced(TAXI)
    world.reconciler.reconcile()
    sha = world.announced("dags/lasse/fares.py")
    world.reconciler.reconcile()
    world.request()
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: fares")


def test_a_folder_is_green_for_who_wakes_its_held_file_alone(world: World) -> None:
    with_a_shared_helper(world)
    fares = world.repository.push({"dags/lasse/fares.py": f"{USES_HELP}# 2"})
    world.deliver(fares)
    world.reconciler.reconcile()
    for path in (TAXI, "dags/lasse/fares.py"):
        world.examiner.finds(path, harm="exits the process")
    world.announced(HELP)
    world.reconciler.reconcile()
    before = world.repository.tip
    sha = world.repository.push({"dags/lasse/fares.py": None})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert TAXI in {v.path for v in world.judging(sha).verdicts}
    assert world.said(sha)["airflow/lasse"] == ("success", "deleted: fares.py")


@pytest.mark.parametrize("wished", [0, 1])
@pytest.mark.parametrize("path", ["dags/lasse/.airflowignore", "requirements.txt"])
def test_a_folder_is_red_for_who_lets_airflow_read_its_bad_file(
    world: World, path: str, wished: int
) -> None:
    texts = {"dags/lasse/.airflowignore": "old.py", "requirements.txt": "pandas==1"}
    old = {"dags/lasse/old.py": "from airflow.sdk import dag\nimport pandas\n"}
    world.deliver(world.repository.push({path: texts[path], **old}))
    world.reconciler.reconcile()
    world.breaks("dags/lasse/old.py")
    world.examiner.finds("dags/lasse/old.py", error=ParseError("ImportError", "no"))
    before = world.repository.tip
    sha = world.repository.push({path: None, "dags/lasse/fares.py": "from airflow.sdk import dag"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    for _ in range(wished):
        world.request()
        world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"][1].startswith("old.py:2 ModuleNotFoundError")


def test_a_folder_is_green_for_who_lets_airflow_read_no_other_file(world: World) -> None:
    world.breaks(TAXI)
    world.announced(TAXI)
    sha = world.announced("dags/lasse/.airflowignore")
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "live; no DAG in what changed")


def test_who_changes_a_file_answers_for_the_links_that_lead_to_it(world: World) -> None:
    shared, asked = "include/shared.py", "include/requirements.txt"
    world.repository.links |= {TAXI: shared, "requirements.txt": asked}
    world.repository.push({shared: "from airflow.sdk import dag\n", asked: "pandas\n"})
    world.reconciler.reconcile()
    world.breaks(TAXI)
    world.services.refuses["nonsense\n"] = "there is no package nonsense"
    sha = world.announced(shared)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "failure"
    assert world.said(sha)["airflow/deploy"][1].startswith("breaks lasse/taxi.py:2 ")
    sha = world.repository.push({asked: "nonsense\n"})
    world.deliver(sha)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == (
        "failure",
        "requirements.txt:1 there is no package nonsense; packages kept",
    )


def test_who_changes_nothing_that_a_link_leads_to_does_not_answer_for_it(world: World) -> None:
    shared = "include/shared.py"
    world.repository.links[TAXI] = shared
    world.repository.push({shared: "from airflow.sdk import dag\n"})
    world.reconciler.reconcile()
    world.breaks(TAXI)
    breaking, innocent = world.announced(shared), world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.said(breaking)["airflow/deploy"][0] == "failure"
    assert world.said(innocent)["airflow/deploy"][0] == "success"


def test_who_changes_what_a_link_to_a_helper_leads_to_answers_for_who_needs_that(
    world: World,
) -> None:
    text = "include/help_2.py"
    world.repository.links[HELP] = text
    world.repository.push({text: "name = 1\n", TAXI: USES_HELP})
    world.reconciler.reconcile()
    world.breaks(TAXI)
    sha = world.announced(text)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "failure"
    assert world.said(sha)["airflow/deploy"][1].startswith("breaks lasse/taxi.py:2 ")


@pytest.mark.parametrize(
    ("target", "context", "says"),
    [
        ("include/shared.py", "airflow/deploy", "breaks lasse/taxi.py is held: the link leads"),
        ("dags/lasse/shared.py", "airflow/lasse", "taxi.py is held: the link leads"),
    ],
)
def test_who_takes_away_what_a_link_leads_to_answers_for_the_link(
    world: World, target: str, context: str, says: str
) -> None:
    world.repository.links[TAXI] = target
    world.repository.push({target: "from airflow.sdk import dag\n"})
    world.reconciler.reconcile()
    sha = world.repository.push({target: None})
    world.repository.left_out[sha] = (LeftOut(TAXI, "the link leads to nothing"),)
    world.deliver(sha)
    world.reconciler.reconcile()
    state, words = world.said(sha)[context]
    assert (state, words[: len(says)]) == ("failure", says)


def test_a_helper_right_under_dags_answers_for_what_is_broken_there(world: World) -> None:
    root = "dags/root.py"
    world.breaks(root)
    world.repository.push({root: "from airflow.sdk import dag\nimport help\n"})
    world.reconciler.reconcile()
    sha = world.announced("dags/help.py")
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "failure"


def test_a_push_that_leaves_files_of_others_as_broken_as_they_were_is_green(world: World) -> None:
    with_a_shared_helper(world)
    world.breaks(TAXI)
    world.repository.push({TAXI: f"{USES_HELP}# more\n"})
    world.reconciler.reconcile()
    sha = world.announced(HELP)
    world.reconciler.reconcile()
    state, text = world.said(sha)["airflow/deploy"]
    assert state == "success"
    assert "lasse/taxi.py:2 ModuleNotFoundError" in text


def test_of_pushes_that_go_live_together_only_the_one_that_breaks_others_is_red(
    world: World,
) -> None:
    with_a_shared_helper(world)
    world.breaks(TAXI)
    breaking, innocent = world.announced(HELP), world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.said(innocent)["airflow/deploy"][0] == "success"
    state, text = world.said(breaking)["airflow/deploy"]
    assert state == "failure"
    assert text.startswith(f"deployed as part of {innocent[:7]}: breaks lasse/taxi.py:2")


def test_who_changes_a_helper_does_not_answer_for_a_file_that_its_author_changed_as_well(
    world: World,
) -> None:
    with_a_shared_helper(world)
    world.breaks(TAXI)
    helper = world.announced(HELP)
    broken = world.repository.push({TAXI: f"{USES_HELP}# more\n"})
    world.deliver(broken, helper)
    world.reconciler.reconcile()
    assert world.said(broken)["airflow/lasse"][0] == "failure"
    assert world.said(helper)["airflow/deploy"][0] == "success"


def test_one_s_own_broken_files_redden_one_s_folder_and_not_the_deployment(world: World) -> None:
    helper = "dags/lasse/helper.py"
    world.repository.push(
        {helper: "name = 1\n", TAXI: "from airflow.sdk import dag\nimport lasse.helper\n"}
    )
    world.reconciler.reconcile()
    world.breaks(TAXI)
    sha = world.announced(helper)
    world.reconciler.reconcile()
    assert {name: state for name, (state, _) in world.said(sha).items()} == {
        "airflow/deploy": "success",
        "airflow/lasse": "failure",
    }


# --- several pushes --------------------------------------------------------


@pytest.mark.parametrize("beside", ["README.md", "dags/lasse/README.md", "dags/lasse/other.py"])
def test_who_broke_nothing_is_green_though_somebody_breaks_the_folder_just_before(
    world: World, beside: str
) -> None:
    world.breaks(TAXI)
    breaking, innocent = world.announced(TAXI), world.announced(beside)
    world.reconciler.reconcile()
    assert world.judging(innocent).covers == (breaking, innocent)
    assert world.said(breaking)["airflow/lasse"][0] == "failure"
    assert {state for state, _ in world.said(innocent).values()} == {"success"}
    assert "lasse/taxi.py:2 ModuleNotFound" in world.said(innocent)["airflow/deploy"][1]


def test_who_broke_nothing_is_green_though_somebody_breaks_the_folder_just_after(
    world: World,
) -> None:
    innocent = world.announced("dags/lasse/other.py")
    world.breaks(TAXI)
    breaking = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(innocent)["airflow/lasse"] == ("success", "1 DAG: other")
    assert world.said(breaking)["airflow/lasse"][0] == "failure"


def test_who_broke_nothing_is_green_in_the_first_deployment_too() -> None:
    world = World()
    world.breaks(TAXI)
    breaking, innocent = world.announced(TAXI), world.announced("dags/lasse/other.py")
    world.reconciler.reconcile()
    assert world.said(breaking)["airflow/lasse"][0] == "failure"
    assert world.said(innocent)["airflow/lasse"] == ("success", "1 DAG: other")


def test_what_the_first_commit_can_t_publish_is_red_and_the_rest_is_live() -> None:
    world = World()
    link = "dags/lasse/link.py"
    sha = world.announced(TAXI)
    world.repository.left_out[sha] = (LeftOut(link, "the link leads to nothing"),)
    world.reconciler.reconcile()
    outcomes = {verdict.path: verdict.outcome for verdict in world.judging(sha).verdicts}
    assert outcomes == {TAXI: Outcome.PARSED, link: Outcome.HELD}


def test_what_another_commit_can_t_publish_colours_its_own_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    submodule = "dags/lasse/sub"
    mine = world.announced("dags/lasse/other.py")
    theirs = world.repository.push({submodule: "a commit"})
    world.deliver(theirs, mine)
    world.repository.left_out[theirs] = (LeftOut(submodule, "is a submodule"),)
    tree = world.repository.tree

    def without(sha: str) -> Tree:
        whole = tree(sha)
        return replace(whole, files={p: f for p, f in whole.files.items() if p != submodule})

    monkeypatch.setattr(world.repository, "tree", without)
    world.reconciler.reconcile()
    assert world.said(theirs)["airflow/lasse"][0] == "failure"
    assert world.said(mine)["airflow/lasse"] == ("success", "1 DAG: other")


@pytest.mark.parametrize("all_of_it", [False, True])
def test_a_mirror_that_can_t_be_read_in_the_end_costs_no_verdict(
    world: World, monkeypatch: pytest.MonkeyPatch, *, all_of_it: bool
) -> None:
    tree, confirm = world.repository.tree, world.releases.confirm
    judged: list[str] = []

    def read(sha: str) -> Tree:
        if judged and (all_of_it or sha == before):
            raise GitError("the mirror can't be read: Input/output error")
        return tree(sha)

    def confirmed(name: str) -> None:
        judged.append(name)
        confirm(name)

    monkeypatch.setattr(world.repository, "tree", read)
    monkeypatch.setattr(world.releases, "confirm", confirmed)
    world.breaks(TAXI)
    before, sha = world.repository.tip, world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"][0] == "failure"


def test_a_tip_without_its_delivery_is_told_what_differs_from_that_to_which_the_branch_was_set_back(
    world: World,
) -> None:
    kept = world.announced(TAXI)
    world.reconciler.reconcile()
    removed = world.announced(WEATHER)
    world.reconciler.reconcile()
    world.repository.tip = kept
    world.releases.full = True
    world.deliver(kept, removed, forced=True)
    world.reconciler.reconcile()
    world.releases.full = False
    sha = world.push(HELLO)  # its delivery is lost
    for _ in range(6):
        world.clock.sleep(max(world.reconciler.reconcile() or 0, 30))
    assert world.said(sha).keys() == {"airflow/deploy", "airflow/class_demo"}


def test_a_helper_answers_for_what_it_breaks_in_a_file_that_changes_with_it(world: World) -> None:
    helper = "dags/lasse/helper.py"
    world.breaks(TAXI)
    text = "from airflow.sdk import dag\nimport lasse.helper\n"
    first = world.repository.push({TAXI: text})
    world.deliver(first)
    helping = world.announced(helper)
    world.reconciler.reconcile()
    assert {world.said(sha)["airflow/lasse"][0] for sha in (first, helping)} == {"failure"}


def test_who_ends_that_a_broken_file_is_ignored_is_told_of_it(world: World) -> None:
    ignore = "dags/lasse/.airflowignore"
    world.breaks(TAXI)
    world.repository.push({ignore: "taxi.py\n", TAXI: "from airflow.sdk import dag\n"})
    world.reconciler.reconcile()
    sha = world.repository.push({ignore: "old.py\n"})
    world.deliver(sha)
    world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"][0] == "failure"


def test_an_overtaken_commit_ends_as_the_one_that_overtook_it(world: World) -> None:
    first, second = world.announced(TAXI), world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.judging(first) == world.judging(second)
    assert world.judging(second).covers == (first, second)
    assert world.said(first) == {
        "airflow/deploy": (
            "success",
            f"deployed as part of {second[:7]}: live: 2 files parsed in 0.0 s",
        ),
        "airflow/lasse": ("success", "1 DAG: taxi"),
    }
    states = {d.sha: d.state for d in world.journal.deployments(limit=3)}
    assert states[first] is State.SUPERSEDED


def test_deliveries_out_of_order_deploy_the_tip_once(world: World) -> None:
    before = world.repository.tip
    first = world.push(TAXI)
    second = world.push(TAXI)
    world.deliver(second, first)
    world.deliver(first, before)
    world.reconciler.reconcile()
    assert world.releases.swaps[-1] == second
    assert world.said(first)["airflow/deploy"][0] == "success"
    assert world.said(second)["airflow/deploy"][0] == "success"


def shown_early(world: World) -> tuple[str, str, str]:
    """Push three files at once; deploy them while only the first one's delivery has come."""
    world.breaks(HELLO)
    first = world.announced(TAXI)
    second = world.push(HELLO)
    third = world.push(WEATHER)
    world.reconciler.reconcile()
    assert world.judging(first).sha == third
    return first, second, third


def no_delivery_comes(world: World, wait_s: float | None) -> None:
    """Let the time pass after which the worker itself names what is live: two turns do it."""
    assert wait_s is not None
    world.clock.sleep(wait_s)
    assert world.reconciler.reconcile() == 0.0
    assert world.reconciler.reconcile() is None


def test_a_tip_that_git_shows_as_another_is_announced_is_deployed_for_that_delivery(
    world: World,
) -> None:
    first, _, third = shown_early(world)
    deployment = world.judging(first)
    assert (deployment.sha, deployment.trigger) == (third, Trigger.WEBHOOK)


@pytest.mark.parametrize("late", [False, True])
def test_what_git_shows_before_its_delivery_is_told_of_its_own_push_alone(
    world: World, *, late: bool
) -> None:
    first, second, third = shown_early(world)
    assert world.said(first).keys() == {"airflow/deploy", "airflow/lasse"}
    assert world.said(second) == world.said(third) == {}
    deliveries = [(third, second), (second, first)]
    for sha, before in deliveries if late else reversed(deliveries):
        world.deliver(sha, before)
        world.reconciler.reconcile()
    assert world.said(second).keys() == {"airflow/deploy", "airflow/class_demo"}
    assert world.said(second)["airflow/class_demo"][0] == "failure"
    assert world.said(third).keys() == {"airflow/deploy", "airflow/maria"}
    assert world.said(third)["airflow/deploy"][1].startswith("live: 2 of 3 files parsed")
    told = [s.status for s in world.judging(third).statuses if s.status.sha == third]
    assert {status.context for status in told} == world.said(third).keys()
    assert len(world.releases.swaps) == 2


def test_a_tip_that_git_shows_early_is_told_nothing_though_it_mends_what_was_in_error(
    world: World,
) -> None:
    world.repository.down = "github.com does not answer"
    first = world.announced(TAXI)
    world.reconciler.reconcile()
    world.repository.down = None
    tip = world.push(WEATHER)
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][0] == "success"
    assert world.said(tip) == {}


def test_a_commit_in_error_without_its_delivery_came_of_the_one_that_failed_with_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.announced(TAXI)
    late = world.push("README.md")

    def full(*_args: object, **_kwargs: object) -> None:
        raise DiskError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(world.releases, "publish", full)
        world.reconciler.reconcile()
    world.announced(HELLO)
    world.reconciler.reconcile()
    assert world.said(late) == {}
    world.clock.sleep(6)
    world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.said(late).keys() == {"airflow/deploy"}


def test_a_tip_whose_delivery_comes_while_it_is_deployed_ends_with_that(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = world.announced(TAXI)
    second = world.push(WEATHER)
    publish = world.releases.publish
    to_post: list[str] = []
    world.parts = replace(world.parts, owed=lambda: to_post.extend(world.said(second)))
    world.reconciler = world.worker()

    def named_meanwhile(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        world.deliver(second, first)
        world.reconciler.take_in()
        assert world.said(second) == {"airflow/deploy": ("pending", "on its way to Airflow")}
        assert to_post == ["airflow/deploy"]
        return publish(*args, **kwargs)

    monkeypatch.setattr(world.releases, "publish", named_meanwhile)
    world.reconciler.reconcile()
    assert world.said(second).keys() == {"airflow/deploy", "airflow/maria"}
    assert world.state(second) is State.SUCCEEDED


def test_a_tip_whose_delivery_does_not_come_is_told_all_the_same(world: World) -> None:
    first = world.announced(TAXI)
    second = world.push(WEATHER)
    no_delivery_comes(world, world.reconciler.reconcile())
    assert world.said(first).keys() == {"airflow/deploy", "airflow/lasse"}
    assert world.said(second).keys() == {"airflow/deploy", "airflow/maria"}


def test_a_tip_whose_delivery_does_not_come_is_named_in_its_time_however_often_git_is_asked(
    world: World,
) -> None:
    world.announced(TAXI)
    world.push(WEATHER)
    wait_s = world.reconciler.reconcile()
    assert wait_s is not None
    world.clock.sleep(wait_s / 2)
    assert world.reconciler.reconcile() == wait_s / 2


def test_the_page_is_told_of_the_tip_and_when_git_told_it(world: World) -> None:
    world.clock.sleep(60)
    tip = world.push(TAXI)
    world.reconciler.reconcile()
    pulse = world.journal.pulse()
    assert (pulse.tip, pulse.tip_checked_at) == (tip, world.clock.now())


def test_a_tip_of_several_commits_whose_delivery_does_not_come_is_told_of_all_of_them(
    world: World,
) -> None:
    world.deliver("f" * 40, world.repository.tip)  # git never shows it
    world.push(TAXI)
    tip = world.push(WEATHER)
    wait_s = world.reconciler.reconcile()
    assert world.said(tip) == {}
    while wait_s is not None:
        world.clock.sleep(wait_s)
        wait_s = world.reconciler.reconcile()
    assert world.said(tip).keys() == {"airflow/deploy", "airflow/lasse", "airflow/maria"}


def test_a_tip_whose_delivery_comes_in_a_freeze_is_told_that_it_is_live(world: World) -> None:
    _, second, third = shown_early(world)
    world.freeze()
    world.deliver(third, second)
    world.reconciler.reconcile()
    assert world.said(third)["airflow/deploy"][0] == "success"
    assert world.journal.unfinished() == ()


def test_a_tip_whose_delivery_comes_as_the_worker_dies_is_told_by_the_next(world: World) -> None:
    _, second, third = shown_early(world)
    world.deliver(third, second)
    world.reconciler.take_in()
    world.worker().reconcile()
    assert world.said(third).keys() == {"airflow/deploy", "airflow/maria"}


def test_a_late_delivery_of_what_is_live_is_not_what_came_before_a_newer_push(
    world: World,
) -> None:
    before = world.repository.tip
    late = world.push(TAXI)
    live = world.announced(HELLO)
    world.reconciler.reconcile()
    newer = world.push(WEATHER)
    world.deliver(late, before)
    wait_s = world.reconciler.reconcile()
    assert world.journal.live() == Live(newer)
    assert world.said(live).keys() == {"airflow/deploy", "airflow/class_demo"}
    no_delivery_comes(world, wait_s)
    assert world.said(newer).keys() == {"airflow/deploy", "airflow/maria"}


def test_a_delivery_that_comes_after_its_successor_was_deployed_is_answered(world: World) -> None:
    before = world.repository.tip
    first = world.push(TAXI)
    second = world.announced(WEATHER)
    world.reconciler.reconcile()
    published = len(world.releases.swaps)
    world.deliver(first, before)
    world.reconciler.reconcile()
    assert len(world.releases.swaps) == published
    assert world.said(first)["airflow/deploy"][1].startswith(f"deployed as part of {second[:7]}")
    assert world.said(first)["airflow/lasse"] == ("success", "1 DAG: taxi")


def begun(world: World) -> list[int]:
    return [made.id for made in world.journal.deployments() if made.started_at]


@pytest.mark.parametrize("path", ["include/numbers.py", "dags/lasse/notes.txt"])
def test_a_late_commit_whose_change_of_no_dag_file_was_put_back_needs_no_deployment(
    world: World, path: str
) -> None:
    text = {path: "airflow, dag\n" if path.endswith(".py") else "notes\n"}
    before = world.repository.push(text)
    world.reconciler.reconcile()
    late = world.push(path)
    second = world.repository.push(text)
    world.deliver(second, late)
    world.reconciler.reconcile()
    known = begun(world)
    world.deliver(late, before)
    world.reconciler.reconcile()
    assert world.said(late)["airflow/deploy"][1].startswith(f"deployed as part of {second[:7]}")
    assert begun(world) == known


def test_a_late_commit_whose_file_was_put_back_and_judged_all_the_same_needs_no_deployment(
    world: World,
) -> None:
    text = {TAXI: "from airflow.sdk import dag  # as it was\n"}
    before = world.repository.push(text)
    world.reconciler.reconcile()
    late = world.push(TAXI)
    world.deliver(world.repository.push(text), late)
    world.request()  # for all to be judged
    world.reconciler.reconcile()
    known = begun(world)
    world.deliver(late, before)
    world.reconciler.reconcile()
    assert world.said(late)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert begun(world) == known


def test_a_late_commit_is_told_though_the_mirror_lost_what_was_live_before_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, tree = world.repository.tip, world.repository.tree
    late = world.push(TAXI)
    second = world.announced(WEATHER)
    world.reconciler.reconcile()
    known = begun(world)

    def without_before(sha: str) -> Tree:
        if sha == before:  # made anew after a forced push
            raise UnknownCommit(f"the mirror holds no commit {sha}")
        return tree(sha)

    monkeypatch.setattr(world.repository, "tree", without_before)
    world.deliver(late, before)
    world.reconciler.reconcile()
    assert world.said(late)["airflow/deploy"][1].startswith(f"deployed as part of {second[:7]}")
    assert begun(world) == known


def test_a_commit_that_is_told_late_hears_all_that_its_deployment_came_to(world: World) -> None:
    world.services.refuses["nonsense\n"] = "there is no package nonsense"
    before = world.repository.tip
    first = world.repository.push({"requirements.txt": "nonsense\n"})
    world.announced(WEATHER)
    world.reconciler.reconcile()
    world.deliver(first, before)
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][0] == "failure"
    assert "there is no package nonsense" in world.said(first)["airflow/deploy"][1]


def test_a_commit_that_is_told_late_ends_as_the_first_that_held_it(world: World) -> None:
    world.services.refuses["nonsense\n"] = "there is no package nonsense"
    before = world.repository.tip
    first = world.repository.push({"requirements.txt": "nonsense\n"})
    second = world.announced(WEATHER)
    world.reconciler.reconcile()
    world.deliver(world.repository.push({"requirements.txt": ""}), second)
    world.reconciler.reconcile()
    world.deliver(first, before)
    world.reconciler.reconcile()
    state, text = world.said(first)["airflow/deploy"]
    assert state == "failure"
    assert text.startswith(f"deployed as part of {second[:7]}")


def test_who_puts_a_broken_file_back_before_anybody_saw_it_mended_is_told_so(
    world: World,
) -> None:
    broken = {TAXI: "from airflow.sdk import dag  # broken\n"}
    world.breaks(TAXI)
    world.deliver(world.repository.push(broken))
    world.reconciler.reconcile()
    mended = world.announced(TAXI)
    again = world.repository.push(broken)
    world.deliver(again, mended)
    world.reconciler.reconcile()
    assert world.said(mended)["airflow/lasse"][0] == "failure"
    assert world.said(again)["airflow/lasse"][0] == "failure"


def test_who_puts_a_broken_file_back_is_told_so_though_the_first_try_was_in_error(
    world: World,
) -> None:
    broken = {TAXI: "from airflow.sdk import dag  # broken\n"}
    world.breaks(TAXI)
    world.deliver(world.repository.push(broken))
    world.reconciler.reconcile()
    mended = world.announced(TAXI)
    again = world.repository.push(broken)
    world.deliver(again, mended)
    world.repository.down = "could not resolve host"
    world.reconciler.reconcile()
    world.repository.down = None
    world.reconciler.reconcile()
    assert world.said(again)["airflow/lasse"][0] == "failure"


def test_a_commit_that_is_gone_back_to_is_told_what_its_own_files_do(world: World) -> None:
    world.breaks(TAXI)
    target = world.announced(TAXI)
    world.reconciler.reconcile()
    world.announced(WEATHER)
    world.reconciler.reconcile()
    world.roll_back(target)
    world.reconciler.reconcile()
    assert world.said(target)["airflow/lasse"][0] == "failure"


def test_who_pushes_what_is_held_once_more_is_told_so(world: World) -> None:
    harmful = {TAXI: "from airflow.sdk import dag  # endless\n"}
    world.examiner.finds(TAXI, harm="never ends")
    world.deliver(world.repository.push(harmful))
    world.reconciler.reconcile()
    mended = world.announced(TAXI)
    again = world.repository.push(harmful)
    world.deliver(again, mended)
    world.reconciler.reconcile()
    assert world.said(again)["airflow/lasse"] == ("failure", "taxi.py is held: never ends")


def test_a_late_commit_is_told_of_its_own_text_though_a_newer_push_came_with_it(
    world: World,
) -> None:
    before = world.repository.tip
    world.breaks(TAXI)
    first = world.push(TAXI)
    world.announced(WEATHER)
    world.reconciler.reconcile()
    world.deliver(first, before)
    world.announced(HELLO)
    world.reconciler.reconcile()
    assert world.said(first)["airflow/lasse"][0] == "failure"


def test_a_late_commit_that_no_deployment_known_has_held_is_deployed_again(world: World) -> None:
    before = world.repository.tip
    first = world.push(TAXI)
    second = world.announced(WEATHER)
    world.reconciler.reconcile()
    del world.journal.records[world.judging(second).id]
    world.deliver(first, before)
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][1].startswith(f"deployed as part of {second[:7]}")


@pytest.mark.parametrize("killed", [False, True])
def test_a_verdict_that_is_written_is_final_whatever_comes_right_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch, *, killed: bool
) -> None:
    end = world.journal.end

    def end_and(*args: object, **kwargs: object) -> None:
        end(*args, **kwargs)  # type: ignore[arg-type]  # as they came
        if killed:
            raise KeyboardInterrupt
        world.deliver(sha)
        world.reconciler.take_in()

    sha = world.announced(TAXI)
    with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
        patch.setattr(world.journal, "end", end_and)
        world.reconciler.reconcile()
    said = world.said(sha)
    world.reconciler = world.worker()
    world.reconciler.reconcile()
    assert world.said(sha) == said


def test_a_redelivery_of_the_live_commit_deploys_nothing(world: World) -> None:
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    count = len(world.journal.records)
    world.deliver(sha)
    assert world.reconciler.reconcile() is None
    assert len(world.journal.records) == count
    assert world.journal.unseen() == ()


def test_a_verdict_stays_when_its_old_commit_is_delivered_again(world: World) -> None:
    before = world.repository.tip
    world.services.refuses["nonsense\n"] = "there is no package nonsense"
    sha = world.repository.push({"requirements.txt": "nonsense\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    world.announced(WEATHER)
    world.reconciler.reconcile()
    told = world.said(sha)
    assert told["airflow/deploy"][0] == "failure"
    world.deliver(sha, before)
    world.reconciler.take_in()
    assert world.said(sha) == told
    world.reconciler.reconcile()
    assert world.said(sha) == told
    assert world.journal.unfinished() == ()


def test_a_verdict_stays_when_it_is_delivered_again_with_a_newer_push(world: World) -> None:
    before = world.repository.tip
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    told = world.said(sha)
    world.deliver(sha, before)
    newer = world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.said(sha) == told
    assert world.judging(newer).covers == (newer,)


def test_a_verdict_stays_when_it_is_delivered_again_while_git_is_away(world: World) -> None:
    before = world.repository.tip
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    world.announced(WEATHER)
    world.reconciler.reconcile()
    told = world.said(sha)
    world.deliver(sha, before)
    world.repository.down = "github.com does not answer"
    world.reconciler.reconcile()
    world.repository.down = None
    world.reconciler.reconcile()
    assert world.said(sha) == told


def test_git_is_asked_once_for_one_push(world: World) -> None:
    before = world.repository.fetches
    world.announced(TAXI)
    assert world.reconciler.reconcile() is None
    assert world.repository.fetches == before + 1


def test_a_push_whose_delivery_was_lost_is_found_by_the_poll(world: World) -> None:
    sha = world.push(TAXI)
    world.reconciler.reconcile()
    assert world.judging(sha).trigger is Trigger.POLL
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_a_lost_delivery_is_not_waited_for_while_git_does_not_show_another_commit(
    world: World,
) -> None:
    world.deliver("f" * 40, world.repository.tip)
    sha = world.push(TAXI)
    until = world.clock.elapsed_s + 10.0
    while world.clock.elapsed_s < until:
        world.clock.sleep(world.reconciler.reconcile() or 0.01)
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_a_commit_that_a_forced_push_removed_ends_as_error(world: World) -> None:
    base = world.repository.tip
    removed = world.announced(TAXI)
    world.repository.fetch()
    world.deliver(
        world.repository.push({WEATHER: "from airflow.sdk import dag  # forced\n"}, onto=base),
        removed,
        forced=True,
    )
    world.reconciler.reconcile()
    assert set(world.said(removed).values()) == {("error", "no longer on main")}
    assert "airflow/lasse" in world.said(removed)
    assert world.state(removed) is State.SUPERSEDED


def test_a_removed_commit_that_git_never_showed_is_told_at_once(world: World) -> None:
    base, removed = world.repository.tip, "f" * 40
    world.deliver(removed, base)
    world.deliver(world.push(TAXI), removed, forced=True)
    world.reconciler.reconcile()
    assert world.said(removed) == {"airflow/deploy": ("error", "no longer on main")}


def test_a_commit_that_was_taken_back_before_git_showed_it_is_judged_all_the_same(
    world: World,
) -> None:
    before, text = world.repository.tip, "from airflow.sdk import dag  # as it was\n"
    world.deliver(world.repository.push({TAXI: text}), before)
    world.reconciler.reconcile()
    before, late = world.repository.tip, world.push(TAXI)
    world.repository.push({TAXI: text})
    world.reconciler.reconcile()
    world.deliver(late, before)
    world.reconciler.reconcile()
    assert world.said(late)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_the_first_commit_of_a_repository_is_told_of_its_folders() -> None:
    world = World()
    world.repository.tip = None
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_a_commit_that_has_its_verdict_is_in_no_later_deployment(world: World) -> None:
    world.breaks(WEATHER)
    red = world.announced(WEATHER)
    world.reconciler.reconcile()
    told = world.said(red)
    world.announced(HELLO)
    world.reconciler.reconcile()
    world.deliver(red)
    tip = world.announced(HELLO)
    world.reconciler.reconcile()
    assert world.judging(tip).covers == (tip,)
    assert world.said(red) == told


def test_a_fetch_that_failed_is_a_step_of_who_waits_for_it(world: World) -> None:
    sha = world.announced(TAXI)
    world.repository.down = "no route to host"
    world.reconciler.reconcile()
    (step,) = world.judging(sha).steps
    assert (step.name, step.state, step.detail) == (StepName.FETCH, "failed", "no route to host")


def test_it_is_tried_less_and_less_often_until_it_goes_well_once(world: World) -> None:
    def fail() -> float | None:
        world.repository.down = "no route to host"
        world.announced(TAXI)
        return world.reconciler.reconcile()

    assert [fail(), fail(), fail()] == [5.0, 10.0, 20.0]
    world.repository.down = None
    world.reconciler.reconcile()
    assert fail() == 5.0


def test_a_commit_that_git_does_not_show_yet_is_waited_for(world: World) -> None:
    unseen = "f" * 40
    world.deliver(unseen, world.repository.tip)
    again_s = world.reconciler.reconcile()
    assert again_s is not None
    assert again_s < 5
    assert world.said(unseen)["airflow/deploy"][0] == "pending"


def test_a_commit_that_git_never_shows_does_not_stay_pending(world: World) -> None:
    unseen = "f" * 40
    world.deliver(unseen, world.repository.tip)
    world.reconciler.reconcile()
    world.clock.sleep(61)
    world.reconciler.reconcile()
    assert world.said(unseen) == {"airflow/deploy": ("error", "no longer on main")}


def test_a_commit_that_git_never_shows_does_not_stay_pending_though_the_clock_was_set_back(
    world: World,
) -> None:
    unseen = "f" * 40
    world.deliver(unseen, world.repository.tip)
    world.reconciler.take_in()
    world.clock.jump(-86_400)
    world.reconciler.reconcile()
    assert world.said(unseen) == {"airflow/deploy": ("error", "no longer on main")}


def test_a_commit_that_git_does_not_show_yet_is_waited_for_though_webs_clock_is_ahead(
    world: World,
) -> None:
    unseen = "f" * 40
    world.deliver(unseen, world.repository.tip)
    world.reconciler.take_in()
    world.clock.jump(-30)
    world.reconciler.reconcile()
    assert world.said(unseen)["airflow/deploy"][0] == "pending"


def test_a_commit_to_which_the_branch_is_set_back_during_a_fetch_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch, base, old = world.repository.fetch, world.repository.tip, world.push(TAXI)
    fetch()
    tip = world.repository.push({WEATHER: "from airflow.sdk import dag  # forced\n"}, onto=base)

    def slow() -> str:
        told = fetch()
        world.clock.sleep(1)
        world.repository.tip = old
        world.deliver(old, tip, forced=True)
        return told

    with monkeypatch.context() as patch:
        patch.setattr(world.repository, "fetch", slow)
        world.reconciler.reconcile()
    assert world.said(old)["airflow/deploy"][0] == "pending"


def test_a_commit_announced_during_a_long_fetch_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = world.repository.fetch
    late: list[str] = []

    def slow() -> str:
        tip = fetch()
        late.append(world.announced(TAXI))
        world.reconciler.take_in()
        world.clock.sleep(90)
        return tip

    with monkeypatch.context() as patch:
        patch.setattr(world.repository, "fetch", slow)
        world.reconciler.reconcile()
    assert world.said(late[0])["airflow/deploy"][0] == "pending"
    world.reconciler.reconcile()
    assert world.said(late[0])["airflow/deploy"][0] == "success"


def test_a_commit_announced_during_a_fetch_that_fails_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = world.repository.fetch
    late: list[str] = []

    def cut_once() -> str:
        if not late:
            late.append(world.announced(TAXI))
            world.reconciler.take_in()
            raise GitError("the connection was cut")
        return fetch()

    monkeypatch.setattr(world.repository, "fetch", cut_once)
    world.reconciler.reconcile()
    assert world.said(late[0])["airflow/deploy"][0] == "success"
    assert world.judging(late[0]).state is State.SUCCEEDED
    assert len(world.journal.about(late[0])) == 1


def test_a_tip_announced_while_the_queue_is_looked_at_gets_one_deployment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.announced(WEATHER)
    tip = world.push(TAXI)
    shown = world.journal.shown

    def slow(sha: str, context: str) -> StatusState | None:
        monkeypatch.undo()
        world.deliver(tip)
        world.reconciler.take_in()
        return shown(sha, context)

    monkeypatch.setattr(world.journal, "shown", slow)
    world.reconciler.reconcile()
    assert [found.sha for found in world.journal.about(tip)] == [tip]
    assert world.judging(tip).state is State.SUCCEEDED
    assert world.journal.unfinished() == ()


def test_a_request_for_a_commit_pushed_during_the_fetch_is_kept_for_the_next_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = world.repository.fetch
    requests: list[int] = []

    def slow() -> str:
        tip = fetch()
        world.clock.sleep(1)
        requests.append(world.request(world.push(TAXI)))
        return tip

    with monkeypatch.context() as patch:
        patch.setattr(world.repository, "fetch", slow)
        assert world.reconciler.reconcile() == 2.0
    world.reconciler.reconcile()
    answer = world.journal.answer_to(requests[0])
    assert answer is not None
    assert answer.state is State.SUCCEEDED


def test_a_request_that_waits_for_git_wakes_nobody_twice(world: World) -> None:
    world.request()
    assert world.reconciler.take_in()
    assert not world.reconciler.take_in()


# --- what would hurt others ------------------------------------------------


def test_a_harmful_file_is_held_and_its_version_before_stays_live(world: World) -> None:
    live = world.releases.live()
    assert live is not None
    kept = world.releases.whole[live.name][TAXI]
    world.examiner.finds(TAXI, harm="crashes its parser (signal 11)")
    sha = world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    assert world.state(sha) is State.BROKEN
    assert world.said(sha)["airflow/lasse"] == (
        "failure",
        "taxi.py is held: crashes its parser (signal 11)",
    )
    assert world.said(sha)["airflow/maria"][0] == "success"
    assert world.releases.whole[sha][TAXI] == kept
    assert [(v.path, v.outcome, v.proof) for v in world.judging(sha).verdicts] == [
        (TAXI, Outcome.HELD, Proof.PREFLIGHT),
        (WEATHER, Outcome.PARSED, Proof.RELEASE),
    ]


def test_a_held_file_stays_held_through_the_pushes_of_others(world: World) -> None:
    world.examiner.finds(TAXI, harm="hangs")
    world.announced(TAXI)
    world.reconciler.reconcile()
    asked = len(world.examiner.asked)
    other = world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.examiner.asked[asked:] == [(WEATHER,)]
    assert world.releases.published[-1][2] == {TAXI}
    assert world.said(other)["airflow/maria"][0] == "success"
    assert world.journal.live() == Live(other, (TAXI,))


def test_a_held_file_goes_live_when_it_is_mended(world: World) -> None:
    world.examiner.finds(TAXI, harm="hangs")
    world.announced(TAXI)
    world.reconciler.reconcile()
    world.examiner.finds(TAXI, dag_ids=("taxi",))
    mended = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(mended)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert world.journal.live() == Live(mended)


def test_a_module_that_harms_a_dag_is_held_with_it_and_let_go_when_mended(world: World) -> None:
    push = world.repository.push
    help_py, files = "dags/lasse/help.py", {TAXI: "import airflow, dag\nimport lasse.help\n"}
    world.deliver(push({**files, help_py: "1"}))
    world.reconciler.reconcile()
    world.examiner.finds(TAXI, harm="hangs")
    bad = push({help_py: "2"})
    world.deliver(bad)
    world.reconciler.reconcile()
    assert world.releases.published[-1][2] == {TAXI, help_py}
    assert [(v.path, v.error and v.error.message) for v in world.judging(bad).verdicts] == [
        (help_py, f"with it {TAXI} hangs"),
        (TAXI, "hangs"),
    ]
    world.announced(WEATHER)
    world.reconciler.reconcile()
    assert world.releases.published[-1][2] == {TAXI, help_py}
    world.examiner.finds(TAXI, dag_ids=("taxi",))
    mended = push({TAXI: "import airflow, dag\nimport lasse.help as h\n"})
    world.deliver(mended)
    world.reconciler.reconcile()
    assert world.said(mended)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert world.journal.live() == Live(mended)
    assert world.releases.published[-1][2] == frozenset()


@pytest.mark.parametrize(
    ("ignores", "context"),
    [("dags/lasse/.airflowignore", "airflow/lasse"), ("dags/.airflowignore", "airflow/deploy")],
)
def test_a_folder_in_the_place_of_an_ignore_file_is_red(
    world: World, ignores: str, context: str
) -> None:
    before = world.repository.tip
    sha = world.repository.push({f"{ignores}/x.py": "x = 1"})
    world.repository.left_out[sha] = (LeftOut(ignores, f"{ignores} must be a file"),)
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.said(sha)[context] == (
        "failure",
        f"{ignores.removeprefix('dags/lasse/')} is held: {ignores} must be a file",
    )


def test_who_is_held_with_a_module_is_examined_anew_with_a_push_that_needs_it_too(
    world: World,
) -> None:
    push, help_py = world.repository.push, "dags/lasse/help.py"
    needs_it = "import airflow, dag\nimport lasse.help\n"
    world.deliver(push({TAXI: needs_it, WEATHER: needs_it, help_py: "1"}))
    world.reconciler.reconcile()
    world.examiner.finds(TAXI, harm="hangs")
    world.deliver(push({help_py: "2"}))
    world.reconciler.reconcile()
    world.deliver(push({WEATHER: f"{needs_it}# more\n"}))
    world.reconciler.reconcile()
    assert world.examiner.asked[-1] == (TAXI, WEATHER)


def test_what_cannot_be_published_is_red_once(world: World) -> None:
    sha = world.announced(TAXI, "dags/lasse/.airflowignore")
    bad = (LeftOut("dags/lasse/.airflowignore", "byte 1 is not UTF-8"),)
    world.repository.left_out[sha] = bad
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"][1] == ".airflowignore is held: byte 1 is not UTF-8"
    later = world.announced(TAXI)
    world.repository.left_out[later] = bad
    world.reconciler.reconcile()
    assert world.said(later)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_a_commit_of_which_nothing_can_be_published_fails_and_what_is_live_stays(
    world: World,
) -> None:
    before = world.journal.live()
    sha = world.announced(TAXI)
    world.repository.refused[sha] = "the commit has more than 50,000 files"
    world.reconciler.reconcile()
    assert world.judging(sha).state is State.FAILED
    assert world.said(sha)["airflow/deploy"] == ("failure", "the commit has more than 50,000 files")
    assert (world.journal.live(), len(world.releases.published)) == (before, 1)


def test_a_clock_that_was_set_back_since_the_push_makes_no_time_negative(world: World) -> None:
    sha = world.announced(TAXI)
    world.clock.jump(-3_600)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == ("success", "live: 1 file parsed in 0.0 s")


def test_a_file_without_dags_needs_no_trace_in_airflow(world: World) -> None:
    world.examiner.finds(TAXI)
    world.releases.contents[TAXI] = ()
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert [v.outcome for v in world.judging(sha).verdicts] == [Outcome.NO_DAG]
    assert world.state(sha) is State.SUCCEEDED


def test_many_files_may_take_longer_than_the_bound_as_long_as_verdicts_come(world: World) -> None:
    files = [f"dags/lasse/many_{number:03}.py" for number in range(200)]
    world.feed.slow = {path: float(number) for number, path in enumerate(files)}
    sha = world.announced(*files)
    began = world.clock.monotonic()
    world.reconciler.reconcile()
    assert world.clock.monotonic() - began > world.parts.settings.parse_timeout_s
    assert world.state(sha) is State.SUCCEEDED
    assert len(world.judging(sha).verdicts) == len(files)


def test_a_file_that_never_shows_up_gets_its_end_when_the_bound_has_passed(world: World) -> None:
    world.feed.deaf.add(TAXI)
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == (
        "failure",
        "taxi.py: no verdict from Airflow within 90 s",
    )


# --- packages --------------------------------------------------------------


def test_new_packages_are_installed_before_the_dag_that_needs_them_is_published(
    world: World,
) -> None:
    before = world.repository.tip
    sha = world.repository.push(
        {"requirements.txt": "pandas\n", TAXI: "# airflow dag\nimport pandas"}
    )
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.services.text == "pandas\n"
    assert world.services.recreated == [SERVICES]
    names = [s.name for s in world.judging(sha).steps]
    assert names.index(StepName.HEALTH) < names.index(StepName.PUBLISH)


def test_a_comment_in_the_requirements_restarts_nothing(world: World) -> None:
    before = world.repository.tip
    sha = world.repository.push({"requirements.txt": "# only words\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.services.recreated == []
    assert world.said(sha)["airflow/deploy"][0] == "success"


def test_refused_requirements_redden_their_own_commit_and_keep_the_packages(world: World) -> None:
    world.services.refuses["nonsense\n"] = "there is no package nonsense"
    before = world.repository.tip
    sha = world.repository.push({"requirements.txt": "nonsense\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.state(sha) is State.BROKEN
    assert world.said(sha)["airflow/deploy"] == (
        "failure",
        "requirements.txt:1 there is no package nonsense; packages kept",
    )
    assert world.services.recreated == []


def test_requirements_that_are_there_but_no_file_keep_the_packages_and_redden_their_own_commit(
    world: World,
) -> None:
    before = world.repository.push({"requirements.txt": "pandas\n"})
    world.deliver(before)
    world.reconciler.reconcile()
    recreated = list(world.services.recreated)
    sha = world.repository.push({"requirements.txt": None, "python/requirements.txt": "pandas\n"})
    world.repository.left_out[sha] = (LeftOut("requirements.txt", "the link leads to nothing"),)
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.services.recreated == recreated
    assert world.said(sha)["airflow/deploy"] == (
        "failure",
        "requirements.txt can't be read: the link leads to nothing; packages kept",
    )
    world.repository.left_out[world.push(WEATHER)] = world.repository.left_out[sha]
    world.reconciler.reconcile()
    neighbour = world.said(world.repository.tip or "")["airflow/deploy"]
    assert neighbour[0] == "success"
    assert "packages kept" in neighbour[1]


def test_refused_requirements_are_tried_once_and_delay_nobody_else(world: World) -> None:
    world.services.refuses["nonsense\n"] = "there is no package nonsense"
    world.repository.push({"requirements.txt": "nonsense\n"})
    world.reconciler.reconcile()
    world.services.refuses.clear()
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert StepName.RESOLVE not in [s.name for s in world.judging(sha).steps]
    assert world.state(sha) is State.SUCCEEDED
    assert world.said(sha)["airflow/deploy"] == (
        "success",
        "live: 1 file parsed in 0.0 s; packages kept",
    )


def test_packages_that_break_airflow_are_taken_back(world: World) -> None:
    world.services.breaks.add("breaks\n")
    before = world.repository.tip
    sha = world.repository.push({"requirements.txt": "breaks\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.services.text == ""
    assert world.said(sha)["airflow/deploy"][0] == "failure"
    steps = [(s.name, s.state) for s in world.judging(sha).steps]
    assert (StepName.HEALTH, "failed") in steps
    assert (StepName.ROLLBACK, "ok") in steps
    assert world.journal.live() == Live(sha)


# --- the operator's side fails ---------------------------------------------


def test_git_out_of_reach_ends_as_error_and_is_mended_by_itself(world: World) -> None:
    sha = world.announced(TAXI)
    world.repository.down = "github.com does not answer"
    again_s = world.reconciler.reconcile()
    assert world.state(sha) is State.ERROR
    assert world.said(sha)["airflow/deploy"] == ("error", "github.com does not answer")
    assert again_s == 5.0
    world.repository.down = None
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"][0] == "success"
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_each_commit_that_was_pushed_while_git_was_away_gets_its_verdict(world: World) -> None:
    world.repository.down = "github.com does not answer"
    shas = []
    for path in (TAXI, WEATHER, HELLO):
        shas.append(world.announced(path))
        world.reconciler.reconcile()
    assert {world.said(sha)["airflow/deploy"][0] for sha in shas} == {"error"}
    world.repository.down = None
    world.reconciler.reconcile()
    told = [world.said(sha) for sha in shas]
    assert [said["airflow/deploy"][0] for said in told] == ["success"] * 3
    assert [sorted(said) for said in told] == [
        ["airflow/deploy", "airflow/lasse"],
        ["airflow/deploy", "airflow/maria"],
        ["airflow/class_demo", "airflow/deploy"],
    ]


def test_a_commit_of_the_past_that_was_announced_while_git_was_away_is_told_when_it_is_back(
    world: World,
) -> None:
    before = world.repository.tip
    first = world.push(TAXI)
    second = world.announced(WEATHER)
    world.reconciler.reconcile()
    world.repository.down = "github.com does not answer"
    world.deliver(first, before)
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][0] == "error"
    world.repository.down = None
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][1].startswith(f"deployed as part of {second[:7]}")
    assert world.said(first)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert world.journal.in_error() == ()


def test_a_commit_in_error_that_a_forced_push_removes_is_told_so(world: World) -> None:
    base = world.repository.tip
    world.repository.down = "github.com does not answer"
    removed = world.announced(TAXI)
    world.reconciler.reconcile()
    world.repository.down = None
    forced = world.repository.push({WEATHER: "from airflow.sdk import dag  # 9\n"}, onto=base)
    world.deliver(forced, removed, forced=True)
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    assert set(world.said(removed).values()) == {("error", "no longer on main")}
    assert world.journal.in_error() == ()


def test_a_commit_in_error_is_not_forgotten_by_a_worker_that_dies_on_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    world.repository.down = "github.com does not answer"
    forgotten = world.announced(TAXI)
    world.reconciler.reconcile()
    world.repository.down = None
    world.announced(WEATHER)
    with monkeypatch.context() as dying:
        dying.setattr(world.releases, "publish", die)
        with pytest.raises(KeyboardInterrupt):
            world.reconciler.reconcile()
    world.announced(HELLO)
    world.worker().reconcile()
    assert world.said(forgotten)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert world.said(forgotten)["airflow/deploy"][0] == "success"


def test_retries_come_ever_more_seldom(world: World) -> None:
    world.announced(TAXI)
    world.feed.leave()
    assert [world.reconciler.reconcile() for _ in range(8)] == [5, 10, 20, 40, 80, 160, 300, 300]


def test_verdicts_come_though_airflow_s_api_is_out_of_reach(world: World) -> None:
    world.airflow.reachable = False
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_an_airflow_without_the_class_s_dag_processor_goes_live_and_says_so_within_10_s(
    world: World,
) -> None:
    world.feed.leave()
    world.reconciler.reconcile()
    began = world.clock.elapsed_s
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.clock.elapsed_s - began <= 10
    assert world.releases.swaps[-1] == sha
    state, text = world.said(sha)["airflow/lasse"]
    assert state == "error"
    assert text == (
        "live, not judged: Airflow's dag-processor is running and is not the class's, or not"
        " connected: see `deployer doctor`"
    )
    assert world.journal.live() is None
    world.feed.come()
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_an_airflow_of_another_version_goes_live_and_says_at_once_what_it_lacks(
    world: World,
) -> None:
    world.feed.unfit = "it has no claim_priority_files as in Airflow 3.3"
    began = world.clock.elapsed_s
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.clock.elapsed_s == began
    assert world.releases.swaps[-1] == sha
    state, text = world.said(sha)["airflow/lasse"]
    assert state == "error"
    assert text == (
        "live, not judged: Airflow 3.3.2's own dag-processor runs, not the class's: it has no"
        " claim_priority_files as in Airflow 3.3"
    )


def test_a_dag_processor_that_says_nothing_is_the_operators_fault(world: World) -> None:
    world.feed.silent = True
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == (
        "error",
        "Airflow's dag-processor did not look at this release within 90 s: see its log",
    )


def test_overtaken_commits_of_a_failed_try_end_with_the_next_one(world: World) -> None:
    first, second = world.announced(TAXI), world.announced(WEATHER)
    world.feed.leave()
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][0] == "error"
    world.feed.come()
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][0] == "success"
    assert world.judging(first).covers == (first, second)


def test_a_full_disk_leaves_the_release_before_live_and_known_to_be(world: World) -> None:
    live, known = world.releases.live(), world.journal.live()
    world.releases.full = True
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.state(sha) is State.ERROR
    assert world.said(sha)["airflow/deploy"][1].startswith("No space left on device")
    last = world.judging(sha).steps[-1]
    assert (last.name, last.state) == (StepName.PUBLISH, "failed")
    assert last.detail.startswith("No space left on device")
    assert (world.releases.live(), world.journal.live()) == (live, known)
    world.releases.full = False
    world.reconciler.reconcile()
    assert world.releases.published[-1][1] == {TAXI}, "no more is written than was to be"


def test_a_broken_isolated_parser_publishes_nothing(world: World) -> None:
    published = len(world.releases.swaps)
    world.examiner.down = "Airflow can't be imported"
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.state(sha) is State.ERROR
    assert len(world.releases.swaps) == published


def test_a_fault_of_the_deployer_ends_the_deployment_and_not_the_worker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fault(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(world.releases, "publish", fault)
    sha = world.announced(TAXI)
    assert world.reconciler.reconcile() == 5.0
    assert world.said(sha)["airflow/deploy"] == (
        "error",
        "fault in the deployer: ZeroDivisionError",
    )


def test_a_tip_that_its_author_must_mend_is_not_tried_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PusherError("the tree can't be published")

    monkeypatch.setattr(world.releases, "publish", refuse)
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == ("failure", "the tree can't be published")
    count = len(world.journal.records)
    assert world.reconciler.reconcile() is None
    assert len(world.journal.records) == count


def test_old_releases_that_cannot_be_removed_hurt_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> tuple[str, ...]:
        raise DiskError("read-only file system")

    monkeypatch.setattr(world.releases, "prune", full)
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED


def test_old_releases_go_in_their_turn_though_many_others_are_still_in_use(world: World) -> None:
    first = list(world.releases.whole)  # other files were parsed in it
    shas: list[str] = []
    for _ in range(20):
        shas.append(world.announced(TAXI))
        world.reconciler.reconcile()
        world.airflow.in_use = {*first, *shas[:5]}
    world.clock.sleep(60)
    world.reconciler.reconcile()
    newest = shas[-world.parts.settings.keep_releases :]
    assert list(world.releases.whole) == [*first, *shas[:5], *newest]


# --- changed by hand -------------------------------------------------------


def test_a_file_changed_by_hand_is_judged_anew_and_no_other(world: World) -> None:
    sha = str(world.repository.tip)
    asked = len(world.examiner.asked)
    world.releases.edited = Edits("taxi.py was changed by hand", frozenset({TAXI}))
    world.reconciler.reconcile()
    judged = world.judging(sha)
    assert judged.state is State.SUCCEEDED
    assert judged.trigger is Trigger.POLL
    assert [v.path for v in judged.verdicts] == [TAXI]
    assert "taxi.py was changed by hand" in planned(judged)
    assert world.examiner.asked[asked:] == [(TAXI,)]
    assert world.releases.edited is None
    assert world.journal.live() == Live(sha)


def test_mending_what_was_changed_by_hand_tells_nobody_anything_new(world: World) -> None:
    world.breaks(WEATHER)
    sha = world.announced(WEATHER)
    world.reconciler.reconcile()
    said = world.said(sha)
    world.releases.edited = Edits("taxi.py was changed by hand", frozenset({TAXI}))
    world.reconciler.reconcile()
    assert world.said(sha) == said
    assert said["airflow/maria"][0] == "failure"


def test_a_link_moved_by_hand_has_a_deployment_that_says_so_and_judges_nothing(
    world: World,
) -> None:
    world.releases.edited = Edits("`current` was removed", frozenset())
    world.reconciler.reconcile()
    judged = world.judging(str(world.repository.tip))
    assert judged.state is State.SUCCEEDED
    assert judged.verdicts == ()
    assert "`current` was removed" in planned(judged)
    count = len(world.journal.deployments())
    world.reconciler.reconcile()
    assert len(world.journal.deployments()) == count


def test_a_release_that_is_gone_is_made_anew_from_nothing(world: World) -> None:
    world.releases.edited = Edits("the live release was removed")
    world.reconciler.reconcile()
    judged = world.judging(str(world.repository.tip))
    assert [v.path for v in judged.verdicts] == [TAXI, WEATHER]


def test_releases_that_are_all_gone_are_made_anew_without_a_push(world: World) -> None:
    world.releases.whole.clear()
    world.reconciler.reconcile()
    judged = world.judging(str(world.repository.tip))
    assert [v.path for v in judged.verdicts] == [TAXI, WEATHER]
    assert "all releases were removed" in planned(judged)
    assert world.releases.live() is not None


def test_what_was_changed_by_hand_is_told_until_it_is_mended(world: World) -> None:
    world.releases.edited = Edits("taxi.py was changed by hand", frozenset({TAXI}))
    world.releases.full = True
    world.reconciler.reconcile()
    assert world.journal.pulse().edited == "taxi.py was changed by hand"
    world.releases.full = False
    world.reconciler.reconcile()
    assert world.journal.pulse().edited == ""


def test_what_can_not_be_led_back_is_told_and_stops_no_push(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise DiskError("`current` can't be moved away")

    monkeypatch.setattr(world.releases, "edits", fail)
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert world.journal.pulse().edited == (
        "what was changed by hand is not mended: `current` can't be moved away"
    )


# --- dying half-way --------------------------------------------------------


class Killed(BaseException):
    """The process dies: no handler of the deployer's runs."""


@pytest.mark.parametrize(
    ("part", "method"),
    [
        ("repository", "tree"),
        ("examiner", "begin"),
        ("releases", "publish"),
        ("feed", "wait"),
        ("journal", "set_plan"),
        ("journal", "set_live"),
        ("journal", "end"),
    ],
)
def test_a_worker_that_dies_anywhere_is_redone_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch, part: str, method: str
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    sha = world.announced(TAXI)
    with monkeypatch.context() as patch:
        patch.setattr(getattr(world, part), method, die)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    world.worker().reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert world.journal.live() == Live(sha)
    assert world.said(sha) == {
        "airflow/deploy": ("success", world.said(sha)["airflow/deploy"][1]),
        "airflow/lasse": ("success", "1 DAG: taxi"),
    }
    assert world.journal.unfinished() == ()


def test_who_is_judged_anew_by_hand_is_told_so_though_the_worker_dies_in_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    world.breaks(TAXI)
    world.request()
    with monkeypatch.context() as patch:
        patch.setattr(world.journal, "end", die)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    world.worker().reconcile()
    assert world.said(sha)["airflow/lasse"][0] == "failure"


def test_a_commit_that_was_told_how_it_ended_is_told_so_once_though_the_worker_died_after_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_and_die(*args: Any, **more: Any) -> None:  # noqa: ANN401  # as the port has them
        end(*args, **more)
        raise Killed

    sha = world.announced(TAXI)
    end = world.journal.end
    with monkeypatch.context() as patch:
        patch.setattr(world.journal, "end", end_and_die)
        with pytest.raises(Killed):
            world.reconciler.reconcile()
    told = world.said(sha)
    world.worker().reconcile()
    assert world.journal.live() == Live(sha)
    assert world.said(sha) == told
    assert told["airflow/deploy"] == ("success", "live: 1 file parsed in 0.0 s")


def test_what_was_half_live_is_never_taken_for_live(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = world.repository.tip
    assert base is not None
    world.breaks(TAXI)
    world.announced(TAXI)
    monkeypatch.setattr(world.feed, "wait", lambda *_: (_ for _ in ()).throw(Killed()))
    with pytest.raises(Killed):
        world.reconciler.reconcile()
    monkeypatch.undo()
    # The author takes it back by force: what git shows is what was live before it all.
    world.repository.tip = base
    del world.releases.contents[TAXI]
    world.worker().reconcile()
    assert [v.path for v in world.journal.deployments(limit=1)[0].verdicts] == [TAXI, WEATHER]
    assert world.journal.live() == Live(base)


def test_old_releases_go_after_a_start_though_nothing_is_pushed(world: World) -> None:
    world.announced(TAXI)
    world.reconciler.reconcile()
    world.set(keep_releases=1)
    started = Maintenance(world.parts)
    started.prepare()
    world.clock.sleep(QUIET_S)
    started.clean_up()
    assert len(world.releases.whole) == 1


def test_old_releases_go_though_somebody_came_who_needed_no_deployment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set(keep_releases=1)
    world.reconciler = world.worker()

    def take_in() -> None:
        world.reconciler.take_in()

    world.announced(TAXI)
    world.feed.while_waiting.append(lambda: world.deliver("f" * 40))
    world.feed.slow[TAXI] = 0.5
    world.feed.while_waiting.append(take_in)
    world.reconciler.reconcile()
    world.clock.sleep(61)
    world.reconciler.reconcile()
    world.clock.sleep(QUIET_S)
    world.reconciler.reconcile()
    assert len(world.releases.whole) == 1


def test_old_releases_go_though_airflow_did_not_answer_at_first(world: World) -> None:
    world.set(keep_releases=1)
    world.reconciler = world.worker()
    world.announced(TAXI)
    world.reconciler.reconcile()
    world.airflow.reachable = False
    world.clock.sleep(QUIET_S)
    world.reconciler.reconcile()
    world.airflow.reachable = True
    world.reconciler.reconcile()
    assert len(world.releases.whole) == 1


def asked_about(world: World, monkeypatch: pytest.MonkeyPatch) -> list[frozenset[str]]:
    """Return the releases about which Airflow is asked, each time that it is."""
    asked: list[frozenset[str]] = []
    in_use = world.airflow.versions_in_use

    def note(among: Collection[str]) -> frozenset[str]:
        asked.append(frozenset(among))
        return in_use(among)

    monkeypatch.setattr(world.airflow, "versions_in_use", note)
    return asked


def test_right_after_a_deployment_airflow_is_asked_for_no_old_release(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set(keep_releases=1)
    world.reconciler = world.worker()
    asked = asked_about(world, monkeypatch)
    world.announced(TAXI)
    world.reconciler.reconcile()
    world.clock.sleep(QUIET_S - 1)
    world.reconciler.reconcile()
    assert (asked, len(world.releases.whole)) == ([], 2)
    world.clock.sleep(1)
    world.reconciler.reconcile()
    assert (len(asked), len(world.releases.whole)) == (1, 1)


def test_of_many_releases_in_use_airflow_is_asked_for_each_once_in_pieces(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set(keep_releases=1)
    world.reconciler = world.worker()
    world.airflow.in_use = {*world.releases.whole}
    for _ in range(2 * ASKED_ABOUT):
        world.airflow.in_use.add(world.announced(TAXI))
        world.reconciler.reconcile()
    asked = asked_about(world, monkeypatch)
    for _ in range(5):
        world.clock.sleep(QUIET_S)
        world.reconciler.reconcile()
    old = set(world.releases.whole) - {world.repository.tip}
    assert [len(names) for names in asked] == [ASKED_ABOUT, ASKED_ABOUT]
    assert frozenset().union(*asked) == old


def test_after_each_deployment_airflow_is_asked_for_all_old_releases_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.set(keep_releases=1)
    world.reconciler = world.worker()
    world.airflow.in_use = {*world.releases.whole}
    asked = asked_about(world, monkeypatch)
    for _ in range(ASKED_ABOUT + 1):
        world.airflow.in_use.add(world.announced(TAXI))
        world.reconciler.reconcile()
    for _ in range(3):
        world.clock.sleep(QUIET_S)
        world.reconciler.reconcile()
    world.announced(TAXI)
    world.reconciler.reconcile()
    asked.clear()
    world.airflow.in_use.clear()  # the last task of each is over
    for _ in range(3):
        world.clock.sleep(QUIET_S)
        world.reconciler.reconcile()
    assert [len(names) for names in asked] == [ASKED_ABOUT, 2]
    assert len(world.releases.whole) == 1


# --- requests ----------------------------------------------------------------


def test_a_request_judges_all_of_the_live_commit_anew(world: World) -> None:
    request = world.request()
    world.reconciler.reconcile()
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert answer.state is State.SUCCEEDED
    assert answer.trigger is Trigger.MANUAL
    assert [v.path for v in answer.verdicts] == [TAXI, WEATHER]


def test_a_request_tells_the_live_commit_anew_how_it_is_now(world: World) -> None:
    world.breaks(TAXI)
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"][0] == "failure"
    world.releases.contents[TAXI] = ("taxi",)  # somebody mended what it reads
    world.request()
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_a_request_for_an_older_commit_deploys_the_tip(world: World) -> None:
    older = world.repository.tip
    tip = world.push(WEATHER)
    request = world.request(older)
    world.reconciler.reconcile()
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert answer.sha == tip


def test_a_request_for_a_commit_that_is_not_on_the_branch_is_refused(world: World) -> None:
    request = world.request("f" * 40)
    world.reconciler.reconcile()
    answer = world.journal.answer_to(request)
    assert answer is not None
    assert (answer.sha, answer.state) == ("f" * 40, State.FAILED)
    assert answer.reason == "fffffff is not on main; push it there first"
    assert answer not in world.journal.deployments()


def test_broken_contents_can_be_told_from_dags() -> None:
    world = World()
    world.releases.contents[TAXI] = Broken("SyntaxError: invalid syntax", line=7)
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("failure", "taxi.py:7 SyntaxError: invalid syntax")


def judged_twice(world: World) -> str:
    """Have a file judged, told, and judged anew; return the first commit."""
    first = world.announced(TAXI)
    world.reconciler.reconcile()
    for owed in world.journal.due(world.clock.now(), 100):
        world.journal.posted(owed.id, at=world.clock.now(), target_url=None)
    world.announced(TAXI)
    world.reconciler.reconcile()
    return first


def test_what_is_old_and_decides_nothing_leaves_the_journal(world: World) -> None:
    first = judged_twice(world)
    world.clock.sleep((world.parts.settings.keep_days + 1) * 86_400)
    world.reconciler.reconcile()
    assert world.journal.judging(first) is None


def test_what_is_not_old_stays_in_the_journal_though_it_decides_nothing(world: World) -> None:
    first = judged_twice(world)
    world.clock.sleep((world.parts.settings.keep_days - 1) * 86_400)
    world.reconciler.reconcile()
    assert world.journal.judging(first) is not None


def test_the_journal_is_looked_through_once_an_hour(world: World) -> None:
    world.set(keep_days=1)
    maintenance = Maintenance(world.parts)
    maintenance.clean_up()
    first = judged_twice(world)
    world.clock.jump(2 * 86_400)
    maintenance.clean_up()
    assert world.journal.judging(first) is not None
    world.clock.sleep(PRUNE_EVERY_S)
    maintenance.clean_up()
    assert world.journal.judging(first) is None


def test_no_examination_is_left_at_work_by_a_pass_that_fails(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other() -> None:
        world.announced(WEATHER)
        world.reconciler.take_in()

    def fails(*_: object) -> None:
        raise JournalError("the disk is full")

    world.examiner.slow[TAXI] = 600.0
    world.announced(TAXI)
    world.examiner.meanwhile[world.clock.elapsed_s + 2.0] = other
    monkeypatch.setattr(world.journal, "set_verdicts", fails)
    with pytest.raises(JournalError):
        world.reconciler.reconcile()
    assert not world.examiner.under_way
