"""`roster.yaml`: names by folder, and every mistake with its line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployer.core.reporting import roster
from deployer.core.reporting.roster import Roster, Unreadable, names_of, parse

WHOLE = """\
# Who is who.
teachers: [Frauke-B, frauke@university.example]
folders:
  lasse: [lasse-j, Lasse@Students.example]
  maria: maria92
  class_demo:
"""


def test_a_roster_names_teachers_and_the_owners_of_each_folder() -> None:
    found = parse(WHOLE)
    assert isinstance(found, Roster)
    assert found.teachers == {"frauke-b", "frauke@university.example"}
    assert found.owners("lasse") == {"lasse-j", "lasse@students.example"}
    assert found.owners("maria") == {"maria92"}


def test_a_folder_listed_without_names_is_the_teachers_alone() -> None:
    found = parse(WHOLE)
    assert isinstance(found, Roster)
    assert found.owners("class_demo") == frozenset()


@pytest.mark.parametrize("text", [None, "", "# nobody yet\n", "folders:\n", "teachers: []\n"])
def test_a_folder_that_is_not_listed_is_its_own_names(text: str | None) -> None:
    found = parse(text)
    assert isinstance(found, Roster)
    assert found.owners("Lasse") == {"lasse"}
    assert found.teachers == frozenset()


@pytest.mark.parametrize("folder", ["Lasse", "lasse"])
def test_letter_case_does_not_count_in_a_folders_name(folder: str) -> None:
    found = parse("folders:\n  Lasse: lasse-j\n")
    assert isinstance(found, Roster)
    assert found.owners(folder) == {"lasse-j"}


def test_a_login_is_the_same_behind_the_at_sign_of_github() -> None:
    found = parse("folders:\n  lasse: '@Lasse-J'\n")
    assert isinstance(found, Roster)
    assert found.owners("lasse") == {"lasse-j"}


def test_a_login_that_yaml_would_take_for_something_else_stays_a_login() -> None:
    found = parse("folders:\n  a: [no, 007, null, 2026-01-01]\n  123: 1e3\n")
    assert isinstance(found, Roster)
    assert found.owners("a") == {"no", "007", "null", "2026-01-01"}
    assert found.owners("123") == {"1e3"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("teachers: [a\nfolders: b\n", "roster.yaml:2 expected ',' or ']', but got ':'"),
        ("folders:\n  lasse: @lasse\n", "roster.yaml:2 found character '@' that cannot start"),
        ("teacher: frauke\n", "roster.yaml:1 'teacher' is neither teachers nor folders"),
        ("- lasse\n", "roster.yaml:1 should be `name: …`"),
        ("folders: lasse\n", "roster.yaml:1 should be `name: …`"),
        ("folders:\n  [a, b]: c\n", "roster.yaml:2 should be a name"),
        ("folders:\n  a: b\n  a: c\n", "roster.yaml:3 'a' is there twice"),
        ("folders:\n  a: {github: b}\n", "roster.yaml:2 should be a login or an e-mail address"),
        ("teachers: [[a]]\n", "roster.yaml:1 should be a login or an e-mail address"),
        ("folders:\n  Lasse: b\n  lasse: c\n", "roster.yaml:3 'lasse' is there twice"),
        ("folders:\n  a: b, c\n", "roster.yaml:2 'b, c' is neither a login nor an e-mail address"),
        ("folders:\n  a: b c\n", "roster.yaml:2 'b c' is neither a login nor an e-mail address"),
        ("teachers: [b;c]\n", "roster.yaml:1 'b;c' is neither a login nor an e-mail address"),
        ("teachers: ['@']\n", "roster.yaml:1 '@' is neither a login nor an e-mail address"),
        ("teachers:\n- https://github.com/b\n", "roster.yaml:2 'https://github.com/b' is neither"),
        ("folders:\n  lasse/: b\n", "roster.yaml:2 'lasse/' is no folder's name: write it without"),
        ("folders:\n  dags/lasse: b\n", "roster.yaml:2 'dags/lasse' is no folder's name"),
        ("folders:\n  a: *b\n", "roster.yaml:2 found undefined alias 'b'"),
        ("---\na: b\n---\n", "roster.yaml:3 but found another document"),
        (
            "a: \x07\n",
            "roster.yaml holds characters that YAML does not allow: save it as UTF-8",
        ),
        (
            "# x\nfolders: {a: \ufffd}\n",
            "roster.yaml:2 a letter is not UTF-8: save the file as UTF-8",
        ),
        ("[" * 5000, "roster.yaml:1 is nested too deeply"),
        ("{" * 90_000, "roster.yaml:1 is nested too deeply"),
        ("folders:\n" + "- " * 45_000, "roster.yaml:2 is nested too deeply"),
        ("? " * 45_000, "roster.yaml:1 is nested too deeply"),
        ("# " + "x" * 100_000, "roster.yaml has more than 100000 characters"),
    ],
)
def test_a_mistake_is_told_with_its_line(text: str, reason: str) -> None:
    found = parse(text)
    assert isinstance(found, Unreadable)
    assert found.reason.startswith(reason)


def test_a_list_that_many_folders_name_by_an_alias_is_one_in_memory() -> None:
    found = parse("folders:\n  a: &some [x, y]\n  b: *some\n")
    assert isinstance(found, Roster)
    assert found.folders["a"] is found.folders["b"]


@given(st.text(alphabet="ab:-[]{}*&!#|>%@'\" \n\t?,0", max_size=60))
def test_no_text_raises_anything(text: str) -> None:
    assert isinstance(parse(text), Roster | Unreadable)


@pytest.mark.parametrize(
    ("email", "names"),
    [
        ("Lasse@Students.example", {"lasse@students.example"}),
        (
            "123+Lasse-J@users.noreply.github.com",
            {"123+lasse-j@users.noreply.github.com", "lasse-j"},
        ),
        ("lasse-j@users.noreply.github.com", {"lasse-j@users.noreply.github.com", "lasse-j"}),
        ("lasse-j@users.noreply.github.com.evil", {"lasse-j@users.noreply.github.com.evil"}),
        ("", {""}),
    ],
)
def test_an_address_of_githubs_stands_for_a_login(email: str, names: set[str]) -> None:
    assert names_of(email) == names


def test_the_bound_is_the_one_that_is_told() -> None:
    assert roster.MAX_CHARACTERS == 100_000
