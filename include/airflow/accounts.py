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

Exit status 2: the file or the environment is wrong; all mistakes are said, nothing was done.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
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


class AccountsError(Exception):
    """The environment or the list is wrong; one line a mistake."""


@dataclass(frozen=True)
class Account:
    """One account as it should be."""

    username: str
    role: str
    password: str = field(repr=False)


def wanted(environ: Mapping[str, str], students: str) -> tuple[Account, ...]:
    """Return the accounts that there should be, given the text of the students' file.

    Raises:
        AccountsError: with all mistakes; holds no password.
    """
    mistakes: list[str] = []
    accounts = []
    for username, role, variable in (
        (ADMIN, ADMIN_ROLE, "AIRFLOW_ADMIN_PASSWORD"),
        (DEPLOYER, DEPLOYER_ROLE, "DEPLOYER_AIRFLOW_PASSWORD"),
    ):
        password = environ.get(variable, "")
        if len(password) < MIN_PASSWORD:
            mistakes.append(f"{variable} needs {MIN_PASSWORD} characters or more")
        accounts.append(Account(username, role, password))
    for name, password in _listed(students, mistakes).items():
        accounts.append(Account(STUDENT_PREFIX + name, STUDENT_ROLE, password))
    if mistakes:
        raise AccountsError("\n".join(mistakes))
    return tuple(accounts)


def _listed(text: str, mistakes: list[str]) -> dict[str, str]:
    """Return the passwords of the list by name, as far as it can be understood."""
    found: dict[str, str] = {}
    lines = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, password = line.partition(":")
        # FAB finds its users whatever the case.
        first = lines.setdefault(name.lower(), number)
        if not colon:
            # Not shown: a line without a colon may well be a password.
            what = "is no name:password"
        elif not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,50}", name):
            what = "has a name of more than letters, digits, `.`, `_` and `-`"
        elif first != number:
            what = f"names {name}, as line {first} does"
        elif len(password) < MIN_PASSWORD:
            what = f"gives {name} a password of less than {MIN_PASSWORD} characters"
        else:
            found[name] = password
            continue
        mistakes.append(f"line {number} of the students {what}")
    return found


def set_right(manager: Any, accounts: tuple[Account, ...]) -> list[str]:  # noqa: ANN401  # FAB's own, untyped here
    """Make Airflow's accounts those; return one line about each that changed."""
    said = _set_rights(manager)
    for account in accounts:
        said += _set_account(manager, account)
    names = {account.username for account in accounts}
    for user in manager.get_all_users():
        if user.username.startswith(STUDENT_PREFIX) and user.username not in names and user.active:
            user.active = False
            _update(manager, user)
            said.append(f"{user.username}: not in the list any more, deactivated")
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


def main() -> int:
    path = Path(sys.argv[1])
    try:
        accounts = wanted(os.environ, path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        print(  # noqa: T201  # its log
            f"the list of students can't be read: {reason}. Airflow reads it as user 50000 of "
            "group 0: chgrp 0 and chmod 640 let it",
            file=sys.stderr,
        )
        return 2
    except AccountsError as error:
        print(f"the accounts are not set:\n{error}", file=sys.stderr)  # noqa: T201  # its log
        return 2
    # Imported last: it takes seconds, and mistakes should show at once.
    from airflow.providers.fab.auth_manager.cli_commands.utils import (  # noqa: PLC0415
        get_application_builder,
    )

    with get_application_builder() as builder:
        said = set_right(builder.sm, accounts)
    for line in said:
        print(line)  # noqa: T201  # its log
    print(f"{len(accounts)} accounts are in order")  # noqa: T201  # its log
    return 0


if __name__ == "__main__":
    sys.exit(main())
