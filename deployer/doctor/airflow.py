"""Airflow's health, and what the deployer's account may do there.

A right is tried on things that do not exist: Airflow judges the right first (403), then
finds nothing (404), so nothing is changed. It is so for DAGs and pools in 3.3.2
(`dependencies=[Depends(requires_access_…)]` in core_api/routes/public/dags.py, pools.py,
dag_run.py). The tries leave a line each in Airflow's audit log.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple

from deployer.core.doctor import Ailment, NotApplicable
from deployer.doctor.world import World
from deployer.errors import AirflowUnreachable
from deployer.ports.doctor import AirflowAccount

FRESH_S: Final = 30.0
"""Airflow's own bound as well ([scheduler] scheduler_health_check_threshold)."""
_PARTS: Final = {"scheduler": "the scheduler", "dag_processor": "the dag-processor"}
AWAY: Final = "see that the api-server runs and that DEPLOYER_AIRFLOW_URL is its address"
ACCOUNT: Final = "set DEPLOYER_AIRFLOW_USERNAME and DEPLOYER_AIRFLOW_PASSWORD to an active account"
LOOK: Final = "look at the api-server's log; the deployer is made for Airflow 3.3"
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


def health(world: World) -> str:
    """Tell whether Airflow's parts are alive.

    Raises:
        Ailment: a part is not. AirflowError: no answer, or another program's.
    """
    said, now = world.airflow().health(), world.now()
    wrong = [] if said.database else ["its database is out of reach"]
    ages = []
    for part, name in _PARTS.items():
        beat = said.beats.get(part)
        age_s = (now - beat).total_seconds() if beat else None
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


def account(world: World) -> str:
    """Tell whether Airflow lets the account in.

    Raises:
        Ailment, NotApplicable, AirflowError
    """
    world.once(_logged_in)
    return f"{world.credentials()[0]} is let in"


def _logged_in(world: World) -> AirflowAccount:
    """Return Airflow, logged in as the account.

    Raises:
        Ailment: no name or password is set, or the embedded Airflow has none yet.
        NotApplicable: Airflow does not answer.
        AirflowError: it does not let the account in.
    """
    if world.processes and not world.processes():  # it may not even have made its password
        raise Ailment(
            "the embedded Airflow does not run", "start it: `deployer demo`; see services"
        )
    airflow = world.airflow()
    if not all(world.credentials()):
        raise Ailment(
            "no account is set",
            "set DEPLOYER_AIRFLOW_USERNAME and DEPLOYER_AIRFLOW_PASSWORD; where systemd hands the"
            " worker its password as a credential, run doctor with DEPLOYER_AIRFLOW_PASSWORD_FILE",
        )
    try:
        airflow.log_in()
    except AirflowUnreachable as exc:
        raise NotApplicable("can't be told: see Airflow health") from exc
    return airflow


def rights(world: World) -> str:
    """Tell whether the account may do what the deployer does.

    Raises:
        Ailment: with each right that is missing.
        NotApplicable: the account is not let in.
        AirflowError
    """
    missing = [right.name for right, allowed in _tried(world, _NEEDED) if not allowed]
    username = world.credentials()[0]
    if missing:
        raise Ailment(f"{username} lacks: {', '.join(missing)}", _ROLE)
    return f"{username} may read DAGs, runs, tasks and pools, edit pools"


def excess(world: World) -> str:
    """Tell whether the account may do no more than it needs.

    Raises:
        Ailment: with what it may.
        NotApplicable: the account is not let in, or is the embedded Airflow's only one.
        AirflowError
    """
    if world.processes is not None:
        raise NotApplicable("SERVICES=local: the embedded Airflow has one account, an admin's")
    allowed = [right.name for right, allowed in _tried(world, _TOO_MUCH) if allowed]
    username = world.credentials()[0]
    if allowed:
        raise Ailment(
            f"{username} has more rights than it needs: it may {', '.join(allowed)}", _ROLE
        )
    return f"{username} may not {', '.join(right.name for right in _TOO_MUCH)}"


def _tried(world: World, wanted: tuple[_Right, ...]) -> Iterator[tuple[_Right, bool]]:
    """Yield each right, and whether the account has it."""
    account = world.after("Airflow account", _logged_in)
    nobody = f"_doctor_{uuid.uuid4().hex}"  # a DAG or pool that nobody can have
    for right in wanted:
        status = account.status_of(right.method, right.path.format(nobody=nobody), right.body)
        if status not in {HTTPStatus.OK, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise Ailment(
                f'Airflow answered {status} when "{right.name}" was tried',
                LOOK,
            )
        yield right, status != HTTPStatus.FORBIDDEN
