"""Whose files a commit changes: noted on the commit, never red, never silent."""

from __future__ import annotations

import pytest

from deployer.core.model import Authored, History, State, StepName, Tree
from deployer.core.reporting.ownership import notes
from tests.fakes.world import TEACHER, World

TAXI, WEATHER = "dags/lasse/taxi.py", "dags/maria/weather.py"
ROSTER = """\
teachers: [frauke-b, frauke@university.example]
folders:
  lasse: [lasse-j, lasse@students.example]
  maria: [maria92, maria@students.example]
"""
LASSE, MARIA, FRAUKE = (
    "lasse@students.example",
    "maria@students.example",
    "frauke@university.example",
)


def said(
    *commits: Authored, pusher: str | None = None, roster: str | None = ROSTER
) -> tuple[str, ...]:
    """Return the notes on a push of these commits."""
    changed = tuple(sorted({path for commit in commits for path in commit.paths}))
    past = History("a" * 40, changed, commits)
    return notes(past, pusher=pusher, roster=roster, new_roster=roster)


# --- in order --------------------------------------------------------------


@pytest.mark.parametrize(
    ("email", "pusher"),
    [
        (LASSE, "lasse-j"),
        (LASSE, "maria92"),  # merges his pull request
        ("9+Lasse-J@users.noreply.github.com", "github-merge-queue"),  # squashed
        ("lasse@laptop", "LASSE-J"),  # git was never told his address
        ("lasse@laptop", "frauke-b"),
        (FRAUKE, "maria92"),
    ],
)
def test_a_change_that_its_owner_or_a_teacher_wrote_or_pushed_is_not_noted(
    email: str, pusher: str | None
) -> None:
    assert said(Authored(email, (TAXI,)), pusher=pusher) == ()


def test_several_students_commits_merged_by_one_are_not_noted() -> None:
    assert said(Authored(LASSE, (TAXI,)), Authored(MARIA, (WEATHER,)), pusher="maria92") == ()


@pytest.mark.parametrize("email", [LASSE, MARIA, "anna@laptop"])
def test_where_nobody_knows_who_pushed_nobody_is_accused(email: str) -> None:
    assert said(Authored(email, (WEATHER, "dags/anna/x.py", "include/x")), pusher=None) == ()
    assert said(Authored(email, (WEATHER,)), pusher=None, roster=None) == ()
    assert said(Authored(email, (WEATHER,)), pusher=None, roster="folders: x\n") == ()


@pytest.mark.parametrize("path", ["README.md", "tests/test_x.py", "docs/include/x.md"])
def test_what_belongs_to_nobody_is_not_noted(path: str) -> None:
    assert said(Authored(LASSE, (path,)), pusher="lasse-j") == ()


@pytest.mark.parametrize("path", ["include/x.sql", "requirements.txt", "dags/lasse/taxi.py"])
def test_a_teacher_may_change_everything(path: str) -> None:
    assert said(Authored("frauke@laptop", (path,)), pusher="frauke-b") == ()


def test_the_first_commit_of_a_class_changes_nobodys_folder() -> None:
    past = History(None, (WEATHER,), (Authored(LASSE, (WEATHER,)),))
    assert notes(past, pusher="lasse-j", roster=None, new_roster=None) == ()


def test_without_a_roster_the_folders_name_is_the_login() -> None:
    commit = Authored("lasse@laptop", (TAXI,))
    assert said(commit, pusher="lasse", roster=None) == ()
    assert said(commit, pusher="lasse-j", roster=None) == ("changes lasse's folder",)


# --- noted -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "note"),
    [
        (WEATHER, "changes maria's folder"),
        ("dags/anna/x.sql", "changes anna's folder"),
        ("dags/common.py", "changes dags/common.py"),
        ("include/lib/money.py", "changes include/"),
        ("include/airflow/class_rules.py", "changes include/airflow/"),
        ("requirements.txt", "changes requirements.txt"),
        ("roster.yaml", "changes roster.yaml"),
        ("Dockerfile", "changes Dockerfile"),
        ("docker-compose.yaml", "changes docker-compose.yaml"),
        ("docker-compose.override.yml", "changes docker-compose.override.yml"),
        (".github/workflows/x.yml", "changes .github/"),
    ],
)
def test_what_is_not_lasses_to_change_is_named(path: str, note: str) -> None:
    assert said(Authored(LASSE, (path,)), pusher="lasse-j") == (note,)


def test_all_that_a_commit_changes_is_one_note_folders_first() -> None:
    commit = Authored(LASSE, (WEATHER, TAXI, "include/a", "include/b", "dags/anna/x.py"))
    assert said(commit, pusher="lasse-j") == ("changes anna's folder, maria's folder and include/",)


def test_one_author_among_several_who_is_not_the_owner_is_noted() -> None:
    assert said(Authored(LASSE, (TAXI,)), Authored(MARIA, (TAXI,)), pusher="maria92") == (
        "changes lasse's folder",
    )


def test_what_only_a_merge_changed_is_the_pushers() -> None:
    changed = (WEATHER, "dags/maria/other.py")
    past = History("a" * 40, changed, (Authored(MARIA, (WEATHER,)),))
    merged_by = {
        pusher: notes(past, pusher=pusher, roster=ROSTER, new_roster=ROSTER)
        for pusher in ("lasse-j", "maria92")
    }
    assert merged_by == {"lasse-j": ("changes maria's folder",), "maria92": ()}


def test_a_commit_that_makes_its_author_a_teacher_is_judged_by_the_roster_before_it() -> None:
    changed = ("dags/maria/weather.py", "roster.yaml")
    past = History("a" * 40, changed, (Authored(LASSE, changed),))
    found = notes(past, pusher="lasse-j", roster=ROSTER, new_roster="teachers: [lasse-j]\n")
    assert found == ("changes maria's folder and roster.yaml",)


# --- a broken roster -------------------------------------------------------


def test_a_commit_that_breaks_the_roster_is_told_so() -> None:
    past = History("a" * 40, ("roster.yaml",), (Authored(FRAUKE, ("roster.yaml",)),))
    assert notes(past, pusher="frauke-b", roster=ROSTER, new_roster="folders: x\n") == (
        "breaks the roster: roster.yaml:1 should be `name: …`",
    )


def test_while_the_roster_is_broken_nobody_is_accused_and_nothing_passes_in_silence() -> None:
    broken = "folders: x\n"
    assert said(Authored(LASSE, (WEATHER,)), pusher="lasse-j", roster=broken) == (
        "whose folder it changes is not known: roster.yaml:1 should be `name: …`",
    )
    assert said(Authored(LASSE, ("README.md",)), pusher="lasse-j", roster=broken) == ()


# --- on the commit, the page and in the log --------------------------------


@pytest.fixture
def world() -> World:
    """Return a class with a roster, whose first deployment is over."""
    world = World()
    world.repository.push({"roster.yaml": f"{ROSTER}  class_demo: {TEACHER}\n"})
    world.announced(TAXI, WEATHER)
    world.reconciler.reconcile()
    return world


def delivered(world: World, *paths: str, author: str, pusher: str) -> str:
    before = world.repository.tip
    sha = world.push(*paths, author=author)
    world.deliver(sha, before, pusher=pusher)
    return sha


def plan_step(world: World, sha: str) -> str:
    return next(s.detail for s in world.judging(sha).steps if s.name is StepName.PLAN)


def test_a_change_of_anothers_folder_is_green_and_noted_on_commit_and_page(world: World) -> None:
    sha = delivered(world, WEATHER, author=LASSE, pusher="lasse-j")
    world.reconciler.reconcile()
    assert world.state(sha) is State.SUCCEEDED
    assert world.said(sha) == {
        "airflow/deploy": (
            "success",
            "live: 1 file parsed in 0.0 s; changes maria's folder",
        ),
        "airflow/maria": ("success", "1 DAG: weather"),
    }
    assert plan_step(world, sha) == f"1 to parse, {sha[:7]} changes maria's folder"


def test_a_change_of_ones_own_folder_has_no_note(world: World) -> None:
    sha = delivered(world, TAXI, author=LASSE, pusher="lasse-j")
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == ("success", "live: 1 file parsed in 0.0 s")
    assert plan_step(world, sha) == "1 to parse"


def test_an_overtaken_commit_keeps_its_note_and_lends_it_to_nobody(world: World) -> None:
    first = delivered(world, WEATHER, author=LASSE, pusher="lasse-j")
    second = delivered(world, WEATHER, author=MARIA, pusher="maria92")
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][1].endswith("; changes maria's folder")
    assert "folder" not in world.said(second)["airflow/deploy"][1]
    assert plan_step(world, second) == f"1 to parse, {first[:7]} changes maria's folder"


def test_a_commit_that_did_not_go_live_is_noted_as_well(world: World) -> None:
    sha = delivered(world, WEATHER, author=LASSE, pusher="lasse-j")
    world.examiner.down = "Airflow can't be imported"
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == (
        "error",
        "Airflow can't be imported; changes maria's folder",
    )


def test_a_roster_counts_from_the_commit_after_it(world: World) -> None:
    mine = world.repository.tip or ""
    allowed = f"teachers: [{TEACHER}]\nfolders:\n  maria: lasse-j\n"
    change = {"roster.yaml": allowed, WEATHER: "from airflow.sdk import dag  # his\n"}
    first = world.repository.push(change, author=LASSE)
    world.deliver(first, mine, pusher="lasse-j")
    second = delivered(world, WEATHER, author=LASSE, pusher="lasse-j")
    world.reconciler.reconcile()
    assert world.said(first)["airflow/deploy"][1].endswith("changes maria's folder and roster.yaml")
    assert "changes" not in world.said(second)["airflow/deploy"][1]


def test_trees_are_not_read_for_the_roster_of_each_commit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = world.repository.tree
    read: list[str] = []

    def noted(sha: str) -> Tree:
        read.append(sha)
        return tree(sha)

    monkeypatch.setattr(world.repository, "tree", noted)
    live = world.repository.tip
    several = [delivered(world, TAXI, author=LASSE, pusher="lasse-j") for _ in range(3)]
    world.reconciler.reconcile()
    assert read == [live, several[-1]]  # what the deployment itself compares


def test_a_push_found_by_the_poll_has_no_note(world: World) -> None:
    sha = world.push(WEATHER, "dags/anna/hello.py", author="anna@laptop")
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/deploy"] == ("success", "live: 2 files parsed in 0.0 s")
    assert plan_step(world, sha) == "2 to parse"


def test_a_push_found_by_the_poll_that_breaks_the_roster_is_told_so() -> None:
    past = History("a" * 40, ("roster.yaml",), (Authored("anna@laptop", ("roster.yaml",)),))
    assert notes(past, pusher=None, roster=ROSTER, new_roster="folders: x\n") == (
        "breaks the roster: roster.yaml:1 should be `name: …`",
    )


def test_a_broken_roster_stops_nobodys_deploy(world: World) -> None:
    spoilt = world.repository.push({"roster.yaml": "folders: [\n"}, author=FRAUKE)
    world.reconciler.reconcile()
    assert world.state(spoilt) is State.SUCCEEDED
    assert "; breaks the roster: roster.yaml:2 " in world.said(spoilt)["airflow/deploy"][1]
    sha = delivered(world, TAXI, author=LASSE, pusher="lasse-j")
    world.reconciler.reconcile()
    assert world.said(sha)["airflow/lasse"] == ("success", "1 DAG: taxi")
    assert "not known: roster.yaml:2" in world.said(sha)["airflow/deploy"][1]
