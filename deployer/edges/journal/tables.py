"""The schema as the code sees it; `migrations/` is how an older database comes to it."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

from deployer.edges.journal.codec import clean


class UtcTime(TypeDecorator[datetime]):
    """A time that comes back timezone-aware and in UTC from every database.

    SQLite keeps text without a zone; PostgreSQL answers in the session's zone.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - SQLAlchemy's signature
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class CleanText(TypeDecorator[str]):
    """Text of any origin: what a database would refuse is replaced, see `codec.clean`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - SQLAlchemy's signature
        # str() for enums too: psycopg would write a member's name instead of its value.
        return None if value is None else clean(str(value))


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("guid", CleanText, nullable=False, unique=True),
    Column("event", CleanText, nullable=False),
    Column("result", CleanText, nullable=False),
    Column("reason", CleanText, nullable=False),
    Column("ref", CleanText),
    Column("before", CleanText),
    Column("after", CleanText, index=True),
    Column("forced", Boolean),
    Column("pusher", CleanText),
    Column("repo_id", BigInteger),
    Column("repo", CleanText),
    Column("known_as", CleanText),
    Column("received_at", UtcTime, nullable=False),
)

announcements = Table(
    "announcements",
    metadata,
    Column("id", Integer, primary_key=True),
    # Indexed: whoever deletes a delivery or a deployment asks who still names it.
    Column("delivery", CleanText, ForeignKey("deliveries.guid"), index=True),
    Column("sha", CleanText, index=True),
    Column("before", CleanText),
    Column("forced", Boolean, nullable=False),
    Column("trigger", CleanText, nullable=False),
    Column("received_at", UtcTime, nullable=False),
    Column("deployment_id", Integer, ForeignKey("deployments.id"), index=True),
    sqlite_autoincrement=True,
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha", CleanText, nullable=False, index=True),
    Column("base_sha", CleanText),
    Column("ref", CleanText, nullable=False),
    Column("trigger", CleanText, nullable=False),
    Column("state", CleanText, nullable=False, index=True),
    Column("queued_at", UtcTime, nullable=False),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("reason", CleanText, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("ending", JSON(none_as_null=True)),
    Column("running", JSON(none_as_null=True)),
    Column("waits_for", CleanText),
    sqlite_autoincrement=True,
)

covers = Table(
    "covers",
    metadata,
    Column("deployment_id", Integer, ForeignKey("deployments.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("sha", CleanText, nullable=False, index=True),
)

folders = Table(  # those that a deployment's plan or verdicts touch
    "folders",
    metadata,
    Column("deployment_id", Integer, ForeignKey("deployments.id"), primary_key=True),
    Column("folder", CleanText, primary_key=True, index=True),
)

steps = Table(
    "steps",
    metadata,
    Column("id", Integer, primary_key=True),  # in the order they were taken
    Column("deployment_id", Integer, ForeignKey("deployments.id"), nullable=False, index=True),
    Column("name", CleanText, nullable=False),
    Column("state", CleanText, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("finished_at", UtcTime, nullable=False),
    Column("detail", CleanText, nullable=False),
    sqlite_autoincrement=True,
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("deployment_id", Integer, ForeignKey("deployments.id"), primary_key=True),
    Column("path", CleanText, primary_key=True, index=True),
    Column("outcome", CleanText, nullable=False),
    Column("dag_ids", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("proof", CleanText, nullable=False),
    Column("waited_s", Float, nullable=False),
    Column("warnings", JSON(none_as_null=True)),
)

claims = Table(  # the DAG ids that a file's last good verdict names
    "claims",
    metadata,
    Column("path", CleanText, primary_key=True),
    Column("dag_id", CleanText, primary_key=True, index=True),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Integer, primary_key=True),
    # Its place in the line; a status that replaces one still owed takes over that one's.
    Column("place", Integer, nullable=False, index=True),
    Column("standing", CleanText, nullable=False),  # outbox.Standing
    Column("sha", CleanText, nullable=False),
    Column("context", CleanText, nullable=False),
    Column("context_key", CleanText, nullable=False),  # lower case: GitHub ignores it
    Column("state", CleanText, nullable=False),
    Column("description", CleanText, nullable=False),
    Column("owed_since", UtcTime, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("target_url", CleanText),
    Column("posted_at", UtcTime),
    Column("attempts", Integer, nullable=False),
    Column("error", CleanText),
    Index("ix_outbox_said", "sha", "context_key", "id"),
    sqlite_autoincrement=True,
)

statements = Table(  # which deployments said what stands at a place of the outbox
    "statements",
    metadata,
    Column("deployment_id", Integer, ForeignKey("deployments.id"), primary_key=True),
    Column("place", Integer, primary_key=True),
)

refusals = Table(
    "refusals",
    metadata,
    Column("fingerprint", CleanText, primary_key=True),
    Column("reason", CleanText, nullable=False),
    Column("path", CleanText),
    Column("at", UtcTime, nullable=False),
)

condemned = Table(  # contents of files of which the dag-processor died
    "condemned",
    metadata,
    Column("path", CleanText, primary_key=True),
    Column("blob", CleanText, primary_key=True),
    Column("reason", CleanText, nullable=False),
    Column("at", UtcTime, nullable=False),
)

freezes = Table(  # at most one that is not ended
    "freezes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("why", CleanText, nullable=False),
    Column("by", CleanText, nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("until", UtcTime),
    Column("sha", CleanText),  # that a rollback made live
    Column("ended_at", UtcTime),
    Column("ended_by", CleanText),
    sqlite_autoincrement=True,
)

logins = Table(  # what lets a teacher in; for good without a time
    "logins",
    metadata,
    Column("fingerprint", CleanText, primary_key=True),
    Column("until", UtcTime),
)

worker = Table(  # one row, made with the table
    "worker",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("live_sha", CleanText),
    Column("live_held", JSON, nullable=False),  # paths
    Column("live_pending", JSON, nullable=False, server_default="[]"),  # likewise
    Column("live_stays", JSON, nullable=False, server_default="[]"),  # paths, each with a commit
    Column("packages", CleanText),  # text of the requirements that the class runs on
    Column("drift", CleanText, nullable=False, server_default=""),
    Column("beat_at", UtcTime),
    Column("tip", CleanText),
    Column("tip_checked_at", UtcTime),
    Column("tip_since", UtcTime),
    Column("closed_at", UtcTime),  # GitHub's own word on when to come back
    Column("closed_for_s", Float),
    Column("drained", JSON, nullable=False, server_default="{}"),  # slots by pool
    Column("processors", JSON, nullable=False, server_default="[]"),  # see `marks`
    Column("edited", CleanText, nullable=False, server_default=""),
    Column("link_key", CleanText, nullable=False),  # made with the row; signs the links of statuses
)

PARTIAL_INDEXES = (
    "CREATE INDEX ix_announcements_unseen ON announcements (id) WHERE deployment_id IS NULL",
    # One at most owed for a commit and context: their order can never invert.
    "CREATE UNIQUE INDEX ix_outbox_owed ON outbox (sha, context_key) WHERE standing = 'owed'",
)
"""In SQL, which is the same in SQLite and PostgreSQL: as options of an `Index` of `metadata` they
would have each process import PostgreSQL's dialect, 2 MB of it."""
