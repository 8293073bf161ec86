"""The list of students and the environment, read as accounts (Airflow's side: test_stack.py)."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

FILE = Path(__file__).parents[2] / "include" / "airflow" / "accounts.py"
ENVIRON = {"AIRFLOW_ADMIN_PASSWORD": "an admin's own", "DEPLOYER_AIRFLOW_PASSWORD": "a deployer's"}


@pytest.fixture(scope="module")
def accounts() -> ModuleType:
    """The script, loaded as Airflow's containers do: by its path."""
    spec = importlib.util.spec_from_file_location("accounts", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Where `dataclass` looks its module up.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass
class User:
    """One of FAB's."""

    username: str
    active: bool = True


class Users:
    """FAB's manager, as far as students that leave need it."""

    def __init__(self, *names: str) -> None:
        self.users = [User(name) for name in names]

    def bulk_sync_roles(self, roles: object) -> None: ...

    def find_role(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(name=name, permissions=[])

    def get_all_users(self) -> list[User]:
        return self.users

    def update_user(self, user: User) -> bool:
        return user in self.users


def test_every_line_is_a_student_beside_the_two_of_the_environment(accounts: ModuleType) -> None:
    found = accounts.wanted(ENVIRON, "# class of 2026\n\namy:amys-secret\n bob:a:b:c-secret \n")
    assert [(a.username, a.role, a.password) for a in found.accounts] == [
        ("admin", "Admin", "an admin's own"),
        ("deployer", "Deployer", "a deployer's"),
        ("student-amy", "User", "amys-secret"),
        ("student-bob", "User", "a:b:c-secret"),
    ]
    assert found.mistakes == ()


def test_mistakes_are_passed_over_and_said_by_their_lines(accounts: ModuleType) -> None:
    text = "amy:short\nno-colon\nAm y:long-enough\nbob:long-enough\nBob:long-enough\n:long-enough\n"
    found = accounts.wanted({"AIRFLOW_ADMIN_PASSWORD": "short"}, text)
    assert [account.username for account in found.accounts] == ["student-bob"]
    stays = "; nobody is deactivated until it is mended"
    assert list(found.mistakes) == [
        "AIRFLOW_ADMIN_PASSWORD needs 8 characters or more",
        "DEPLOYER_AIRFLOW_PASSWORD needs 8 characters or more",
        "line 1 of the students gives amy a password of less than 8 characters",
        f"line 2 of the students is no name:password{stays}",
        f"line 3 of the students has a name of more than letters, digits, `.`, `_` and `-`{stays}",
        "line 5 of the students names Bob, as line 4 does",
        f"line 6 of the students has a name of more than letters, digits, `.`, `_` and `-`{stays}",
    ]


def test_spaces_around_name_and_password_belong_to_neither(accounts: ModuleType) -> None:
    (*_, otto) = accounts.wanted(ENVIRON, "otto : long-enough\t\n").accounts
    assert (otto.username, otto.password) == ("student-otto", "long-enough")


def test_a_list_that_windows_wrote_is_read_like_any_other(
    accounts: ModuleType, tmp_path: Path
) -> None:
    (tmp_path / "students").write_bytes(b"\xef\xbb\xbfotto:long-enough\r\n")
    assert accounts._read(tmp_path / "students").names == {"student-otto"}


@pytest.mark.parametrize("typo", ["otto;long-enough", "\u00f6tto:long-enough", "long-enough", ":"])
def test_while_it_is_not_known_whom_a_line_means_nobody_is_deactivated(
    accounts: ModuleType, typo: str
) -> None:
    users = Users("student-otto")
    there = replace(accounts.wanted(ENVIRON, f"amy:long-enough\n{typo}\n"), accounts=())
    assert accounts.set_right(users, there) == []
    assert users.users[0].active


def test_a_student_whose_line_is_wrong_keeps_the_account_and_one_without_a_line_does_not(
    accounts: ModuleType,
) -> None:
    users = Users("student-amy", "student-eve", "teacher")
    there = replace(accounts.wanted(ENVIRON, "Amy:short\n"), accounts=())
    assert accounts.set_right(users, there) == [
        "student-eve: not in the list any more, deactivated"
    ]
    assert [user.active for user in users.users] == [True, False, True]


def test_no_password_is_shown(accounts: ModuleType) -> None:
    found = accounts.wanted(ENVIRON, "perhaps-a-password\namy:s3cret\n!:another-secret\n")
    said = repr(found.mistakes)
    assert not [word for word in ("perhaps", "s3cret", "another") if word in said]
    assert "an admin's own" not in repr(found)


def test_a_list_that_cant_be_read_deactivates_nobody_and_says_how_to_let_airflow_read_it(
    accounts: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    there = accounts._read(tmp_path / "students")
    assert "chgrp 0" in there.mistakes[0]
    assert [account.username for account in there.accounts] == ["admin", "deployer"]
    users = Users("student-amy")
    assert accounts.set_right(users, replace(there, accounts=())) == []
    assert users.users[0].active


def test_the_deployer_may_not_do_what_it_does_not_need(accounts: ModuleType) -> None:
    assert {action for action, _ in accounts.RIGHTS} == {"can_read", "can_edit"}
    assert {what for action, what in accounts.RIGHTS if action == "can_edit"} == {"Pools"}
