"""What is too much for a release, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deployer.core.model import DAGS
from deployer.core.tree import limits
from deployer.core.tree.facts import LARGEST_PARSED
from deployer.core.tree.limits import (
    PER_COMMIT,
    PER_FOLDER,
    TooMuch,
    Weight,
    judged,
    of_files,
    weight_of,
)

OTTO = "dags/otto"
REMEDY = "and add it to .gitignore"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lower the limits to what a test can write down."""
    monkeypatch.setattr(limits, "PER_FOLDER", Weight(10, 5, 1_000_000, 1_000_000))
    monkeypatch.setattr(limits, "PER_COMMIT", Weight(30, 12, 3_000_000, 3_000_000))


def files(folder: str, count: int, size: int = 1) -> dict[str, int]:
    return {f"{folder}/f{number}.py": size for number in range(count)}


def test_a_folder_weighs_what_is_in_it_however_deep() -> None:
    assert weight_of({"a/b/x": 1, "a/y": 2, "z": 4}) == Weight(files=3, folders=3, size=7)
    assert weight_of({"a/b.py": 1, "c.py": 10**6, "z": 4}).python == 1 + LARGEST_PARSED


def test_what_no_disk_could_hold_is_not_counted_on() -> None:
    whole = sum([Weight(10**15, 10**15, 10**15)] * 5, Weight())
    assert whole == Weight(10**15, 10**15, 10**15)


def test_a_folder_within_its_limits_is_published() -> None:
    assert of_files(files(OTTO, 10, 100_000)) == TooMuch()


def test_a_folder_with_too_many_files_of_its_own_is_held_and_its_neighbours_are_not() -> None:
    found = of_files(files(OTTO, 11) | files("dags/anna", 10) | files("include", 10))
    assert found == TooMuch(
        {OTTO: f"{OTTO} has 11 files, more than 10 files: git rm -r --cached what is no code"}
    )


def test_folders_that_are_too_many_or_bytes_that_are_too_much_are_told_as_such() -> None:
    folders = {f"{OTTO}/a/{name}/x.py": 1 for name in "bcdef"}
    heavy = {"dags/anna/taxi.csv": 1_000_001}
    assert of_files(folders | heavy).held == {
        OTTO: f"{OTTO}/a has 6 folders, more than 5 folders: git rm -r --cached {OTTO}/a {REMEDY}",
        "dags/anna": "dags/anna has 1 MB, more than 1 MB: git rm -r --cached what is no code",
    }


@pytest.fixture
def little_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PER_FOLDER", replace(limits.PER_FOLDER, python=500_000))
    monkeypatch.setattr(limits, "PER_COMMIT", replace(limits.PER_COMMIT, python=1_000_000))


@pytest.mark.usefixtures("little_python")
def test_more_python_than_a_person_writes_is_held_and_the_folder_with_it_named() -> None:
    own, vendored = files(OTTO, 2, 1_000), files(f"{OTTO}/lib", 8, 100_000)
    assert of_files(own | vendored).held == {
        OTTO: f"{OTTO}/lib has 1 MB of Python, more than 0 MB of Python:"
        f" git rm -r --cached {OTTO}/lib {REMEDY}"
    }
    assert (
        of_files(files(OTTO, 8, 100_000))
        .held[OTTO]
        .endswith(": name packages in requirements.txt instead")
    )


@pytest.mark.usefixtures("little_python")
def test_where_all_python_is_too_much_the_heaviest_folders_are_left_out() -> None:
    sizes = {"a": 80_000, "b": 90_000, "c": 70_000}
    found = of_files({p: n for name, n in sizes.items() for p in files(f"dags/{name}", 5, n)})
    assert found.held == {
        "dags/b": "dags/b has 0 MB of Python, and the commit has more than 1 MB of Python:"
        " name packages in requirements.txt instead"
    }


@pytest.mark.usefixtures("little_python")
def test_what_is_no_python_or_too_large_to_be_parsed_counts_as_far_as_it_is_read() -> None:
    assert of_files({f"{OTTO}/trips.csv": 900_000, f"{OTTO}/data.py": 900_000}) == TooMuch(
        {OTTO: f"{OTTO} has 2 MB, more than 1 MB: git rm -r --cached what is no code"}
    )
    assert of_files({f"{OTTO}/data.py": 900_000}) == TooMuch()


def test_include_is_one_folder() -> None:
    assert list(of_files(files("include/a", 6) | files("include/b", 6)).held) == ["include"]


@pytest.mark.parametrize(
    ("heavy", "blamed"),
    [
        ("data/2024/csv", "data/2024/csv"),
        (".venv/lib/site-packages", ".venv"),
        ("project/.tox/py", "project/.tox"),
    ],
)
def test_the_innermost_folder_that_is_to_blame_is_named(heavy: str, blamed: str) -> None:
    found = of_files(files(OTTO, 2) | files(f"{OTTO}/{heavy}", 11))
    assert found.held[OTTO].startswith(f"{OTTO}/{blamed} has 11 files, more than 10 files: ")


@pytest.mark.parametrize("name", [".venv", "venv", "env"])
def test_a_virtual_environment_is_named_as_a_whole(name: str) -> None:
    env = {f"{OTTO}/{name}/pyvenv.cfg": 1} | files(f"{OTTO}/{name}/lib", 11)
    found = of_files(files(OTTO, 2) | env)
    assert found.held[OTTO].startswith(f"{OTTO}/{name} has 12 files")


def test_no_single_folder_is_blamed_where_the_rest_would_be_too_much_as_well() -> None:
    found = of_files({p: 1 for name in "abc" for p in files(f"{OTTO}/{name}", 7)})
    assert found.held[OTTO].startswith(f"{OTTO} has 21 files")


def test_no_small_folder_is_blamed_for_the_last_file_that_was_too_many() -> None:
    found = of_files(files(OTTO, 9) | files(f"{OTTO}/sql", 2))
    assert found.held[OTTO].startswith(f"{OTTO} has 11 files")


def test_of_folders_without_end_no_more_is_named_than_a_path_may_have() -> None:
    found = of_files(files(OTTO + "/deep" * 1_000, 11))
    assert len(found.held[OTTO]) < 2_000


def test_a_path_with_blanks_is_quoted_for_the_shell() -> None:
    found = of_files(files(f"{OTTO}/my data", 11))
    assert f"git rm -r --cached '{OTTO}/my data' {REMEDY}" in found.held[OTTO]


def test_what_is_held_counts_no_more_for_the_commit() -> None:
    assert of_files(files(OTTO, 1_000) | files("dags/anna", 10)).refused is None


def test_a_commit_is_refused_for_files_that_lie_in_no_folder() -> None:
    assert of_files(files("dags", 31) | files(OTTO, 1)) == TooMuch(
        refused="the commit has more than 30 files directly in dags/: "
        "git rm -r --cached what is no code there"
    )


def test_where_the_sum_is_too_much_the_heaviest_folders_are_left_out_and_the_others_go_on() -> None:
    sizes = {"a": 8, "b": 10, "c": 8, "d": 9}
    found = of_files({p: 1 for name, size in sizes.items() for p in files(f"dags/{name}", size)})
    assert found == TooMuch(
        {
            "dags/b": "dags/b has 10 files, and the commit has more than 30 files:"
            " git rm -r --cached what is no code"
        }
    )
    assert of_files({p: 1 for name in "abcdefg" for p in files(f"dags/{name}", 9)}).held.keys() == {
        f"dags/{name}" for name in "abcd"
    }


def test_where_files_and_bytes_are_too_much_the_heaviest_of_each_are_left_out() -> None:
    few = {"b": 150_000, "c": 160_000, "d": 140_000, "e": 110_000}
    heavy = {p: size for name, size in few.items() for p in files(f"dags/{name}", 6, size)}
    found = of_files(files("dags/a", 9) | heavy)
    assert {path: why.partition(",")[0] for path, why in found.held.items()} == {
        "dags/a": "dags/a has 9 files",
        "dags/c": "dags/c has 1 MB",
    }


def test_a_commit_of_more_folders_than_there_may_be_is_refused_before_all_are_weighed() -> None:
    weighed = []

    def weigh(name: str) -> Weight:
        weighed.append(name)
        return Weight(files=1_000_000, folders=1)

    names = [f"{DAGS}s{number}" for number in range(1_000)]
    folders = ((name, name) for name in names)
    found = judged(folders, Weight(), weigh=weigh, inside=lambda _: {})
    assert found.refused is not None
    assert "more than 12 folders" in found.refused
    assert len(set(weighed)) == 13


def test_a_class_of_sixty_and_a_folder_of_3000_dags_are_within_the_real_limits() -> None:
    assert PER_FOLDER.files >= 3_000
    assert PER_COMMIT.files >= 60 * 300 + 3_000
