"""What every Repository does: the shared fake, and `GitRepository` over a real git repository."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.core.model import Authored, History
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.repository import GitRepository
from deployer.errors import GitError, NothingPushed, UnknownCommit
from deployer.ports import Repository
from tests.classrepo import ClassRepo
from tests.fakes.repository import FakeRepository

UNKNOWN = "0123456789" * 4
DAG = "from airflow.sdk import DAG\nimport lib.money\n"


@dataclass(frozen=True)
class Rig:
    """A repository, and the host it is fetched from."""

    repository: Repository
    push: Callable[..., str]
    rename_branch: Callable[[], None]
    break_host: Callable[[], None]


def fake(_: Path) -> Rig:
    repository = FakeRepository()

    def rename_branch() -> None:
        repository.tip = None

    def break_host() -> None:
        repository.down = "the host is out of reach"

    return Rig(repository, repository.push, rename_branch, break_host)


def real(directory: Path) -> Rig:
    host = ClassRepo(directory / "class.git")

    def push(
        changes: Mapping[str, str | None],
        *,
        onto: str | None = None,
        author: str = "class@example.org",
    ) -> str:
        if onto:
            host.reset(onto)
        for path, text in changes.items():
            if text is None:
                host.remove(path)
            else:
                host.write(path, text)
        return host.commit(author=author)

    def rename_branch() -> None:
        host.git("branch", "--move", "main", "another")

    def break_host() -> None:
        host.bare.rename(directory / "moved.git")

    repository = GitRepository(Mirror(host.url, "main", directory / "checkout"))
    return Rig(repository, push, rename_branch, break_host)


@pytest.fixture(params=[fake, real])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    make: Callable[[Path], Rig] = request.param
    return make(tmp_path)


def test_fetch_returns_the_tip_of_the_first_push_and_of_each_later_one(rig: Rig) -> None:
    first = rig.push({"dags/a.py": "1"})
    assert rig.repository.fetch() == first

    second = rig.push({"dags/a.py": "2"})
    assert rig.repository.fetch() == second
    assert rig.repository.fetch() == second


def test_a_forced_push_moves_the_tip_back_and_what_it_removed_stays_known(rig: Rig) -> None:
    first = rig.push({"dags/a.py": "1"})
    removed = rig.push({"dags/a.py": "2"})
    rig.repository.fetch()
    forced = rig.push({"dags/a.py": "3"}, onto=first)

    assert rig.repository.fetch() == forced
    assert rig.repository.contains(forced, first)
    assert not rig.repository.contains(forced, removed)


def test_a_host_out_of_reach_is_a_git_error_and_the_next_fetch_may_work(rig: Rig) -> None:
    tip = rig.push({"dags/a.py": "1"})
    rig.repository.fetch()
    rig.break_host()

    with pytest.raises(GitError):
        rig.repository.fetch()
    assert list(rig.repository.tree(tip).files) == ["dags/a.py"]


def test_a_repository_that_nobody_pushed_to_is_told_as_such(rig: Rig) -> None:
    with pytest.raises(NothingPushed, match="nothing was pushed yet"):
        rig.repository.fetch()


def test_a_branch_that_is_not_there_is_a_git_error_that_names_it(rig: Rig) -> None:
    rig.push({"README.md": "hello"})
    rig.rename_branch()
    with pytest.raises(GitError, match="no branch 'main'"):
        rig.repository.fetch()


def test_a_tree_holds_files_with_their_facts_requirements_and_ignore_files(rig: Rig) -> None:
    sha = rig.push(
        {
            "dags/lasse/taxi.py": DAG,
            "dags/lasse/.airflowignore": "scratch\n",
            "include/lib/money.py": "rate = 7.46\n",
            "requirements.txt": "pandas\n",
            "README.md": "hello",
            "tests/test_x.py": "",
        }
    )
    rig.repository.fetch()

    tree = rig.repository.tree(sha)

    assert tree.sha == sha
    assert sorted(tree.files) == [
        "dags/lasse/.airflowignore",
        "dags/lasse/taxi.py",
        "include/lib/money.py",
    ]
    assert (0, "lib.money") in tree.files["dags/lasse/taxi.py"].facts.imports
    assert tree.files["dags/lasse/taxi.py"].facts.may_hold_dag
    assert tree.requirements == "pandas\n"
    assert tree.ignores == {"dags/lasse/.airflowignore": "scratch\n"}
    assert tree.left_out == ()


def test_equal_contents_have_equal_blobs_in_every_commit_and_path(rig: Rig) -> None:
    first = rig.push({"dags/a.py": "same", "dags/b.py": "same", "dags/c.py": "one"})
    second = rig.push({"dags/c.py": "two"})
    rig.repository.fetch()

    before, after = rig.repository.tree(first).files, rig.repository.tree(second).files

    assert before["dags/a.py"] == before["dags/b.py"] == after["dags/a.py"]
    assert before["dags/c.py"].blob != after["dags/c.py"].blob


def test_a_blob_has_the_content_that_was_pushed(rig: Rig) -> None:
    sha = rig.push({"dags/a.py": "one", "dags/b.py": "two"})
    rig.repository.fetch()
    files = rig.repository.tree(sha).files

    wanted = {files["dags/a.py"].blob: b"one", files["dags/b.py"].blob: b"two"}

    assert dict(rig.repository.blobs(wanted)) == wanted
    assert list(rig.repository.blobs([])) == []


def test_a_blob_that_is_not_there_is_told(rig: Rig) -> None:
    rig.push({"dags/a.py": "one"})
    rig.repository.fetch()

    with pytest.raises(UnknownCommit):
        list(rig.repository.blobs([UNKNOWN]))


def test_a_commit_without_requirements_has_none(rig: Rig) -> None:
    sha = rig.push({"README.md": ""})
    rig.repository.fetch()

    tree = rig.repository.tree(sha)

    assert dict(tree.files) == {}
    assert (tree.requirements, tree.compose, tree.roster) == (None, None, None)


def test_a_tree_holds_compose_file_and_roster_as_texts_and_not_as_files_to_publish(
    rig: Rig,
) -> None:
    sha = rig.push(
        {
            "docker-compose.yaml": "services: {}\n",
            "roster.yaml": "teachers: []\n",
            "dags/amy/x.py": DAG,
        }
    )
    rig.repository.fetch()

    tree = rig.repository.tree(sha)

    assert tree.compose == "services: {}\n"
    assert tree.roster == "teachers: []\n"
    assert set(tree.files) == {"dags/amy/x.py"}
    assert tree.left_out == ()


def test_a_commit_contains_itself_and_its_ancestors_but_no_descendant(rig: Rig) -> None:
    first = rig.push({"dags/a.py": "1"})
    second = rig.push({"dags/a.py": "2"})
    rig.repository.fetch()

    assert rig.repository.contains(second, first)
    assert rig.repository.contains(second, second)
    assert not rig.repository.contains(first, second)


def test_what_changed_is_told_since_a_known_commit_or_else_since_the_parent(rig: Rig) -> None:
    first = rig.push({"dags/a.py": "1", "dags/b.py": "1", "README.md": "1"})
    second = rig.push({"dags/a.py": "2"})
    third = rig.push({"dags/b.py": None, "include/c.sql": "1"})
    rig.repository.fetch()

    def changed(old: str | None) -> tuple[str | None, tuple[str, ...]]:
        history = rig.repository.history(old, third)
        return history.since, history.changed

    assert changed(first) == (first, ("dags/a.py", "dags/b.py", "include/c.sql"))
    assert changed(second) == (second, ("dags/b.py", "include/c.sql"))
    assert changed(None) == (second, ("dags/b.py", "include/c.sql"))
    assert changed(UNKNOWN) == (second, ("dags/b.py", "include/c.sql"))
    assert changed(third) == (third, ())


def test_who_wrote_what_is_told_since_a_known_commit_or_else_since_the_parent(rig: Rig) -> None:
    first = rig.push({"dags/a.py": "1", "README.md": "1"})
    rig.push({"dags/a.py": "2", "dags/b c.py": "1"}, author="amy@class.example")
    third = rig.push({"dags/a.py": None}, author="7+lasse@users.noreply.github.com")
    rig.repository.fetch()
    by_amy = Authored("amy@class.example", ("dags/a.py", "dags/b c.py"))
    by_lasse = Authored("7+lasse@users.noreply.github.com", ("dags/a.py",))

    def wrote(old: str | None) -> tuple[Authored, ...]:
        return rig.repository.history(old, third).commits

    assert wrote(first) == (by_lasse, by_amy)
    assert wrote(None) == (by_lasse,)
    assert wrote(UNKNOWN) == (by_lasse,)
    assert wrote(third) == ()


def test_a_root_commits_history_begins_with_nothing_and_changes_all(rig: Rig) -> None:
    root = rig.push({"dags/a.py": "1", "README.md": "1"}, author="amy@class.example")
    rig.repository.fetch()
    paths = ("README.md", "dags/a.py")

    assert rig.repository.history(None, root) == History(
        None, paths, (Authored("amy@class.example", paths),)
    )


def test_a_commit_that_was_never_fetched_is_unknown_to_every_question(rig: Rig) -> None:
    tip = rig.push({"dags/a.py": "1"})
    rig.repository.fetch()
    unfetched = rig.push({"dags/a.py": "2"})

    for sha in (UNKNOWN, unfetched):
        with pytest.raises(UnknownCommit):
            rig.repository.tree(sha)
        with pytest.raises(UnknownCommit):
            rig.repository.contains(tip, sha)
        with pytest.raises(UnknownCommit):
            rig.repository.contains(sha, tip)
        with pytest.raises(UnknownCommit):
            rig.repository.history(tip, sha)
