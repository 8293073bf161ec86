"""Two files with one `dag_id`: the newcomer is held, both owners are told."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from deployer.core.model import Duplicate, Examined, Live, ParseError, State, StepName
from deployer.core.planning.held import duplicates, notes
from tests.fakes.world import World

TAXI, WEATHER, COPY = "dags/lasse/taxi.py", "dags/maria/weather.py", "dags/lasse/copy.py"
A, B, C = "dags/a/a.py", "dags/b/b.py", "dags/c/c.py"


def holds(**ids: str) -> list[Examined]:
    """Return examined files `dags/<x>/<x>.py` with the ids given as one text."""
    return [Examined(f"dags/{name}/{name}.py", tuple(text.split())) for name, text in ids.items()]


def had(**paths: str) -> dict[str, frozenset[str]]:
    return {dag_id: frozenset({path}) for dag_id, path in paths.items()}


CASES: dict[str, tuple[list[Examined], Mapping[str, frozenset[str]], set[str]]] = {
    "nothing changed": ([], {}, set()),
    "a new file with an id of its own": (holds(a="x"), {}, set()),
    "a changed file keeps its id": (holds(a="x"), had(x=A), set()),
    "a new file with a live one's id": (holds(b="x"), had(x=A), {B}),
    "likewise, and the live one changed too": (holds(a="x", b="x"), had(x=A), {B}),
    "likewise, though it comes first in order": (holds(a="x", b="x"), had(x=B), {A}),
    "one id of several": (holds(b="y x"), had(x=A), {B}),
    "the live one gave the id up": (holds(a="y", b="x"), had(x=A), set()),
    "the live one holds no DAG any more": (holds(a="", b="x"), had(x=A), set()),
    "two files exchange their ids": (holds(a="y", b="x"), had(x=A, y=B), set()),
    "two new files with one id": (holds(a="x", b="x"), {}, {A, B}),
    "three new files with one id": (holds(a="x", b="x", c="x"), {}, {A, B, C}),
    "two new files with a live one's id": (holds(b="x", c="x"), had(x=A), {B, C}),
    "both had it before they were looked at": (
        holds(a="x", b="x"),
        {"x": frozenset({A, B})},
        set(),
    ),
    "a new one beside two that had it": (holds(c="x"), {"x": frozenset({A, B})}, {C}),
    "who is held keeps what is live of it": (holds(a="z", b="x"), had(x=A, z=C), {A, B}),
    "and so on": (holds(a="z", b="x", c="y"), had(x=A, y=B, z="dags/d/d.py"), {A, B, C}),
    "a broken file keeps its id": (
        [Examined(A, error=ParseError("SyntaxError", "bad")), *holds(b="x")],
        had(x=A),
        {B},
    ),
    "a harmful file keeps its id": ([Examined(A, harm="hangs"), *holds(b="x")], had(x=A), {B}),
    "a broken newcomer claims nothing": (
        [Examined(B, ("x",), error=ParseError("SyntaxError", "bad"))],
        had(x=A),
        set(),
    ),
    "of newcomers, the one whose folder the id begins with has it": (
        holds(a="a_x", b="a_x"),
        {},
        {B},
    ),
    "of several in that folder none has": (
        [*holds(b="b_x"), Examined("dags/b/c.py", ("b_x",))],
        {},
        {B, "dags/b/c.py"},
    ),
    "a harmful newcomer is held for that": ([Examined(B, ("x",), harm="hangs")], had(x=A), set()),
}


def imports(path: str, maker: str, dag_id: str = "x") -> Examined:
    """Return an examined file that imports another, whose DAG comes along."""
    return Examined(path, (dag_id, f"own_{path}"), brought={dag_id: maker})


CASES |= {
    "a new file imports a new one": ([*holds(a="x"), imports(B, A)], {}, {B}),
    "a new file imports a live one": ([imports(B, A)], had(x=A), {B}),
    "it imports one that changed as well": ([*holds(a="x"), imports(B, A)], had(x=A), {B}),
    "two import one, one of them by way of the other": (
        [*holds(a="x"), imports(B, A), imports(C, A)],
        {},
        {B, C},
    ),
    "it imports a module that is no DAG file": ([imports(B, "include/make.py")], {}, set()),
    "two import such a module": (
        [imports(B, "include/make.py"), imports(C, "include/make.py")],
        {},
        {B, C},
    ),
    "one that had it imports one that makes it now": (
        [*holds(a="x"), imports(B, A)],
        had(x=B),
        {A},
    ),
    "two that import each other": ([imports(A, B), imports(B, A)], {}, {A, B}),
    "a third one has it, too": ([*holds(a="x", c="x"), imports(B, A)], {}, {A, B, C}),
}


@pytest.mark.parametrize(("examined", "had_by", "held"), CASES.values(), ids=CASES)
def test_who_is_held(
    examined: list[Examined], had_by: Mapping[str, frozenset[str]], held: set[str]
) -> None:
    assert {found.path for found in duplicates(examined, had_by)} == held


def test_the_newcomer_is_told_whose_the_id_is() -> None:
    [found] = duplicates(holds(b="x"), had(x=A))
    assert found.reason == "dag_id 'x' is already used by dags/a/a.py: choose another"
    assert notes([found]) == ["dags/b/b.py claims dag_id 'x' of dags/a/a.py"]


def test_who_imports_a_dag_file_is_told_to_import_a_module_without_a_dag() -> None:
    [found] = duplicates([*holds(a="x"), imports(B, A)], {})
    assert found.reason == (
        "importing dags/a/a.py brings its DAG 'x' along: move what is needed of it into a module "
        "without a DAG"
    )
    assert notes([found]) == ["dags/b/b.py imports dags/a/a.py and brings its DAG 'x' along"]


def test_two_newcomers_are_told_of_each_other_in_one_note() -> None:
    found = duplicates(holds(a="x", b="x"), {})
    assert [it.reason for it in found] == [
        "dag_id 'x' is claimed by dags/b/b.py too: choose another",
        "dag_id 'x' is claimed by dags/a/a.py too: choose another",
    ]
    assert notes(found) == ["dags/a/a.py claims dag_id 'x' and so does dags/b/b.py"]


def test_a_copy_in_ones_own_folder_is_nobody_elses_matter() -> None:
    assert notes([Duplicate(COPY, "x", TAXI)]) == []


# --- in a deployment -------------------------------------------------------


@pytest.fixture
def world() -> World:
    """Return a class with two students, whose first deployment is over."""
    world = World()
    world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    return world


def hold(world: World, path: str, *dag_ids: str) -> None:
    """Let the file hold these DAGs from now on."""
    world.examiner.finds(path, dag_ids=dag_ids)
    world.releases.contents[path] = dag_ids


def test_a_new_file_with_anothers_dag_id_is_held_and_both_owners_are_told(world: World) -> None:
    hold(world, COPY, "weather")
    sha = world.announced(COPY)
    world.reconciler.reconcile()
    assert world.state(sha) is State.BROKEN
    assert world.said(sha) == {
        "airflow/deploy": (
            "success",
            (
                "live; 1 file held, in 0.0 s;"
                " dags/lasse/copy.py claims dag_id 'weather' of dags/maria/weather.py"
            ),
        ),
        "airflow/lasse": (
            "failure",
            (
                "copy.py is held: dag_id 'weather' is already used by dags/maria/weather.py:"
                " choose another"
            ),
        ),
    }
    assert COPY not in world.releases.whole[sha]
    assert world.journal.live() == Live(sha, (COPY,))
    [preflight] = [s for s in world.judging(sha).steps if s.name is StepName.PREFLIGHT]
    assert preflight.detail == (
        "1 examined, 1 held, dags/lasse/copy.py claims dag_id 'weather' of dags/maria/weather.py"
    )


def test_a_changed_file_that_takes_anothers_dag_id_keeps_its_live_version(world: World) -> None:
    live = world.releases.live()
    assert live is not None
    before = world.releases.whole[live.name][TAXI]
    hold(world, TAXI, "weather")
    sha = world.announced(TAXI)
    world.reconciler.reconcile()
    assert world.releases.whole[sha][TAXI] == before
    # Its live version still has the id of before, which is nobody else's.
    hold(world, COPY, "taxi")
    other = world.announced(COPY)
    world.reconciler.reconcile()
    assert "already used by dags/lasse/taxi.py" in world.said(other)["airflow/lasse"][1]


def test_a_held_newcomer_goes_live_with_an_id_of_its_own(world: World) -> None:
    hold(world, COPY, "weather")
    world.announced(COPY)
    world.reconciler.reconcile()
    hold(world, COPY, "lasse_weather")
    sha = world.announced(COPY)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: lasse_weather")
    assert world.journal.live() == Live(sha)


@pytest.mark.parametrize(
    "given_up",
    [
        {WEATHER: None},
        {"dags/maria/.airflowignore": "weather.py\n"},
        {WEATHER: "from airflow.sdk import dag  # rain\n"},
    ],
)
def test_a_held_newcomer_goes_live_when_the_id_is_given_up(
    world: World, given_up: dict[str, str | None]
) -> None:
    hold(world, COPY, "weather")
    world.announced(COPY)
    world.reconciler.reconcile()
    hold(world, WEATHER, "rain")
    before = world.repository.tip
    sha = world.repository.push(given_up)
    world.deliver(sha, before)
    world.reconciler.reconcile()
    verdicts = {v.path: v for v in world.judging(sha).verdicts}
    assert verdicts[COPY].dag_ids == ("weather",)
    assert world.journal.live() == Live(sha)
    assert "airflow/lasse" not in world.said(sha)


def test_a_file_that_moves_takes_its_id_along_though_another_waits_for_it(world: World) -> None:
    hold(world, COPY, "weather")
    world.announced(COPY)
    world.reconciler.reconcile()
    moved = "dags/maria/rain.py"
    hold(world, moved, "weather")
    before = world.repository.tip
    sha = world.repository.push({WEATHER: None, moved: "from airflow.sdk import dag  # moved\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/maria"] == ("success", "1 DAG: weather")
    assert world.journal.live() == Live(sha, held=(COPY,))


def test_of_two_newcomers_one_goes_live_when_the_other_takes_another_id(world: World) -> None:
    mine, hers = "dags/lasse/same.py", "dags/maria/same.py"
    world.announced(mine, hers)
    world.reconciler.reconcile()
    hold(world, hers, "other")
    sha = world.announced(hers)
    world.reconciler.reconcile()
    assert {v.path: v.dag_ids for v in world.judging(sha).verdicts} == {
        mine: ("same",),
        hers: ("other",),
    }
    assert world.journal.live() == Live(sha)


def test_two_newcomers_of_one_push_are_both_held_and_red(world: World) -> None:
    mine, hers = "dags/lasse/same.py", "dags/maria/same.py"
    sha = world.announced(mine, hers)
    world.reconciler.reconcile()
    said = world.said(sha)
    assert said["airflow/lasse"][1] == (
        "same.py is held: dag_id 'same' is claimed by dags/maria/same.py too: choose another"
    )
    assert said["airflow/maria"][1] == (
        "same.py is held: dag_id 'same' is claimed by dags/lasse/same.py too: choose another"
    )
    assert said["airflow/deploy"][1].count("claims dag_id") == 1


def test_a_commit_that_has_nothing_to_do_with_it_is_not_told(world: World) -> None:
    hold(world, COPY, "weather")
    other, sha = world.announced(TAXI), world.announced(COPY)
    world.reconciler.reconcile()
    assert "claims" in world.said(sha)["airflow/deploy"][1]
    assert "claims" not in world.said(other)["airflow/deploy"][1]


def test_a_file_that_moved_is_no_duplicate_of_itself(world: World) -> None:
    moved = "dags/lasse/trips.py"
    hold(world, moved, "taxi")
    before = world.repository.tip
    sha = world.repository.push({TAXI: None, moved: "from airflow.sdk import dag  # moved\n"})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")


def test_a_dag_id_whose_file_was_deleted_earlier_is_free(world: World) -> None:
    world.repository.push({WEATHER: None})
    world.reconciler.reconcile()
    hold(world, COPY, "weather")
    sha = world.announced(COPY)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: weather")


def test_a_dag_id_whose_file_airflow_is_told_to_ignore_is_free(world: World) -> None:
    hold(world, COPY, "weather")
    before = world.repository.tip
    text = "from airflow.sdk import dag  # copy\n"
    sha = world.repository.push({"dags/maria/.airflowignore": "weather.py\n", COPY: text})
    world.deliver(sha, before)
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: weather")


def test_when_all_is_judged_anew_who_had_the_id_keeps_it(world: World) -> None:
    hold(world, COPY, "weather")
    world.announced(COPY)
    world.reconciler.reconcile()
    world.request()
    world.reconciler.reconcile()
    held = {v.path for v in world.judging(world.repository.tip or "").verdicts if not v.good}
    assert held == {COPY}
