"""Statuses owed to GitHub, and until when it takes none.

A status that is replaced while it is owed may be on its way to GitHub at that very
moment. So its row stays as it is and a new one takes over its place in the line:
`posted` then says something about the words that GitHub really took, and the new
ones are still owed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, text, update

from deployer.core.model import Closed, Owed, Status, StatusState
from deployer.core.reporting.contexts import DEPLOY
from deployer.core.reporting.pacing import LAST_RETRY_S, RED
from deployer.edges.journal.codec import clean, made
from deployer.edges.journal.tables import deployments, outbox, statements, worker
from deployer.errors import JournalError


class Standing(StrEnum):
    """What became of a row; `tables.ix_outbox_owed` spells out the first."""

    OWED = "owed"
    REPLACED = "replaced"  # by another row at the same place, before GitHub was known to have it
    POSTED = "posted"
    REFUSED = "refused"


OPEN: Final = (StatusState.PENDING, StatusState.ERROR)
IS_OWED: Final = text("outbox.standing = 'owed'")
"""In these words, or SQLite won't take its index and reads all that was ever said."""


def owe(
    connection: Connection, statuses: Sequence[Status], *, deployment: int, at: datetime
) -> None:
    for status in statuses:
        last = _said_last(connection, status.sha, status.context)
        stands = None if last is None or last.standing == Standing.REFUSED else last
        words = (status.state, clean(status.description))
        if stands and (stands.state, stands.description) == words:
            place = stands.place
        elif stands and status.state is StatusState.PENDING and stands.state != StatusState.PENDING:
            continue  # it comes too late: GitHub has a verdict, or will
        else:
            place = _add(connection, status, last, at)
        _remember(connection, deployment, place)


def due(connection: Connection, at: datetime, limit: int = 1) -> tuple[Owed, ...]:
    named = select(func.max(deployments.c.id)).where(deployments.c.sha == outbox.c.sha)
    tip = func.coalesce(named.scalar_subquery(), 0).label("tip")
    waiting = select(outbox, tip).where(
        IS_OWED,
        (outbox.c.due_at <= at) | (outbox.c.due_at > at + timedelta(seconds=LAST_RETRY_S)),
    )
    pending = outbox.c.state == StatusState.PENDING
    # `pacing._rank`, in SQL: however long the backlog, no more than `limit` of it is read.
    rank = (outbox.c.context_key != DEPLOY, outbox.c.state.not_in(RED), outbox.c.place)
    lines = (waiting.order_by(pending, by, *rank).limit(limit) for by in (tip.desc(), tip))
    rows = {row.id: row for line in lines for row in connection.execute(line)}
    return tuple(
        made(
            Owed,
            row._asdict(),
            status=made(Status, row._asdict()),
            deployment=_said_by(connection, row.place),
        )
        for row in rows.values()
    )


def _said_by(connection: Connection, place: int) -> int:
    said_by = select(func.max(statements.c.deployment_id)).where(statements.c.place == place)
    return int(connection.execute(said_by).scalar_one())


def posted_since(connection: Connection, at: datetime, limit: int) -> tuple[datetime, ...]:
    found = connection.execute(
        select(outbox.c.posted_at)
        .where(outbox.c.posted_at > at)
        .order_by(outbox.c.posted_at.desc())
        .limit(limit)
    )
    return tuple(found.scalars())[::-1]


def posted(connection: Connection, owed: int, *, at: datetime, target_url: str | None) -> None:
    _settle(
        connection,
        owed,
        standing=Standing.POSTED,
        posted_at=at,
        target_url=target_url,
        error=None,
    )


def refused(connection: Connection, owed: int, *, error: str) -> None:
    _settle(connection, owed, standing=Standing.REFUSED, error=error)


def try_again(
    connection: Connection,
    owed: int,
    *,
    due_at: datetime,
    error: str,
    closed: Closed | None = None,
) -> None:
    # Whatever is owed at that place waits: GitHub's "not now" is not about the words.
    place = connection.scalar(select(outbox.c.place).where(outbox.c.id == owed))
    if place is None:
        raise _unknown(owed)
    connection.execute(
        update(outbox)
        .where(outbox.c.place == place, outbox.c.standing == Standing.OWED)
        .values(attempts=outbox.c.attempts + 1, due_at=due_at, error=error)
    )
    if closed:
        connection.execute(update(worker).values(closed_at=closed.at, closed_for_s=closed.for_s))


def closed(connection: Connection) -> Closed | None:
    row = connection.execute(select(worker.c.closed_at, worker.c.closed_for_s)).one()
    return Closed(row.closed_at, row.closed_for_s) if row.closed_at else None


def shown(connection: Connection, sha: str, context: str) -> StatusState | None:
    last = _said_last(connection, sha, context)
    return None if last is None else StatusState(last.state)


def open_contexts(connection: Connection, sha: str) -> tuple[str, ...]:
    newest = select(func.max(outbox.c.id)).where(outbox.c.sha == sha).group_by(outbox.c.context_key)
    found = connection.execute(
        select(outbox.c.context)
        .where(outbox.c.id.in_(newest), outbox.c.state.in_(OPEN))
        .order_by(outbox.c.id)
    )
    return tuple(found.scalars())


def _said_last(connection: Connection, sha: str, context: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(
        select(outbox)
        .where(outbox.c.sha == sha, outbox.c.context_key == context.lower())
        .order_by(outbox.c.id.desc())
        .limit(1)
    ).one_or_none()


def _add(
    connection: Connection, status: Status, last: Row[tuple[object, ...]] | None, at: datetime
) -> int:
    """Add a row in place of `last` if that is still owed, else behind all; return its place."""
    place: Any = select(func.coalesce(func.max(outbox.c.place), 0) + 1).scalar_subquery()
    since = at
    if last is not None and last.standing == Standing.OWED:
        connection.execute(
            update(outbox).where(outbox.c.id == last.id).values(standing=Standing.REPLACED)
        )
        place, since = last.place, last.owed_since
    added = connection.execute(
        insert(outbox)
        .values(
            place=place,
            standing=Standing.OWED,
            owed_since=since,
            # At once: a verdict need not wait out the retries of its `pending`. Where GitHub
            # itself has said "not now", the worker waits for all of them.
            due_at=at,
            attempts=0,
            context_key=status.context.lower(),
            **asdict(status),
        )
        .returning(outbox.c.place)
    )
    return int(added.scalar_one())


def _remember(connection: Connection, deployment: int, place: int) -> None:
    said = {"deployment_id": deployment, "place": place}
    if connection.execute(select(statements).filter_by(**said)).first() is None:
        connection.execute(insert(statements), said)


def _settle(connection: Connection, owed: int, **values: object) -> None:
    changed = connection.execute(
        update(outbox).where(outbox.c.id == owed).values(attempts=outbox.c.attempts + 1, **values)
    )
    if not changed.rowcount:
        raise _unknown(owed)


def _unknown(owed: int) -> JournalError:
    return JournalError(f"the journal owes no status {owed}")
