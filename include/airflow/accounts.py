"""Give Airflow its accounts: `accounts.py STUDENTS_FILE`.

Run by `airflow-init` after the database is migrated, and again whenever somebody wants: what
is right already is left alone. It makes

- `admin` (role Admin), with $AIRFLOW_ADMIN_PASSWORD;
- `deployer` (role Deployer, which has the rights below and no other), with
  $DEPLOYER_AIRFLOW_PASSWORD;
- `student-<name>` for each line `<name>:<password>` of the file, with Airflow's own role User:
  sees all DAGs, runs, clears and pauses them, reads their logs; connections, variables, pools,
  the configuration and other people's accounts are closed to it.

The environment and the file are the truth: a password that was changed there is set, and one
that somebody changed in Airflow is set back. A student who is no longer in the file is
deactivated, not deleted (the audit log names him), and logged out by it; back in the file,
he is let in again. Any other account is left alone.

All of Airflow waits for this, so a mistake in the file or in the environment ends nothing: what
is right is done, the account of a line that is not right stays as it is, and each mistake is said
in a line that begins with "passed over: ", which `deployer doctor` looks for. Should it fail
all the same, the compose file lets Airflow start, and says so in such a line.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ADMIN, DEPLOYER = "admin", "deployer"
STUDENT_PREFIX = "student-"
ADMIN_ROLE, DEPLOYER_ROLE, STUDENT_ROLE = "Admin", "Deployer", "User"
MIN_PASSWORD = 8

RIGHTS = frozenset({
    # which releases are in use: by DAGs, by unfinished runs
    ("can_read", "DAGs"),
    ("can_read", "DAG Runs"),
    # whom a drain waits for
    ("can_read", "Task Instances"),
    # the drain is an edit of a pool
    ("can_read", "Pools"),
    ("can_edit", "Pools"),
    # the home page, which the api-server gives to every role by itself
    ("can_read", "Website"),
})  # fmt: skip
"""What the deployer may do, as FAB's pairs of action and resource."""


@dataclass(frozen=True)
class Account:
    """One account as it should be."""

    username: str
    role: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Wanted:
    """The accounts that there should be.

    Attributes:
        mistakes: one line each, without a password.
        names: of all students that the list speaks of, also where the rest is a mistake, in
            lower case; None: the list, or a line of it, can't be read, so all stay.
    """

    accounts: tuple[Account, ...]
    mistakes: tuple[str, ...] = ()
    names: frozenset[str] | None = None


def wanted(environ: Mapping[str, str], students: str) -> Wanted:
    """Return what there should be, given the text of the students' file."""
    mistakes: list[str] = []
    accounts = []
    for username, role, variable in (
        (ADMIN, ADMIN_ROLE, "AIRFLOW_ADMIN_PASSWORD"),
        (DEPLOYER, DEPLOYER_ROLE, "DEPLOYER_AIRFLOW_PASSWORD"),
    ):
        password = environ.get(variable, "")
        if len(password) < MIN_PASSWORD:
            mistakes.append(f"{variable} needs {MIN_PASSWORD} characters or more")
        else:
            accounts.append(Account(username, role, password))
    lines: dict[str, int] = {}
    found, whole = _listed(students, lines, mistakes)
    for name, password in found.items():
        accounts.append(Account(STUDENT_PREFIX + name, STUDENT_ROLE, password))
    names = frozenset(STUDENT_PREFIX + name for name in lines)
    return Wanted(tuple(accounts), tuple(mistakes), names if whole else None)


def _listed(text: str, lines: dict[str, int], mistakes: list[str]) -> tuple[dict[str, str], bool]:
    """Return the passwords of the list by name, and whether it is known whom each line means.

    `lines`: filled with the first line of each name, lower case.
    """
    found: dict[str, str] = {}
    whole = True
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, password = (part.strip() for part in line.partition(":"))
        if not colon or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,50}", name):
            whole = False
            # Not shown: a line without a colon may well be a password.
            what = (
                "has a name of more than letters, digits, `.`, `_` and `-`"
                if colon
                else "is no name:password"
            )
            what += "; nobody is deactivated until it is mended"
        # FAB finds its users whatever the case.
        elif (first := lines.setdefault(name.lower(), number)) != number:
            what = f"names {name}, as line {first} does"
        elif len(password) < MIN_PASSWORD:
            what = f"gives {name} a password of less than {MIN_PASSWORD} characters"
        else:
            found[name] = password
            continue
        mistakes.append(f"line {number} of the students {what}")
    return found, whole


def set_right(manager: Any, there: Wanted) -> list[str]:  # noqa: ANN401  # FAB's own, untyped here
    """Make Airflow's accounts those; return one line about each that changed."""
    said = _set_rights(manager)
    for account in there.accounts:
        said += _set_account(manager, account)
    for user in manager.get_all_users() if there.names is not None else ():
        name = user.username
        if name.startswith(STUDENT_PREFIX) and name.lower() not in there.names and user.active:
            user.active = False
            _update(manager, user)
            said.append(f"{name}: not in the list any more, deactivated")
    return said


def _set_rights(manager: Any) -> list[str]:  # noqa: ANN401  # likewise
    manager.bulk_sync_roles([{"role": DEPLOYER_ROLE, "perms": sorted(RIGHTS)}])
    role = manager.find_role(DEPLOYER_ROLE)
    more = [p for p in role.permissions if (p.action.name, p.resource.name) not in RIGHTS]
    for permission in more:
        manager.remove_permission_from_role(role, permission)
    return [f"role {DEPLOYER_ROLE}: {permission} taken away" for permission in more]


def _set_account(manager: Any, account: Account) -> list[str]:  # noqa: ANN401  # likewise
    from werkzeug.security import check_password_hash  # noqa: PLC0415  # Airflow's environment

    name, role = account.username, manager.find_role(account.role)
    user = manager.find_user(username=name)
    if user is None:
        # FAB wants an address, and no two alike; RFC 2606 keeps .invalid for this.
        address = f"{name}@class.invalid"
        manager.add_user(name, name, "", address, [role], account.password)
        return [f"{name}: made"]
    said = []
    if not user.active or user.roles != [role]:
        user.active, user.roles = True, [role]
        _update(manager, user)
        said.append(f"{name}: active, with the role {account.role}")
    if not check_password_hash(user.password, account.password):
        if not manager.reset_password(user.id, account.password):
            raise RuntimeError(f"the password of {name} could not be set; the log says why")
        said.append(f"{name}: new password, logged out")
    return said


def _update(manager: Any, user: Any) -> None:  # noqa: ANN401  # likewise
    if not manager.update_user(user):
        raise RuntimeError(f"{user.username} could not be changed; the log says why")


def _read(path: Path) -> Wanted:
    try:
        return wanted(os.environ, path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        mistake = (
            f"the list of students can't be read: {why}. Airflow reads it as user 50000 of "
            "group 0: chgrp 0 and chmod 640 let it"
        )
    there = wanted(os.environ, "")
    return replace(there, mistakes=(*there.mistakes, mistake), names=None)


def main() -> int:
    there = _read(Path(sys.argv[1]))
    for mistake in there.mistakes:
        print(f"passed over: {mistake}", file=sys.stderr)  # noqa: T201  # its log
    # Imported last: it takes seconds, and mistakes should show at once.
    from airflow.providers.fab.auth_manager.cli_commands.utils import (  # noqa: PLC0415
        get_application_builder,
    )

    with get_application_builder() as builder:
        said = set_right(builder.sm, there)
    for line in said:
        print(line)  # noqa: T201  # its log
    number = len(there.accounts)
    print(f"{number} {'account is' if number == 1 else 'accounts are'} in order")  # noqa: T201  # its log
    return 0


if __name__ == "__main__":
    sys.exit(main())
