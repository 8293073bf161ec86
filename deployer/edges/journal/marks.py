"""What the worker remembers beside its deployments.

What is live, what was refused, the pools it emptied, the tip.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from deployer.core.model import Live, ProcessorCame, Pulse
from deployer.edges.journal.codec import clean
from deployer.edges.journal.outbox import Standing
from deployer.edges.journal.tables import condemned, outbox, refusals, worker


def live(connection: Connection) -> Live | None:
    row = connection.execute(
        select(worker.c.live_sha, worker.c.live_held, worker.c.live_pending)
    ).one()
    if row.live_sha is None:
        return None
    return Live(row.live_sha, tuple(row.live_held), tuple(row.live_pending))


def set_live(connection: Connection, now_live: Live | None) -> None:
    connection.execute(
        update(worker).values(
            live_sha=now_live.sha if now_live else None,
            live_held=[clean(path) for path in now_live.held] if now_live else [],
            live_pending=[clean(path) for path in now_live.pending] if now_live else [],
        )
    )


def refusal(connection: Connection, fingerprint: str) -> str | None:
    return connection.execute(
        select(refusals.c.reason).where(refusals.c.fingerprint == fingerprint)
    ).scalar_one_or_none()


def refuse(connection: Connection, fingerprint: str, reason: str, *, at: datetime) -> None:
    connection.execute(delete(refusals).where(refusals.c.fingerprint == fingerprint))
    connection.execute(insert(refusals), {"fingerprint": fingerprint, "reason": reason, "at": at})


def condemn(connection: Connection, files: Mapping[str, str], reason: str, *, at: datetime) -> None:
    for path, blob in files.items():
        mine = (condemned.c.path == path) & (condemned.c.blob == blob)
        connection.execute(delete(condemned).where(mine))
        row = {"path": path, "blob": blob, "reason": reason, "at": at}
        connection.execute(insert(condemned), row)


def pardon(connection: Connection) -> None:
    connection.execute(delete(condemned))


def all_condemned(connection: Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute(select(condemned.c.path, condemned.c.blob, condemned.c.reason))
    return {(row.path, row.blob): row.reason for row in rows}


def drained(connection: Connection) -> dict[str, int]:
    return dict(connection.execute(select(worker.c.drained)).scalar_one())


def set_drained(connection: Connection, slots: Mapping[str, int]) -> None:
    connection.execute(update(worker).values(drained=dict(slots)))


def beat(
    connection: Connection,
    *,
    at: datetime,
    tip: str | None,
    tip_checked_at: datetime | None,
    processors: Collection[ProcessorCame] | None,
    edited: str | None,
) -> None:
    marks: dict[str, Any] = {"beat_at": at}
    if edited is not None:
        marks["edited"] = edited
    if processors is not None:
        marks["processors"] = [
            {name: clean(text) for name, text in asdict(came).items()} for came in processors
        ]
    if tip is not None:
        marks["tip"] = tip
        if tip != connection.execute(select(worker.c.tip)).scalar_one():
            marks["tip_since"] = tip_checked_at or at
    if tip_checked_at is not None:
        marks["tip_checked_at"] = tip_checked_at
    connection.execute(update(worker).values(marks))


def pulse(connection: Connection) -> Pulse:
    seen = connection.execute(select(worker)).one()
    owed, oldest = connection.execute(
        select(func.count(), func.min(outbox.c.owed_since)).where(
            outbox.c.standing == Standing.OWED
        )
    ).one()
    return Pulse(
        beat_at=seen.beat_at,
        tip=seen.tip,
        tip_checked_at=seen.tip_checked_at,
        tip_since=seen.tip_since,
        live_sha=seen.live_sha,
        oldest_owed=oldest,
        owed=owed,
        processors=tuple(ProcessorCame(**came) for came in seen.processors),
        edited=seen.edited,
    )
