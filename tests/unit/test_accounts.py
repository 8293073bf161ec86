"""The list of students and the environment, read as accounts (Airflow's side: test_stack.py)."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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


def test_every_line_is_a_student_beside_the_two_of_the_environment(accounts: ModuleType) -> None:
    found = accounts.wanted(ENVIRON, "# class of 2026\n\namy:amys-secret\n bob:a:b:c-secret \n")
    assert [(a.username, a.role, a.password) for a in found] == [
        ("admin", "Admin", "an admin's own"),
        ("deployer", "Deployer", "a deployer's"),
        ("student-amy", "User", "amys-secret"),
        ("student-bob", "User", "a:b:c-secret"),
    ]


def test_all_mistakes_are_said_at_once_by_their_lines(accounts: ModuleType) -> None:
    text = "amy:short\nno-colon\nAm y:long-enough\nbob:long-enough\nBob:long-enough\n:long-enough\n"
    with pytest.raises(accounts.AccountsError) as caught:
        accounts.wanted({"AIRFLOW_ADMIN_PASSWORD": "short"}, text)
    assert str(caught.value).splitlines() == [
        "AIRFLOW_ADMIN_PASSWORD needs 8 characters or more",
        "DEPLOYER_AIRFLOW_PASSWORD needs 8 characters or more",
        "line 1 of the students gives amy a password of less than 8 characters",
        "line 2 of the students is no name:password",
        "line 3 of the students has a name of more than letters, digits, `.`, `_` and `-`",
        "line 5 of the students names Bob, as line 4 does",
        "line 6 of the students has a name of more than letters, digits, `.`, `_` and `-`",
    ]


def test_no_password_is_shown(accounts: ModuleType) -> None:
    with pytest.raises(accounts.AccountsError) as caught:
        accounts.wanted(ENVIRON, "perhaps-a-password\namy:s3cret\n!:another-secret\n")
    assert not [s for s in ("perhaps", "s3cret", "another") if s in str(caught.value)]
    assert "an admin's own" not in repr(accounts.wanted(ENVIRON, ""))


def test_a_list_that_cant_be_read_says_how_to_let_airflow_read_it(
    accounts: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "argv", ["accounts.py", str(tmp_path / "students")])
    assert accounts.main() == 2
    assert "chgrp 0" in capsys.readouterr().err


def test_the_deployer_may_not_do_what_it_does_not_need(accounts: ModuleType) -> None:
    assert {action for action, _ in accounts.RIGHTS} == {"can_read", "can_edit"}
    assert {what for action, what in accounts.RIGHTS if action == "can_edit"} == {"Pools"}
