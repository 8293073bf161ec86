"""`SqlJournal`: each method one transaction, no exception but `JournalError`.

What a start would only do again is noted (`Database.noting`): places in the queue, steps, plans,
`pending` statuses, that a status was posted. What others may see once it is written, or what no
start finds out again, is written: deliveries, how a deployment ended and the statuses it owes,
what is live, what was refused or condemned, how large pools were.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime

from deployer.core.model import (
    Closed,
    Deployment,
    Ending,
    Freeze,
    Heard,
    Live,
    Owed,
    Plan,
    ProcessorCame,
    Pulse,
    Refusal,
    Running,
    State,
    Status,
    StatusState,
    StepRecord,
    Trigger,
    Verdict,
)
from deployer.edges.journal import deliveries, deployments, marks, outbox, reading, schema
from deployer.edges.journal.engine import Database
from deployer.ports import Announcement


def _utc_now() -> datetime:
    return datetime.now(UTC)


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
        return self._deliveries.add(
            deliveries.row(
                guid=guid,
                event=event,
                result=result,
                reason=reason,
                payload=payload,
                received_at=self._now(),
            )
        )

    def _write_deliveries(self, rows: Sequence[deliveries.Row]) -> frozenset[str]:
        with self._database.writing() as connection:
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

    def frozen(self, at: datetime) -> Freeze | None:
        with self._database.reading() as connection:
            return marks.frozen(connection, at)

    def unseen(self) -> tuple[Announcement, ...]:
        with self._database.reading() as connection:
            return deployments.unseen(connection)

    def unfinished(self) -> tuple[Deployment, ...]:
        with self._database.reading() as connection:
            return reading.unfinished(connection)

    def queue(
        self, sha: str, *, base_sha: str | None, ref: str, trigger: Trigger, at: datetime
    ) -> int:
        with self._database.noting() as connection:
            return deployments.queue(
                connection, sha, base_sha=base_sha, ref=ref, trigger=trigger, at=at
            )

    def attach(self, announcement: int, deployment: int) -> None:
        with self._database.noting() as connection:
            deployments.attach(connection, announcement, deployment)

    def start(
        self, deployment: int, *, at: datetime, base_sha: str | None, covers: Sequence[str]
    ) -> None:
        with self._database.noting() as connection:
            deployments.start(connection, deployment, at=at, base_sha=base_sha, shas=covers)

    def set_plan(self, deployment: int, plan: Plan) -> None:
        with self._database.noting() as connection:
            deployments.set_plan(connection, deployment, plan)

    def add_step(self, deployment: int, step: StepRecord) -> None:
        with self._database.noting() as connection:
            deployments.add_step(connection, deployment, step)

    def doing(self, deployment: int, running: Running) -> None:
        with self._database.writing() as connection:
            deployments.doing(connection, deployment, running)

    def wait_for(
        self, numbers: Collection[int], words: str, *, at: datetime, statuses: Sequence[Status]
    ) -> None:
        with self._database.writing() as connection:
            for number, status in zip(numbers, statuses, strict=True):
                deployments.wait_for(connection, number, words)
                outbox.owe(connection, [status], deployment=number, at=at)

    def set_verdicts(self, deployment: int, verdicts: Sequence[Verdict]) -> None:
        with self._database.noting() as connection:
            deployments.set_verdicts(connection, deployment, verdicts)

    def end(
        self,
        deployment: int,
        ending: Ending,
        *,
        at: datetime,
        statuses: Sequence[Status] = (),
        supersedes: Collection[int] = (),
    ) -> None:
        with self._database.writing() as connection:
            deployments.end(connection, deployment, ending, at=at, supersedes=supersedes)
            outbox.owe(connection, statuses, deployment=deployment, at=at)

    def supersede(
        self, deployment: int, reason: str, *, at: datetime, statuses: Sequence[Status] = ()
    ) -> None:
        with self._database.writing() as connection:
            deployments.supersede(connection, deployment, reason, at=at)
            outbox.owe(connection, statuses, deployment=deployment, at=at)

    def live(self) -> Live | None:
        with self._database.reading() as connection:
            return marks.live(connection)

    def set_live(self, live: Live | None) -> None:
        with self._database.writing() as connection:
            marks.set_live(connection, live)

    def packages(self) -> str | None:
        with self._database.reading() as connection:
            return marks.packages(connection)

    def set_packages(self, text: str) -> None:
        with self._database.writing() as connection:
            marks.set_packages(connection, text)

    def dag_ids(self, paths: Collection[str]) -> frozenset[str]:
        with self._database.reading() as connection:
            return deployments.dag_ids(connection, paths)

    def were_good(self, paths: Collection[str], *, before: int) -> frozenset[str]:
        with self._database.reading() as connection:
            return deployments.were_good(connection, paths, before=before)

    def files_of(self, dag_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        with self._database.reading() as connection:
            return deployments.files_of(connection, dag_ids)

    def pusher_of(self, sha: str) -> str | None:
        with self._database.reading() as connection:
            return deployments.pusher_of(connection, sha)

    def before_of(self, sha: str) -> str | None:
        with self._database.reading() as connection:
            return deployments.before_of(connection, sha)

    def forced_away(self, sha: str) -> bool:
        with self._database.reading() as connection:
            return deployments.forced_away(connection, sha)

    def refusal(self, requirements_hash: str) -> Refusal | None:
        with self._database.reading() as connection:
            return marks.refusal(connection, requirements_hash)

    def refuse(self, requirements_hash: str, refusal: Refusal, *, at: datetime) -> None:
        with self._database.writing() as connection:
            marks.refuse(connection, requirements_hash, refusal, at=at)

    def lift(self, requirements_hash: str) -> None:
        with self._database.writing() as connection:
            marks.lift(connection, requirements_hash)

    def condemn(self, files: Mapping[str, str], reason: str, *, at: datetime) -> None:
        with self._database.writing() as connection:
            marks.condemn(connection, files, reason, at=at)

    def pardon(self) -> None:
        with self._database.writing() as connection:
            marks.pardon(connection)

    def condemned(self) -> Mapping[tuple[str, str], str]:
        with self._database.reading() as connection:
            return marks.all_condemned(connection)

    def drained(self) -> Mapping[str, int]:
        with self._database.reading() as connection:
            return marks.drained(connection)

    def set_drained(self, slots: Mapping[str, int]) -> None:
        with self._database.writing() as connection:
            marks.set_drained(connection, slots)

    def beat(
        self,
        *,
        at: datetime,
        tip: str | None = None,
        tip_checked_at: datetime | None = None,
        processors: Collection[ProcessorCame] | None = None,
        drift: str | None = None,
        edited: str | None = None,
    ) -> None:
        with self._database.noting() as connection:
            marks.beat(
                connection,
                at=at,
                tip=tip,
                tip_checked_at=tip_checked_at,
                processors=processors,
                drift=drift,
                edited=edited,
            )

    # -- the outbox

    def owe(self, statuses: Sequence[Status], *, deployment: int, at: datetime) -> None:
        if not statuses:
            return
        with self._database.noting() as connection:
            outbox.owe(connection, statuses, deployment=deployment, at=at)

    def due(self, at: datetime, limit: int = 1) -> tuple[Owed, ...]:
        with self._database.reading() as connection:
            return outbox.due(connection, at, limit)

    def posted(self, owed: int, *, at: datetime, target_url: str | None) -> None:
        with self._database.noting() as connection:
            outbox.posted(connection, owed, at=at, target_url=target_url)

    def try_again(
        self, owed: int, *, due_at: datetime, error: str, closed: Closed | None = None
    ) -> None:
        with self._database.noting() as connection:
            outbox.try_again(connection, owed, due_at=due_at, error=error)
            if closed:
                marks.close(connection, closed)

    def closed(self) -> Closed | None:
        with self._database.reading() as connection:
            return marks.closed(connection)

    def posted_since(self, at: datetime, limit: int) -> tuple[datetime, ...]:
        with self._database.reading() as connection:
            return outbox.posted_since(connection, at, limit)

    def refused(self, owed: int, *, error: str) -> None:
        with self._database.writing() as connection:
            outbox.refused(connection, owed, error=error)

    def shown(self, sha: str, context: str) -> StatusState | None:
        with self._database.reading() as connection:
            return outbox.shown(connection, sha, context)

    # -- for everybody who asks

    def deployment(self, deployment: int) -> Deployment | None:
        with self._database.reading() as connection:
            return reading.deployment(connection, deployment)

    def deployments(
        self, *, limit: int = 20, folder: str | None = None, state: State | None = None
    ) -> tuple[Deployment, ...]:
        with self._database.reading() as connection:
            return reading.newest(connection, limit=limit, folder=folder, state=state)

    def judging(self, sha: str) -> Deployment | None:
        with self._database.reading() as connection:
            return reading.judging(connection, sha)

    def heard(self, what: str) -> tuple[Heard, ...]:
        with self._database.reading() as connection:
            return reading.heard(connection, what)

    def about(self, sha: str) -> tuple[Deployment, ...]:
        with self._database.reading() as connection:
            return reading.about(connection, sha)

    def in_error(self) -> tuple[tuple[int, str], ...]:
        with self._database.reading() as connection:
            return reading.in_error(connection)

    def complete(self, prefix: str) -> str | None:
        with self._database.reading() as connection:
            return reading.complete(connection, prefix)

    def answer_to(self, announcement: int) -> Deployment | None:
        with self._database.reading() as connection:
            return reading.answer_to(connection, announcement)

    def pulse(self) -> Pulse:
        with self._database.reading() as connection:
            return marks.pulse(connection)

    def hearing(self) -> reading.Hearing:
        """Return how well deliveries arrive; for `deployer doctor` alone."""
        with self._database.reading() as connection:
            return reading.hearing(connection)
