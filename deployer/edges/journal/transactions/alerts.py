"""How the class stands, of which the teacher is told."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Select, literal, select

from deployer.core.alerts import Standing
from deployer.core.model import Outcome, State, Verdict
from deployer.edges.journal.tables import announcements, deployments, verdicts
from deployer.edges.journal.transactions.reading import UNFINISHED, VERDICT, verdict_of

RED = [one for one in Outcome if not Verdict("", one).good]
WENT_LIVE = [State.SUCCEEDED, State.BROKEN]


def standing(connection: Connection) -> Standing:
    ended = (
        select(
            deployments.c.id,
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
    later = verdicts.alias()
    newer = select(later.c.path).where(
        later.c.path == verdicts.c.path,
        later.c.deployment_id > verdicts.c.deployment_id,
        later.c.deployment_id.not_in(open_ones),
    )
    red: Select[Any] = select(*VERDICT, literal("").label("trace")).where(
        verdicts.c.outcome.in_(RED), verdicts.c.deployment_id.not_in(open_ones), ~newer.exists()
    )
    waits = [
        *connection.execute(
            select(deployments.c.sha, deployments.c.queued_at)
            .where(deployments.c.id.in_(open_ones))
            .order_by(deployments.c.queued_at)
            .limit(1)
        ),
        *connection.execute(
            select(announcements.c.sha, announcements.c.received_at)
            .where(announcements.c.deployment_id.is_(None), announcements.c.sha.is_not(None))
            .order_by(announcements.c.id)
            .limit(1)
        ),
    ]
    return Standing(
        deployment=newest and newest.id,
        sha=newest.sha if newest else "",
        state=State(newest.state) if newest else None,
        reason=newest.reason if newest else "",
        refused=(live and live.refused) or "",
        # Sorted here: the order of PostgreSQL's text depends on its locale.
        red=tuple(sorted(map(verdict_of, connection.execute(red)), key=lambda it: it.path)),
        waits=min(((sha, at) for sha, at in waits), key=lambda it: it[1], default=None),
    )
