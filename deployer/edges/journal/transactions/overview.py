"""How the class stands, how many rows of a kind there are, what is not as it must be at any moment.

Whole deployments are not read here: a row that can't be must hinder nobody who looks for what is
wrong.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Connection, func, select, text, union

from deployer.core.alerts import ClassStanding, standing_red
from deployer.core.invariants import LATELY, Audit
from deployer.core.model import Outcome, Plan, State, StatusState, Tally, Trigger, Verdict
from deployer.core.reporting.contexts import DEPLOY
from deployer.edges.journal.codec import made
from deployer.edges.journal.tables import (
    announcements,
    covers,
    deliveries,
    deployments,
    outbox,
    verdicts,
)
from deployer.edges.journal.transactions.deliveries import UNSEEN
from deployer.edges.journal.transactions.marks import live
from deployer.edges.journal.transactions.outbox import IS_OWED
from deployer.edges.journal.transactions.reading import (
    UNFINISHED,
    VERDICT,
    newest_verdicts,
    verdict_of,
)

RED = [one for one in Outcome if not Verdict("", one).good]
WENT_LIVE = [State.SUCCEEDED, State.BROKEN]
MOST_TIMED = 100


def standing(connection: Connection) -> ClassStanding:
    ended = (
        select(
            deployments.c.id.label("deployment"),
            deployments.c.sha,
            deployments.c.state,
            deployments.c.reason,
            deployments.c.ending["refused"].as_string().label("refused"),
            deployments.c.plan,
        )
        # A request for a commit that is not on the branch was never begun.
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
    waits = [
        *connection.execute(select(deployments.c.sha, deployments.c.queued_at).where(UNFINISHED)),
        *connection.execute(select(announcements.c.sha, announcements.c.received_at).where(UNSEEN)),
    ]
    return made(
        ClassStanding,
        newest._asdict() if newest else {},
        refused=(went_live and went_live.refused) or "",
        red=standing_red(
            map(verdict_of, connection.execute(red)),
            live(connection),
            made(Plan, went_live.plan) if went_live else Plan(),
        ),
        waits=min(((sha, at) for sha, at in waits if sha), key=lambda it: it[1], default=None),
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
    at_work = union(
        select(deployments.c.sha).where(UNFINISHED),
        select(covers.c.sha).join(deployments).where(UNFINISHED),
        select(announcements.c.sha).where(UNSEEN),
    )
    return tuple(sorted(set(waiting) - set(connection.scalars(at_work))))


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
