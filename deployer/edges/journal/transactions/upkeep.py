"""What looks at all that the journal holds.

How the class stands, how many there are of each kind, what is not as it must be at any moment, and
what goes since it is old and decides nothing any more.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Delete,
    bindparam,
    delete,
    exists,
    func,
    select,
    text,
    union,
)

from deployer.core.alerts import Standing
from deployer.core.invariants import LATELY, Audit
from deployer.core.model import Outcome, State, StatusState, Tally, Trigger, Verdict
from deployer.core.reporting.contexts import DEPLOY
from deployer.edges.journal.codec import made
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
from deployer.edges.journal.transactions.deliveries import unseen
from deployer.edges.journal.transactions.marks import live
from deployer.edges.journal.transactions.outbox import IS_OWED
from deployer.edges.journal.transactions.reading import (
    UNFINISHED,
    VERDICT,
    deployments_of,
    newest_verdicts,
    those_in_error,
    unfinished,
    verdict_of,
)

RED = [one for one in Outcome if not Verdict("", one).good]
WENT_LIVE = [State.SUCCEEDED, State.BROKEN]
MOST_TIMED = 100
PRUNED_AT_A_TIME = 200
"""Deployments in one transaction: others write meanwhile."""


def standing(connection: Connection) -> Standing:
    ended = (
        select(
            deployments.c.id.label("deployment"),
            deployments.c.sha,
            deployments.c.state,
            deployments.c.reason,
            deployments.c.ending["refused"].as_string().label("refused"),
        )
        # A wish for a commit that is not on the branch was never begun.
        .where(deployments.c.started_at.is_not(None))
        .order_by(deployments.c.id.desc())
        .limit(1)
    )
    newest = connection.execute(
        ended.where(deployments.c.state.in_([*WENT_LIVE, State.FAILED, State.ERROR]))
    ).one_or_none()
    went_live = connection.execute(ended.where(deployments.c.state.in_(WENT_LIVE))).one_or_none()
    open_ones = select(deployments.c.id).where(UNFINISHED)
    judged = newest_verdicts(verdicts.c.deployment_id.not_in(open_ones))
    red = judged.with_only_columns(*VERDICT).where(verdicts.c.outcome.in_(RED))
    waits = [(queued.sha, queued.queued_at) for queued in unfinished(connection)]
    waits += [(new.sha, new.received_at) for new in unseen(connection) if new.sha]
    return made(
        Standing,
        newest._asdict() if newest else {},
        refused=(went_live and went_live.refused) or "",
        # Sorted here: the order of PostgreSQL's text depends on its locale.
        red=tuple(sorted(map(verdict_of, connection.execute(red)), key=lambda it: it.path)),
        waits=min(waits, key=lambda it: it[1], default=None),
    )


def tally(connection: Connection) -> Tally:
    def counted(what: Column[str]) -> dict[str, int]:
        rows = connection.execute(select(what, func.count()).group_by(what))
        return {row[0]: row[1] for row in rows}

    last = connection.execute(
        select(deployments.c.queued_at, deployments.c.finished_at)
        .where(deployments.c.ending.is_not(None), deployments.c.finished_at.is_not(None))
        .order_by(deployments.c.id.desc())
        .limit(MOST_TIMED)
    ).all()
    return Tally(
        {State(state): number for state, number in counted(deployments.c.state).items()},
        counted(deliveries.c.result),
        tuple((ended - queued).total_seconds() for queued, ended in reversed(last)),
    )


def audit(connection: Connection, at: datetime) -> Audit:
    owed = select(func.count()).select_from(outbox).where(IS_OWED)
    return Audit(
        stranded=_stranded(connection, at),
        unjudged=_unjudged(connection),
        owed=connection.execute(owed).scalar_one(),
        dangling=_dangling(connection),
    )


def _stranded(connection: Connection, at: datetime) -> tuple[str, ...]:
    last = select(func.max(outbox.c.id)).group_by(outbox.c.sha, outbox.c.context_key)
    pending = select(outbox.c.sha).where(
        outbox.c.id.in_(last), outbox.c.state == StatusState.PENDING
    )
    told = select(outbox.c.id).where(
        outbox.c.sha == announcements.c.sha, outbox.c.context_key == DEPLOY
    )
    untold = select(announcements.c.sha).where(
        announcements.c.trigger == Trigger.WEBHOOK,
        announcements.c.received_at > at - LATELY,
        ~told.exists(),
    )
    waiting = connection.scalars(union(pending, untold))
    covered = connection.scalars(select(covers.c.sha).join(deployments).where(UNFINISHED))
    at_work = {deployment.sha for deployment in unfinished(connection)} | set(covered)
    announced = {new.sha for new in unseen(connection)}
    return tuple(sorted(set(waiting) - at_work - announced))


def _unjudged(connection: Connection) -> str | None:
    known = live(connection)
    if known is None or known.pending:
        return None
    judging = [State.RUNNING, *WENT_LIVE]
    judged = select(deployments.c.id).join(covers).where(deployments.c.state.in_(judging))
    found = connection.execute(judged.where(covers.c.sha == known.sha).limit(1)).first()
    return None if found else known.sha


def _dangling(connection: Connection) -> tuple[str, ...]:
    """Return tables with such rows: in SQLite, whose connections each choose to look, or not."""
    if connection.dialect.name != "sqlite":
        return ()
    found = connection.execute(text("PRAGMA foreign_key_check"))
    return tuple(sorted({str(row[0]) for row in found}))


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
        .limit(PRUNED_AT_A_TIME)
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
