"""What is written about deployments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from deployer.core.model import (
    Ending,
    Live,
    Plan,
    Running,
    State,
    Status,
    StepRecord,
    Trigger,
    Verdict,
    folder_of,
)
from deployer.edges.journal import tables
from deployer.edges.journal.codec import error_to_json, made, share_of_traces
from deployer.edges.journal.tables import (
    announcements,
    claims,
    deployments,
    folders,
    steps,
    verdicts,
)
from deployer.edges.journal.transactions import marks, outbox
from deployer.edges.journal.transactions.reading import batches
from deployer.errors import JournalError


def announce(connection: Connection, sha: str | None, trigger: Trigger, *, at: datetime) -> int:
    """Add an announcement that no delivery made; return its id."""
    new = {"sha": sha, "trigger": trigger, "received_at": at, "forced": False}
    return _insert_one(connection, announcements, new)


def attach(connection: Connection, announcement: int, deployment: int) -> None:
    _change(connection, announcements, announcement, deployment_id=deployment)


def queue(
    connection: Connection,
    sha: str,
    *,
    base_sha: str | None,
    ref: str,
    trigger: Trigger,
    at: datetime,
) -> int:
    new = {
        "sha": sha,
        "base_sha": base_sha,
        "ref": ref,
        "trigger": trigger,
        "state": State.QUEUED,
        "queued_at": at,
        "reason": "",
        "plan": asdict(Plan()),
    }
    return _insert_one(connection, deployments, new)


def start(
    connection: Connection,
    deployment: int,
    *,
    at: datetime,
    base_sha: str | None,
    covers: Sequence[str],
) -> None:
    _change(
        connection,
        deployments,
        deployment,
        state=State.RUNNING,
        started_at=at,
        finished_at=None,
        base_sha=base_sha,
        reason="",
        ending=None,
        running=None,
        waits_for=None,
    )
    covered = [{"position": position, "sha": sha} for position, sha in enumerate(covers)]
    _set_parts(connection, deployment, tables.covers, covered)
    _set_parts(connection, deployment, steps, [])
    set_verdicts(connection, deployment, [])  # nor any folders


def set_plan(connection: Connection, deployment: int, plan: Plan) -> None:
    # Without what is to be installed: that is decided anew when the deployment is redone.
    _change(connection, deployments, deployment, plan=asdict(replace(plan, installs=None)))
    _set_folders(connection, deployment)


def add_step(connection: Connection, deployment: int, step: StepRecord) -> None:
    _change(connection, deployments, deployment, running=None)
    connection.execute(insert(steps), asdict(step) | {"deployment_id": deployment})


def doing(connection: Connection, deployment: int, running: Running) -> None:
    _change(connection, deployments, deployment, running=asdict(running))


def wait_for(
    connection: Connection,
    numbers: Collection[int],
    words: str,
    *,
    at: datetime,
    statuses: Sequence[Status],
) -> None:
    for number, status in zip(numbers, statuses, strict=True):
        _change(connection, deployments, number, waits_for=words)
        outbox.owe(connection, [status], deployment=number, at=at)


def set_verdicts(connection: Connection, deployment: int, found: Sequence[Verdict]) -> None:
    kept = share_of_traces(sum(verdict.error is not None for verdict in found))
    rows = [
        asdict(verdict)
        | {
            "error": verdict.error and error_to_json(verdict.error, kept),
            "warnings": verdict.warnings or None,
        }
        for verdict in found
    ]
    _set_parts(connection, deployment, verdicts, rows)
    _set_folders(connection, deployment)
    _set_claims(connection, [verdict for verdict in found if verdict.good])


def end(
    connection: Connection,
    deployment: int,
    ending: Ending,
    *,
    at: datetime,
    statuses: Sequence[Status] = (),
    supersedes: Collection[int] = (),
    live: Live | None = None,
) -> None:
    set_verdicts(connection, deployment, ending.verdicts)
    _change(
        connection,
        deployments,
        deployment,
        state=ending.state,
        finished_at=at,
        reason=ending.reason or ending.refused or "",
        ending=asdict(replace(ending, verdicts=())),  # they have a table
        running=None,
    )
    for other in supersedes:
        supersede(connection, other, f"part of deployment {deployment}", at=at)
    outbox.owe(connection, statuses, deployment=deployment, at=at)
    if live is not None:
        marks.set_live(connection, live)
        # What is live is a newer one, whether or not it is the tip by now.
        connection.execute(update(tables.worker).values(tip_since=at))


def supersede(
    connection: Connection,
    deployment: int,
    reason: str,
    *,
    at: datetime,
    statuses: Sequence[Status] = (),
) -> None:
    _change(
        connection,
        deployments,
        deployment,
        state=State.SUPERSEDED,
        finished_at=at,
        reason=reason,
        ending=None,
        running=None,
        waits_for=None,
    )
    outbox.owe(connection, statuses, deployment=deployment, at=at)


def _set_claims(connection: Connection, good: Sequence[Verdict]) -> None:
    for paths in batches([verdict.path for verdict in good]):
        connection.execute(delete(claims).where(claims.c.path.in_(paths)))
    named = {(verdict.path, dag_id) for verdict in good for dag_id in verdict.dag_ids}
    _insert(connection, claims, [{"path": path, "dag_id": dag_id} for path, dag_id in named])


def _set_folders(connection: Connection, deployment: int) -> None:
    """Note the folders that the deployment's plan and verdicts touch, for the folders' pages."""
    stored = connection.execute(
        select(deployments.c.plan).where(deployments.c.id == deployment)
    ).scalar_one()
    plan = made(Plan, stored)
    judged = connection.scalars(
        select(verdicts.c.path).where(verdicts.c.deployment_id == deployment)
    )
    touched = {folder_of(path) for path in (*plan.dag_files, *plan.deleted, *judged)} - {None}
    _set_parts(connection, deployment, folders, [{"folder": name} for name in touched])


def _set_parts(
    connection: Connection, deployment: int, table: Table, rows: Sequence[dict[str, Any]]
) -> None:
    connection.execute(delete(table).where(table.c.deployment_id == deployment))
    _insert(connection, table, [row | {"deployment_id": deployment} for row in rows])


def _insert_one(connection: Connection, table: Table, new: Mapping[str, object]) -> int:
    """Add one row; return its number."""
    return int(connection.execute(insert(table).returning(table.c.id), new).scalar_one())


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:  # an empty list would insert one row of defaults
        connection.execute(insert(table), rows)


def _change(connection: Connection, table: Table, number: int, **values: object) -> None:
    """Change one row.

    Raises:
        JournalError: there is none of that number.
    """
    changed = connection.execute(update(table).where(table.c.id == number).values(values))
    if not changed.rowcount:
        raise JournalError(f"the journal holds no {table.name.removesuffix('s')} {number}")
