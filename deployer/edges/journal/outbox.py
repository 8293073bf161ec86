"""Statuses owed to GitHub.

A status that is replaced while it is owed may be on its way to GitHub at that very
moment. So its row stays as it is and a new one takes over its place in the line:
`posted` then says something about the words that GitHub really took, and the new
ones are still owed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Row, func, insert, select, update

from deployer.core.model import Status, StatusState
from deployer.edges.journal.codec import clean
from deployer.edges.journal.tables import outbox, statements
from deployer.errors import JournalError
from deployer.ports import Owed


class Standing(StrEnum):
    """What became of a row; `tables.ix_outbox_owed` spells out the first."""

    OWED = "owed"
    REPLACED = "replaced"  # by another row at the same place, before GitHub was known to have it
    POSTED = "posted"
    REFUSED = "refused"


def owe(
    connection: Connection, statuses: Sequence[Status], *, deployment: int, at: datetime
) -> None:
    for status in statuses:
        last = _said_last(connection, status.sha, status.context)
        if last is not None and _overtook(last, status):
            continue
        if last is not None and _says(last, status):
            place = last.place
        elif last is not None and last.standing == Standing.OWED:
            place = _replace(connection, last, status, at)
        else:
            place = _append(connection, status, at)
        _remember(connection, deployment, place)


def due(connection: Connection, at: datetime, limit: int) -> tuple[Owed, ...]:
    said_by = (
        select(func.max(statements.c.deployment_id))
        .where(statements.c.place == outbox.c.place)
        .scalar_subquery()
    )
    found = connection.execute(
        select(outbox, said_by.label("deployment"))
        .where(outbox.c.standing == Standing.OWED, outbox.c.due_at <= at)
        .order_by(outbox.c.place)
        .limit(limit)
    )
    return tuple(
        Owed(
            id=row.id,
            status=Status(row.sha, row.context, StatusState(row.state), row.description),
            attempts=row.attempts,
            owed_since=row.owed_since,
            deployment=row.deployment,
        )
        for row in found
    )


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


def try_again(connection: Connection, owed: int, *, due_at: datetime, error: str) -> None:
    # Whatever is owed at that place waits: GitHub's "not now" is not about the words.
    place = connection.execute(
        select(outbox.c.place).where(outbox.c.id == owed)
    ).scalar_one_or_none()
    if place is None:
        raise _unknown(owed)
    connection.execute(
        update(outbox)
        .where(outbox.c.place == place, outbox.c.standing == Standing.OWED)
        .values(attempts=outbox.c.attempts + 1, due_at=due_at, error=error)
    )


def shown(connection: Connection, sha: str, context: str) -> StatusState | None:
    last = _said_last(connection, sha, context)
    return None if last is None else StatusState(last.state)


def _said_last(connection: Connection, sha: str, context: str) -> Row[tuple[object, ...]] | None:
    return connection.execute(
        select(outbox)
        .where(outbox.c.sha == sha, outbox.c.context_key == context.lower())
        .order_by(outbox.c.id.desc())
        .limit(1)
    ).one_or_none()


def _says(row: Row[tuple[object, ...]], status: Status) -> bool:
    """Tell whether the row's words are the same, and GitHub has them or will."""
    words = (row.state, row.description)
    return words == (status.state, clean(status.description)) and row.standing != Standing.REFUSED


def _overtook(row: Row[tuple[object, ...]], status: Status) -> bool:
    """Tell whether a `pending` comes too late: GitHub has a verdict, or will."""
    return (
        status.state is StatusState.PENDING
        and row.state != StatusState.PENDING
        and row.standing != Standing.REFUSED
    )


def _append(connection: Connection, status: Status, at: datetime) -> int:
    place = select(func.coalesce(func.max(outbox.c.place), 0) + 1).scalar_subquery()
    made = connection.execute(
        insert(outbox)
        .values(
            place=place,
            standing=Standing.OWED,
            owed_since=at,
            due_at=at,
            attempts=0,
            **_words(status),
        )
        .returning(outbox.c.place)
    )
    return int(made.scalar_one())


def _replace(
    connection: Connection, last: Row[tuple[object, ...]], status: Status, at: datetime
) -> int:
    connection.execute(
        update(outbox).where(outbox.c.id == last.id).values(standing=Standing.REPLACED)
    )
    made = connection.execute(
        insert(outbox)
        .values(
            place=last.place,
            standing=Standing.OWED,
            owed_since=last.owed_since,
            # At once: a verdict need not wait out the retries of its `pending`. Where GitHub
            # itself has said "not now", the worker waits for all of them.
            due_at=at,
            attempts=0,
            **_words(status),
        )
        .returning(outbox.c.place)
    )
    return int(made.scalar_one())


def _words(status: Status) -> dict[str, str]:
    return {
        "sha": status.sha,
        "context": status.context,
        "context_key": status.context.lower(),
        "state": status.state,
        "description": status.description,
    }


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
