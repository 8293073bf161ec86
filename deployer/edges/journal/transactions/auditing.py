"""What is not as it must be at any moment."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, text, union

from deployer.core.invariants import LATELY, Audit
from deployer.core.model import State, StatusState, Trigger
from deployer.core.reporting.contexts import DEPLOY
from deployer.edges.journal.tables import announcements, covers, deployments, outbox, worker
from deployer.edges.journal.transactions.outbox import IS_OWED
from deployer.edges.journal.transactions.reading import UNFINISHED


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
    at_work = union(
        select(deployments.c.sha).where(UNFINISHED),
        select(covers.c.sha)
        .join(deployments, deployments.c.id == covers.c.deployment_id)
        .where(UNFINISHED),
        select(announcements.c.sha).where(
            announcements.c.deployment_id.is_(None), announcements.c.sha.is_not(None)
        ),
    )
    waiting = connection.execute(union(pending, untold)).scalars()
    busy = set(connection.execute(at_work).scalars())
    return tuple(sorted(set(waiting) - busy))


def _unjudged(connection: Connection) -> str | None:
    live = connection.execute(select(worker.c.live_sha, worker.c.live_pending)).one()
    judged = (
        select(deployments.c.id)
        .join(covers, covers.c.deployment_id == deployments.c.id)
        .where(
            covers.c.sha == live.live_sha,
            deployments.c.state.in_([State.RUNNING, State.SUCCEEDED, State.BROKEN]),
        )
    )
    if live.live_sha is None or live.live_pending or connection.execute(judged.limit(1)).first():
        return None
    return str(live.live_sha)


def _dangling(connection: Connection) -> tuple[str, ...]:
    """Return tables with such rows: in SQLite, whose connections each choose to look, or not."""
    if connection.dialect.name != "sqlite":
        return ()
    found = connection.execute(text("PRAGMA foreign_key_check"))
    return tuple(sorted({str(row[0]) for row in found}))
