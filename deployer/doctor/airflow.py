"""Airflow's health, and what the deployer's account may do there.

A right is tried on things that do not exist: Airflow judges the right first (403), then
finds nothing (404), so nothing is changed. It is so for DAGs and pools in 3.3.2
(`dependencies=[Depends(requires_access_…)]` in core_api/routes/public/dags.py, pools.py,
dag_run.py). The tries leave a line each in Airflow's audit log.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import httpx

from deployer.core.doctor.lines import Ailment, NotApplicable
from deployer.doctor.asking import NoAnswer, ask

FRESH_S: Final = 30.0
"""Airflow's own bound as well ([scheduler] scheduler_health_check_threshold)."""
_PARTS: Final = {"scheduler": "the scheduler", "dag_processor": "the dag-processor"}
_AWAY: Final = "see that the api-server runs and that DEPLOYER_AIRFLOW_URL is its address"
_ROLE: Final = "give the account the role Deployer of docs/operations.md, and no other"


class _Right(NamedTuple):
    """A right in the words of FAB's auth manager, and a request that needs it."""

    name: str
    method: str
    path: str
    body: Mapping[str, object] | None = None


_NEEDED: Final = (
    _Right("can read on DAGs", "GET", "/dags?limit=1"),
    _Right("can read on DAG Runs", "GET", "/dags/~/dagRuns?limit=1"),
    _Right("can read on Task Instances", "GET", "/dags/~/dagRuns/~/taskInstances?limit=1"),
    _Right("can read on Pools", "GET", "/pools?limit=1"),
    _Right("can edit on Pools", "PATCH", "/pools/{nobody}", {"slots": 1}),
)
_TOO_MUCH: Final = (
    _Right("read connections", "GET", "/connections?limit=1"),
    _Right("read variables", "GET", "/variables?limit=1"),
    _Right("pause DAGs", "PATCH", "/dags/{nobody}", {"is_paused": True}),
    _Right("start DAG runs", "POST", "/dags/{nobody}/dagRuns", {"logical_date": None}),
)


@dataclass(frozen=True, slots=True)
class Account:
    """Logged in at `url`; the token is good for a day."""

    url: str
    username: str
    token: str = field(repr=False)


def health(url: str, now: datetime) -> str:
    """Tell whether Airflow's parts are alive.

    Raises:
        Ailment: no answer, another program's, or a part is not.
    """
    answer = ask("GET", f"{url}/api/v2/monitor/health", remedy=_AWAY, outside=False)
    body = _object(answer)
    if answer.status_code != HTTPStatus.OK or "metadatabase" not in body:
        raise Ailment(f"{url} answered {answer.status_code}, not as Airflow 3 does", _AWAY)
    wrong = [] if body["metadatabase"]["status"] == "healthy" else ["its database is out of reach"]
    ages = []
    for part, name in _PARTS.items():
        beat = (body.get(part) or {}).get(f"latest_{part}_heartbeat")
        age_s = (now - datetime.fromisoformat(beat)).total_seconds() if beat else None
        if age_s is None:
            wrong.append(f"{name} has never run")
        elif age_s > FRESH_S:
            wrong.append(f"{name}'s last heartbeat was {age_s:.0f} s ago")
        else:
            ages.append(f"{name} {max(age_s, 0):.0f} s ago")
    if wrong:
        raise Ailment(
            "; ".join(wrong), "look at the log of that service (docker compose logs) and restart it"
        )
    return f"database healthy, heartbeats: {', '.join(ages)}"


def log_in(url: str, username: str | None, password: str | None) -> Account:
    """Log in.

    Raises:
        Ailment: no name or password is set, or Airflow refuses them.
        NotApplicable: Airflow does not answer.
    """
    names = "DEPLOYER_AIRFLOW_USERNAME and DEPLOYER_AIRFLOW_PASSWORD"
    if not username or not password:
        raise Ailment(
            "no account is set",
            f"set {names}; where systemd hands the worker its password as a credential, run"
            " doctor with DEPLOYER_AIRFLOW_PASSWORD_FILE",
        )
    login = {"username": username, "password": password}
    try:
        answer = ask("POST", f"{url}/auth/token", remedy=_AWAY, outside=False, body=login)
    except NoAnswer as exc:
        raise NotApplicable("can't be told: see Airflow health") from exc
    token = _object(answer).get("access_token")
    if answer.status_code == HTTPStatus.CREATED and isinstance(token, str):
        return Account(url, username, token)
    if answer.status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise Ailment(
            f"Airflow does not let {username} in ({answer.status_code})",
            f"set {names} to an active account of Airflow",
        )
    raise Ailment(f"{url} answered {answer.status_code} to a login", _AWAY)


def account_line(account: Account) -> str:
    return f"{account.username} is let in"


def rights(account: Account) -> str:
    """Tell whether the account may do what the deployer does.

    Raises:
        Ailment: with each right that is missing.
    """
    missing = [right.name for right, allowed in _tried(account, _NEEDED) if not allowed]
    if missing:
        raise Ailment(f"{account.username} lacks: {', '.join(missing)}", _ROLE)
    return f"{account.username} may read DAGs, runs, tasks and pools, edit pools"


def excess(account: Account) -> str:
    """Tell whether the account may do no more than it needs.

    Raises:
        Ailment: with what it may.
    """
    allowed = [right.name for right, allowed in _tried(account, _TOO_MUCH) if allowed]
    if allowed:
        raise Ailment(
            f"{account.username} has more rights than it needs: it may {', '.join(allowed)}", _ROLE
        )
    return f"{account.username} may not {', '.join(right.name for right in _TOO_MUCH)}"


def _tried(account: Account, wanted: tuple[_Right, ...]) -> Iterator[tuple[_Right, bool]]:
    """Yield each right, and whether the account has it."""
    nobody = f"_doctor_{uuid.uuid4().hex}"  # a DAG or pool that nobody can have
    for right in wanted:
        answer = ask(
            right.method,
            f"{account.url}/api/v2{right.path.format(nobody=nobody)}",
            remedy=_AWAY,
            outside=False,
            headers={"Authorization": f"Bearer {account.token}"},
            body=right.body,
        )
        if answer.status_code not in {HTTPStatus.OK, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise Ailment(
                f'Airflow answered {answer.status_code} when "{right.name}" was tried',
                "look at the api-server's log; the deployer is made for Airflow 3.3",
            )
        yield right, answer.status_code != HTTPStatus.FORBIDDEN


def _object(answer: httpx.Response) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
