"""Deliveries, written durably by many threads at once, and what they announce.

Waiting for the disk is what a commit costs, and one wait can serve all who stand
in line: whoever finds nobody writing writes for everybody who waits, and hands over
to the first of those who came meanwhile. There is no thread of its own, so nothing
to start after a fork and nothing to stop.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, Connection, Insert, func, insert, select

from deployer.core.model import Trigger
from deployer.edges.journal.codec import made
from deployer.edges.journal.tables import announcements, deliveries
from deployer.errors import JournalError
from deployer.ports import Announcement

WAIT_S: Final = 8.0
"""Bound for a caller: GitHub waits 10 s for its answer."""

_NO_COMMIT = "0" * 40  # GitHub's `before` of a new branch, `after` of a deleted one
PUSH_FIELDS: Final = ("ref", "before", "after", "forced", "pusher", "repo_id", "repo", "known_as")
_WRITTEN = ("event", "result", "reason", "received_at", *PUSH_FIELDS)

Row = Mapping[str, Any]


def write(connection: Connection, rows: Sequence[Row]) -> frozenset[str]:
    """Write rows with distinct guids; announce the queued pushes; return the guids taken.

    One that was ignored is taken anew: it may be redelivered because the settings were mended.
    """
    # In the order of guids: two web hosts on one PostgreSQL must not wait for each other's rows.
    in_order = sorted(rows, key=lambda row: str(row["guid"]))
    unless_taken = _insert_unless_taken(connection.dialect.name).returning(deliveries.c.guid)
    new = frozenset(connection.execute(unless_taken, in_order).scalars())
    announced = [_announcement(row) for row in rows if row["guid"] in new and _is_queued(row)]
    if announced:
        connection.execute(insert(announcements), announced)
    return new


def _insert_unless_taken(dialect: str) -> Insert:
    """Return the statement in one of two dialects; the other one is never imported."""
    if dialect == "postgresql":
        from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 - see above
    else:
        from sqlalchemy.dialects.sqlite import insert  # type: ignore[assignment]  # noqa: PLC0415
    statement = insert(deliveries)
    return statement.on_conflict_do_update(
        index_elements=[deliveries.c.guid],
        set_={name: statement.excluded[name] for name in _WRITTEN},
        where=deliveries.c.result == "ignored",
    )


def _is_queued(row: Row) -> bool:
    return bool(row["event"] == "push" and row["result"] == "queued")


def _announcement(row: Row) -> Row:
    return {
        "delivery": row["guid"],
        "sha": row["after"],
        "before": None if row["before"] == _NO_COMMIT else row["before"],
        "forced": bool(row["forced"]),
        "trigger": Trigger.WEBHOOK,
        "received_at": row["received_at"],
    }


UNSEEN: Final = announcements.c.deployment_id.is_(None)
"""Of an announcement that nothing was made of yet."""


def unseen(connection: Connection) -> tuple[Announcement, ...]:
    found = connection.execute(select(announcements).where(UNSEEN).order_by(announcements.c.id))
    return tuple(made(Announcement, row._asdict()) for row in found)


def before_of(connection: Connection, sha: str) -> str | None:
    return _said_of(connection, sha, announcements.c.before)


def pusher_of(connection: Connection, sha: str) -> str | None:
    return _said_of(connection, sha, deliveries.c.pusher)


def _said_of(connection: Connection, sha: str, what: Column[str]) -> str | None:
    """Return what the newest announcement of `sha` that says it, or its delivery, says."""
    return connection.execute(
        select(what)
        .select_from(announcements.outerjoin(deliveries))
        .where(announcements.c.sha == sha, what.is_not(None))
        .order_by(announcements.c.id.desc())
        .limit(1)
    ).scalar_one_or_none()


def forced_away(connection: Connection, sha: str) -> bool:
    last = select(func.coalesce(func.max(announcements.c.id), 0))
    removed = last.where(announcements.c.before == sha, announcements.c.forced).scalar_subquery()
    announced = last.where(announcements.c.sha == sha).scalar_subquery()
    return bool(connection.execute(select(removed > announced)).scalar_one())


@dataclass(slots=True, eq=False)
class _Ticket:
    """One caller in line.

    Attributes:
        until: when its caller is told that it failed.
        done: the commit that held the row was tried.
        new: the row was new.
        error: why the commit failed.
    """

    row: Row
    until: float
    done: bool = False
    new: bool = False
    error: BaseException | None = None


class GroupCommit:
    """Lets concurrent callers share one transaction."""

    def __init__(self, commit: Callable[[Sequence[Row], float], frozenset[str]]) -> None:
        """`commit` writes rows with distinct guids durably, all or none; returns the new guids.

        Its second argument: for how many seconds it may wait for other processes' transactions.
        """
        self._commit = commit
        self._turn = threading.Condition()
        self._line: list[_Ticket] = []
        self._writing = False

    def add(self, row: Row) -> bool:
        """Return when the row is on disk; False if its guid was known or another's in the batch.

        Raises:
            JournalError: the commit that would have held it failed.
        """
        ticket = _Ticket(row, time.monotonic() + WAIT_S)

        def may_go_on() -> bool:
            return ticket.done or (not self._writing and self._line[0] is ticket)

        batch: list[_Ticket] = []
        with self._turn:
            self._line.append(ticket)
            if not self._turn.wait_for(may_go_on, WAIT_S):
                # Being written just now it may still succeed: then GitHub, told that it
                # failed, sends it again and it is a duplicate. No harm.
                if ticket in self._line:
                    self._line.remove(ticket)
                raise JournalError(f"the journal did not take a delivery within {WAIT_S:.0f} s")
            if not ticket.done:
                batch, self._line, self._writing = self._line, [], True
        if batch:
            self._write(batch)
        if ticket.error is not None:
            raise JournalError(str(ticket.error)) from ticket.error
        return ticket.new

    def _write(self, batch: list[_Ticket]) -> None:
        """Write for everybody who stood in line, the caller first."""
        first: dict[str, _Ticket] = {}
        for ticket in batch:
            first.setdefault(ticket.row["guid"], ticket)
        oldest = batch[0].until
        waiting: list[_Ticket] = []
        try:
            rows = [ticket.row for ticket in first.values()]
            for guid in self._commit(rows, max(oldest - time.monotonic(), 0.0)):
                first[guid].new = True
        except BaseException as exc:
            # Who came later than the one whose time is over may see the other's transaction end.
            if time.monotonic() >= oldest:
                waiting = [ticket for ticket in batch if ticket.until > time.monotonic()]
            batch = [ticket for ticket in batch if ticket not in waiting]
            for ticket in batch:
                ticket.error = exc
            if not isinstance(exc, JournalError):
                raise  # a worker being stopped, or a bug; the others must not wait for it
        finally:
            with self._turn:
                for ticket in batch:
                    ticket.done = True
                self._line = waiting + self._line
                self._writing = False
                self._turn.notify_all()
