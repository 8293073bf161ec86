"""What is old and decides nothing any more goes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, exists, func, select

from deployer.core.model import Outcome, State
from deployer.edges.journal.deployments import newest_verdicts
from deployer.edges.journal.outbox import IS_OWED
from deployer.edges.journal.reading import in_error
from deployer.edges.journal.tables import (
    announcements,
    condemned,
    covers,
    deliveries,
    deployments,
    folders,
    freezes,
    outbox,
    refusals,
    statements,
    steps,
    verdicts,
    worker,
)

AT_A_TIME = 200
"""Deployments in one transaction: others write meanwhile."""


def prune(connection: Connection, before: datetime) -> int:
    doomed = _doomed(connection, before)
    if doomed:
        _remove(connection, doomed)
    connection.execute(
        delete(deliveries).where(
            deliveries.c.received_at < before,
            ~exists().where(announcements.c.delivery == deliveries.c.guid),
        )
    )
    connection.execute(delete(refusals).where(refusals.c.at < before))
    connection.execute(delete(condemned).where(condemned.c.at < before))
    connection.execute(delete(freezes).where(freezes.c.ended_at < before))
    return len(doomed)


def _doomed(connection: Connection, before: datetime) -> list[int]:
    """Return some that nobody needs: not live, no commit's last word is owed or an `error`.

    What stands of a file is known by its newest verdict, so a deployment with one stays until
    the file is judged again or deleted.
    """
    decides = (
        newest_verdicts()
        .where(verdicts.c.outcome != Outcome.DELETED)
        .with_only_columns(verdicts.c.deployment_id)
    )
    owed = (
        select(statements.c.deployment_id)
        .join(outbox, outbox.c.place == statements.c.place)
        .where(IS_OWED)
    )
    live = select(covers.c.deployment_id).join(worker, worker.c.live_sha == covers.c.sha)
    query = (
        select(deployments.c.id)
        .where(
            deployments.c.state.not_in([State.QUEUED, State.RUNNING]),
            func.coalesce(deployments.c.finished_at, deployments.c.queued_at) < before,
            deployments.c.id.not_in(decides),
            deployments.c.id.not_in(owed),
            deployments.c.id.not_in(live),
            deployments.c.id.not_in([number for number, _ in in_error(connection)]),
        )
        .order_by(deployments.c.id)
        .limit(AT_A_TIME)
    )
    return list(connection.execute(query).scalars())


def _remove(connection: Connection, doomed: list[int]) -> None:
    places = connection.execute(
        select(statements.c.place).where(statements.c.deployment_id.in_(doomed))
    )
    said = set(places.scalars())
    for table in (covers, folders, steps, verdicts, statements):
        connection.execute(delete(table).where(table.c.deployment_id.in_(doomed)))
    still = connection.execute(select(statements.c.place).where(statements.c.place.in_(said)))
    said -= set(still.scalars())
    connection.execute(delete(outbox).where(outbox.c.place.in_(said)))
    named = connection.execute(
        delete(announcements)
        .where(announcements.c.deployment_id.in_(doomed))
        .returning(announcements.c.delivery)
    )
    guids = [guid for guid in named.scalars() if guid]
    connection.execute(delete(deliveries).where(deliveries.c.guid.in_(guids)))
    connection.execute(delete(deployments).where(deployments.c.id.in_(doomed)))
