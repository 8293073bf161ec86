"""What is remembered beside deployments.

What is live, on which packages, what was refused, the pools that are empty, freezes, the tip.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, fields, replace
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, update

from deployer.core.airflow_version import leave_to_it
from deployer.core.model import Freeze, Live, Origin, ProcessorCame, Pulse, Refusal
from deployer.edges.journal.codec import made
from deployer.edges.journal.tables import (
    announcements,
    condemned,
    deliveries,
    freezes,
    outbox,
    refusals,
    worker,
)
from deployer.edges.journal.transactions.outbox import IS_OWED


def live(connection: Connection) -> Live | None:
    columns = [worker.c[f"live_{field.name}"].label(field.name) for field in fields(Live)]
    row = connection.execute(select(*columns)).one()
    return None if row.sha is None else made(Live, row._asdict())


def set_live(connection: Connection, live: Live | None) -> None:
    known = asdict(live) if live else {"sha": None, "held": (), "pending": ()}
    row = {f"live_{name}": value for name, value in known.items()}
    connection.execute(update(worker).values(row))


def stays(connection: Connection) -> tuple[tuple[str, str], ...]:
    known = connection.execute(select(worker.c.live_stays)).scalar_one()
    return tuple((place, sha) for place, sha in known)


def packages(connection: Connection) -> str | None:
    text: str | None = connection.execute(select(worker.c.packages)).scalar_one()
    return text


def set_packages(connection: Connection, text: str) -> None:
    connection.execute(update(worker).values(packages=text))


def all_refusals(connection: Connection) -> dict[str, Refusal]:
    rows = connection.execute(select(refusals.c.fingerprint, refusals.c.reason, refusals.c.path))
    return {row.fingerprint: Refusal(row.reason, row.path) for row in rows}


def refuse(
    connection: Connection, requirements_hash: str, refusal: Refusal, *, at: datetime
) -> None:
    lift(connection, requirements_hash)
    row = asdict(refusal) | {"fingerprint": requirements_hash, "at": at}
    connection.execute(insert(refusals), row)


def lift(connection: Connection, requirements_hash: str) -> None:
    connection.execute(delete(refusals).where(refusals.c.fingerprint == requirements_hash))


def condemn(connection: Connection, files: Mapping[str, str], reason: str, *, at: datetime) -> None:
    for path, blob in files.items():
        mine = (condemned.c.path == path) & (condemned.c.blob == blob)
        connection.execute(delete(condemned).where(mine))
        row = {"path": path, "blob": blob, "reason": reason, "at": at}
        connection.execute(insert(condemned), row)


def pardon(connection: Connection) -> None:
    connection.execute(delete(condemned))
    connection.execute(delete(refusals))


def all_condemned(connection: Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute(select(condemned.c.path, condemned.c.blob, condemned.c.reason))
    return {(row.path, row.blob): row.reason for row in rows}


_NOT_KNOWN = {"": 0}  # no pool's name; 0.2.0, to which somebody may go back, passes over it


def drained(connection: Connection) -> dict[str, int] | None:
    slots: dict[str, int] = connection.execute(select(worker.c.drained)).scalar_one()
    return None if slots == _NOT_KNOWN else slots


def set_drained(connection: Connection, slots: Mapping[str, int] | None) -> None:
    kept = _NOT_KNOWN if slots is None else dict(slots)
    connection.execute(update(worker).values(drained=kept))


def freeze(connection: Connection, new: Freeze) -> Freeze:
    before = unfreeze(connection, by=new.by, at=new.since)
    if before and not new.sha:  # what was rolled back stays so
        new = replace(new, sha=before.sha)
    connection.execute(insert(freezes), asdict(new))
    return new


def unfreeze(connection: Connection, *, by: str, at: datetime) -> Freeze | None:
    held = frozen(connection, at)
    leave_to_it(held, by)
    connection.execute(
        update(freezes).where(freezes.c.ended_at.is_(None)).values(ended_at=at, ended_by=by)
    )
    return held


def frozen(connection: Connection, at: datetime) -> Freeze | None:
    newest = _freeze(connection)
    return newest if newest and newest.holds(at) else None


def _freeze(connection: Connection) -> Freeze | None:
    row = connection.execute(select(freezes).where(freezes.c.ended_at.is_(None))).one_or_none()
    return made(Freeze, row._asdict()) if row else None


def _thawed_at(connection: Connection) -> datetime | None:
    """Return when the newest freeze ended: at its time, though it was ended by hand later."""
    newest = select(freezes.c.until, freezes.c.ended_at).order_by(freezes.c.id.desc()).limit(1)
    ends = connection.execute(newest).one_or_none() or ()
    return min((end for end in ends if end), default=None)


def beat(
    connection: Connection,
    *,
    at: datetime,
    tip: str | None = None,
    tip_checked_at: datetime | None = None,
    processors: Collection[ProcessorCame] | None = None,
    drift: str | None = None,
    edited: str | None = None,
) -> None:
    marks = {
        "beat_at": at,
        "tip": tip,
        "tip_checked_at": tip_checked_at,
        "processors": None if processors is None else [asdict(came) for came in processors],
        "drift": drift,
        "edited": edited,
    }
    if tip is not None:
        before, live = connection.execute(select(worker.c.tip, worker.c.live_sha)).one()
        if tip == live or before in {None, live}:
            marks["tip_since"] = tip_checked_at or at
    given = {name: mark for name, mark in marks.items() if mark is not None}
    connection.execute(update(worker).values(given))


def pulse(connection: Connection) -> Pulse:
    seen = connection.execute(select(worker)).one()
    owed, oldest = connection.execute(
        select(func.count(), func.min(outbox.c.owed_since)).where(IS_OWED)
    ).one()
    # By announcement: each is of an accepted push, in their order; a guid may be redelivered.
    pushed = connection.execute(
        select(deliveries.c.repo_id, deliveries.c.repo, deliveries.c.known_as)
        .join(announcements, announcements.c.delivery == deliveries.c.guid)
        .order_by(announcements.c.id.desc())
        .limit(1)
    ).one_or_none()
    # Of the last ones: there is no index of times, and one that is redelivered keeps its place.
    last = select(deliveries.c.received_at).order_by(deliveries.c.id.desc()).limit(100).subquery()
    newest = select(func.max(last.c.received_at))
    return made(
        Pulse,
        seen._asdict(),
        oldest_owed=oldest,
        owed=owed,
        delivered_at=connection.execute(newest).scalar(),
        pushed=Origin(*pushed) if pushed and pushed.repo else None,
        freeze=_freeze(connection),
        thawed_at=_thawed_at(connection),
    )
