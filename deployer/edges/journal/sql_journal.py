"""`SqlJournal`: each method one transaction; what a database raises comes as a `JournalError`.

What a start would only do again is noted (`Database.noting`): places in the queue, steps, plans,
`pending` statuses, that a status was posted. What others may see once it is written, or what no
start finds out again, is written: deliveries, how a deployment ended and the statuses it owes,
what is live, what was refused or condemned, how large pools were.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection

from deployer.core.model import Freeze, Trigger
from deployer.edges.journal import schema
from deployer.edges.journal.database import Database
from deployer.edges.journal.transactions import (
    deliveries,
    deployments,
    logins,
    marks,
    outbox,
    overview,
    pruning,
    reading,
)

P = ParamSpec("P")
R = TypeVar("R")
Act = Callable[Concatenate[Connection, P], R]
Method = Callable[Concatenate["SqlJournal", P], R]


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _in(
    transaction: Callable[[Database], AbstractContextManager[Connection]], act: Act[P, R]
) -> Method[P, R]:
    """Return `act` as a method, in a transaction of its own."""

    @wraps(act)
    def method(self: SqlJournal, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with transaction(self._database) as connection:
            return act(connection, *args, **kwargs)

    return method


_reads = partial(_in, Database.reading)
_notes = partial(_in, Database.noting)
_writes = partial(_in, Database.writing)


class SqlJournal:
    """The journal (`ports.Journal`) in SQLite or PostgreSQL; may be shared by threads."""

    def __init__(self, database: Database, *, now: Callable[[], datetime] = _utc_now) -> None:
        """`database` has the schema already; `open` sees to it."""
        self._database = database
        self._now = now
        self._deliveries = deliveries.GroupCommit(self._write_deliveries)

    @classmethod
    def open(cls, url: str, *, migrate: bool, now: Callable[[], datetime] = _utc_now) -> SqlJournal:
        """Open the journal at an SQLAlchemy URL.

        `migrate`: make the tables if there are none, and bring older ones up to date. Any
        process may; of several at once one does it and the others wait. No connection
        stays open, so the process may fork afterwards.

        Raises:
            JournalError: it can't be opened; its tables are of a newer deployer; they are
                missing or of an older one and `migrate` is False.
        """
        database = Database(url)
        try:
            schema.ensure(database, migrate=migrate)
        finally:
            database.close()
        return cls(database, now=now)

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._database.close()

    # -- written by the web process and the command line

    def record_delivery(
        self, *, guid: str, event: str, result: str, reason: str, payload: Mapping[str, object]
    ) -> bool:
        row = {"guid": guid, "event": event, "result": result, "reason": reason}
        pushed = {name: payload.get(name) for name in deliveries.PUSH_FIELDS}
        return self._deliveries.add({**row, **pushed, "received_at": self._now()})

    def _write_deliveries(self, rows: Sequence[deliveries.Row], within_s: float) -> frozenset[str]:
        with self._database.writing(within_s) as connection:
            return deliveries.write(connection, rows)

    def request_deploy(self, sha: str | None, trigger: Trigger) -> int:
        with self._database.writing() as connection:
            return deployments.announce(connection, sha, trigger, at=self._now())

    def freeze(self, why: str, *, by: str, until: datetime | None) -> Freeze:
        with self._database.writing() as connection:
            return marks.freeze(connection, Freeze(why, by, self._now(), until))

    def roll_back(self, sha: str, why: str, *, by: str) -> int:
        with self._database.writing() as connection:
            marks.freeze(connection, Freeze(why, by, self._now(), sha=sha))
            return deployments.announce(connection, sha, Trigger.ROLLBACK, at=self._now())

    def unfreeze(self, *, by: str) -> Freeze | None:
        with self._database.writing() as connection:
            return marks.unfreeze(connection, by=by, at=self._now())

    # -- the worker's

    frozen = _reads(marks.frozen)
    unseen = _reads(deliveries.unseen)
    unfinished = _reads(reading.unfinished)
    queue = _notes(deployments.queue)
    attach = _notes(deployments.attach)
    start = _notes(deployments.start)
    set_plan = _notes(deployments.set_plan)
    add_step = _notes(deployments.add_step)
    doing = _writes(deployments.doing)
    wait_for = _writes(deployments.wait_for)
    set_verdicts = _notes(deployments.set_verdicts)
    end = _writes(deployments.end)
    supersede = _writes(deployments.supersede)
    were_good = _reads(reading.were_good)
    judged = _reads(reading.judged)
    duplicates = _reads(reading.duplicates)
    files_of = _reads(reading.files_of)
    pusher_of = _reads(deliveries.pusher_of)
    before_of = _reads(deliveries.before_of)
    forced_away = _reads(deliveries.forced_away)

    live = _reads(marks.live)
    set_live = _writes(marks.set_live)
    stays = _reads(marks.stays)
    packages = _reads(marks.packages)
    set_packages = _writes(marks.set_packages)
    refusals = _reads(marks.all_refusals)
    refuse = _writes(marks.refuse)
    lift = _writes(marks.lift)
    condemn = _writes(marks.condemn)
    pardon = _writes(marks.pardon)
    condemned = _reads(marks.all_condemned)
    drained = _reads(marks.drained)
    set_drained = _writes(marks.set_drained)
    beat = _notes(marks.beat)

    prune = _writes(pruning.prune)

    # -- the outbox

    owe = _notes(outbox.owe)
    due = _reads(outbox.due)
    posted = _notes(outbox.posted)
    try_again = _notes(outbox.try_again)
    closed = _reads(outbox.closed)
    posted_since = _reads(outbox.posted_since)
    refused = _writes(outbox.refused)
    shown = _reads(outbox.shown)
    open_contexts = _reads(outbox.open_contexts)

    # -- who may see it

    link_key = _reads(logins.link_key)
    set_link_key = _writes(logins.set_link_key)
    admit = _writes(logins.admit)
    admitted = _reads(logins.admitted)
    exchange = _writes(logins.exchange)
    revoke = _writes(logins.revoke)

    # -- what the teacher is told

    standing = _reads(overview.standing)

    # -- for everybody who asks

    deployment = _reads(reading.whole)
    deployments = _reads(reading.newest)
    judging = _reads(reading.judging)
    heard = _reads(reading.heard)
    about = _reads(reading.about)
    in_error = _reads(reading.in_error)
    complete = _reads(reading.complete)
    answer_to = _reads(reading.answer_to)
    audit = _reads(overview.audit)
    pulse = _reads(marks.pulse)
    tally = _reads(overview.tally)
