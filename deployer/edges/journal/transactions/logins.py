"""Fingerprints of the secrets that let a teacher in, and the key that signs links."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from deployer.edges.journal.tables import logins, worker


def link_key(connection: Connection) -> str:
    return str(connection.execute(select(worker.c.link_key)).scalar_one())


def set_link_key(connection: Connection, key: str) -> None:
    connection.execute(update(worker).values(link_key=key))


def admit(
    connection: Connection, fingerprint: str, *, at: datetime, until: datetime | None
) -> None:
    connection.execute(delete(logins).where(logins.c.until <= at))
    connection.execute(insert(logins), {"fingerprint": fingerprint, "until": until})


def admitted(connection: Connection, fingerprint: str, at: datetime) -> bool:
    return connection.execute(select(logins).where(_lets_in(fingerprint, at))).first() is not None


def exchange(
    connection: Connection, once: str, fingerprint: str, *, at: datetime, until: datetime
) -> bool:
    # Of two at the same time, one deletes it.
    if not connection.execute(delete(logins).where(_lets_in(once, at))).rowcount:
        return False
    admit(connection, fingerprint, at=at, until=until)
    return True


def revoke(connection: Connection) -> int:
    return connection.execute(delete(logins)).rowcount


def _lets_in(fingerprint: str, at: datetime) -> ColumnElement[bool]:
    lasts = logins.c.until.is_(None) | (logins.c.until > at)
    return (logins.c.fingerprint == fingerprint) & lasts
