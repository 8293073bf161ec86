"""Remove what is old and decides nothing any more."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Delete, bindparam, delete, exists, func, select

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
)
from deployer.edges.journal.transactions.marks import live
from deployer.edges.journal.transactions.outbox import IS_OWED
from deployer.edges.journal.transactions.reading import (
    GONE,
    UNFINISHED,
    deployments_of,
    newest_verdicts,
    those_in_error,
)

AT_A_TIME = 200
"""Deployments in one transaction: others write meanwhile."""


def prune(connection: Connection, before: datetime) -> int:
    doomed = _doomed(connection, before)
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
    decides = newest_verdicts().where(~GONE).with_only_columns(verdicts.c.deployment_id)
    owed = (
        select(statements.c.deployment_id)
        .join(outbox, outbox.c.place == statements.c.place)
        .where(IS_OWED)
    )
    known = live(connection)
    of_live = deployments_of(known.sha if known else "").correlate(None)
    in_error = those_in_error().with_only_columns(deployments.c.id).order_by(None).correlate(None)
    query = (
        select(deployments.c.id)
        .where(
            ~UNFINISHED,
            func.coalesce(deployments.c.finished_at, deployments.c.queued_at) < before,
            deployments.c.id.not_in(decides),
            deployments.c.id.not_in(owed),
            deployments.c.id.not_in(of_live),
            deployments.c.id.not_in(in_error),
        )
        .order_by(deployments.c.id)
        .limit(AT_A_TIME)
    )
    return list(connection.execute(query).scalars())


def _remove(connection: Connection, doomed: list[int]) -> None:
    """Remove deployments, and what only they name.

    The same few statements however many there are: of each text that it has not seen, SQLite's
    driver keeps the prepared statement, and a list of thousands in it is half a megabyte.
    """

    def each(of: ColumnElement[Any], statement: Delete, values: Iterable[object]) -> None:
        if rows := [{"one": value} for value in values]:
            connection.execute(statement.where(of == bindparam("one")), rows)

    said: set[int] = set()
    delivered: set[str] = set()
    for number in doomed:
        places = select(statements.c.place).where(statements.c.deployment_id == number)
        said.update(connection.execute(places).scalars())
        named = delete(announcements).where(announcements.c.deployment_id == number)
        guids = connection.execute(named.returning(announcements.c.delivery)).scalars()
        delivered.update(guid for guid in guids if guid)
    for table in (covers, folders, steps, verdicts, statements):
        each(table.c.deployment_id, delete(table), doomed)
    if said:
        still = select(statements.c.place).where(statements.c.place.between(min(said), max(said)))
        said.difference_update(connection.execute(still).scalars())
    each(outbox.c.place, delete(outbox), said)
    each(deliveries.c.guid, delete(deliveries), delivered)
    each(deployments.c.id, delete(deployments), doomed)
