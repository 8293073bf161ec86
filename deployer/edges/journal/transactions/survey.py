"""How all stands: the class, of which the teacher is told, and the journal itself."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, select, text, union

from deployer.core.alerts import Standing
from deployer.core.invariants import LATELY, Audit
from deployer.core.model import Outcome, State, StatusState, Trigger, Verdict
from deployer.core.reporting.contexts import DEPLOY
from deployer.edges.journal.codec import made
from deployer.edges.journal.tables import (
    announcements,
    covers,
    deployments,
    outbox,
    verdicts,
    worker,
)
from deployer.edges.journal.transactions.deliveries import unseen
from deployer.edges.journal.transactions.deployments import newest_verdicts
from deployer.edges.journal.transactions.outbox import IS_OWED
from deployer.edges.journal.transactions.reading import (
    UNFINISHED,
    VERDICT,
    unfinished,
    verdict_of,
)

RED = [one for one in Outcome if not Verdict("", one).good]
WENT_LIVE = [State.SUCCEEDED, State.BROKEN]


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
    live = connection.execute(ended.where(deployments.c.state.in_(WENT_LIVE))).one_or_none()
    open_ones = select(deployments.c.id).where(UNFINISHED)
    judged = newest_verdicts(verdicts.c.deployment_id.not_in(open_ones))
    red = judged.with_only_columns(*VERDICT).where(verdicts.c.outcome.in_(RED))
    waits = [(queued.sha, queued.queued_at) for queued in unfinished(connection)]
    waits += [(new.sha, new.received_at) for new in unseen(connection) if new.sha]
    return made(
        Standing,
        newest._asdict() if newest else {},
        refused=(live and live.refused) or "",
        # Sorted here: the order of PostgreSQL's text depends on its locale.
        red=tuple(sorted(map(verdict_of, connection.execute(red)), key=lambda it: it.path)),
        waits=min(waits, key=lambda it: it[1], default=None),
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
    at_work = union(
        select(deployments.c.sha).where(UNFINISHED),
        select(covers.c.sha).join(deployments).where(UNFINISHED),
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
        .join(covers)
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
