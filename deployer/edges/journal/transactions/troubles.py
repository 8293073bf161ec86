"""What the teacher is told of: how the class stands, what is wrong, what was said of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, literal, select, update

from deployer.core.model import Outcome, State, Verdict
from deployer.core.reporting.troubles import Standing, Trouble, after_telling, news, noticed
from deployer.edges.journal.tables import announcements, deployments, troubles, verdicts, worker
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


def take(
    connection: Connection, wrong: Mapping[str, str], fine: Collection[str], *, at: datetime
) -> tuple[Trouble, ...]:
    known = _locked(connection)
    changed = {one.key: one for one in noticed(known.values(), wrong, fine, at)}
    taken = news((known | changed).values(), at)
    changed |= {one.key: replace(one, taken_at=at) for one in taken}
    _write(connection, changed.values())
    return taken


def sent(connection: Connection, said: Collection[Trouble]) -> None:
    known = _locked(connection)
    for one in said:
        if one.key not in known:  # the journal was made anew meanwhile
            continue
        if left := after_telling(one, known[one.key]):
            _write(connection, [left])
        else:
            connection.execute(delete(troubles).where(troubles.c.key == one.key))


def kept(connection: Connection, said: Collection[Trouble]) -> None:
    keys = [one.key for one in said]
    connection.execute(update(troubles).where(troubles.c.key.in_(keys)).values(taken_at=None))


def _locked(connection: Connection) -> dict[str, Trouble]:
    """Return all that are known; no other process takes any until this transaction ends."""
    connection.execute(select(worker.c.id).with_for_update())  # SQLite has one writer anyway
    return {row.key: Trouble(*row) for row in connection.execute(select(troubles))}


def _write(connection: Connection, some: Collection[Trouble]) -> None:
    for one in some:
        connection.execute(delete(troubles).where(troubles.c.key == one.key))
        connection.execute(insert(troubles), asdict(one))
