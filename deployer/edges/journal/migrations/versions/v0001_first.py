"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    _announced()
    _deployed()
    _outbox()
    _worker()


def downgrade() -> None:
    raise NotImplementedError("the first tables are where a journal begins")


def _announced() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("guid", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ref", sa.Text),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("forced", sa.Boolean),
        sa.Column("pusher", sa.Text),
        sa.Column("received_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("guid", name="uq_deliveries_guid"),
    )
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sha", sa.Text, nullable=False),
        sa.Column("base_sha", sa.Text),
        sa.Column("ref", sa.Text, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("queued_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("plan", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deployments"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deployments_sha", "deployments", ["sha"])
    op.create_index("ix_deployments_state", "deployments", ["state"])
    op.create_table(
        "announcements",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column(
            "delivery", sa.Text, sa.ForeignKey("deliveries.guid", name="fk_announcements_delivery")
        ),
        sa.Column("sha", sa.Text),
        sa.Column("before", sa.Text),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column(
            "deployment_id",
            sa.Integer,
            sa.ForeignKey("deployments.id", name="fk_announcements_deployment_id"),
        ),
        sa.PrimaryKeyConstraint("id", name="pk_announcements"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_announcements_sha", "announcements", ["sha"])
    unseen = sa.text("deployment_id IS NULL")
    op.create_index(
        "ix_announcements_unseen",
        "announcements",
        ["id"],
        sqlite_where=unseen,
        postgresql_where=unseen,
    )


def _deployed() -> None:
    op.create_table(
        "covers",
        _part_of_deployment("covers", key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("sha", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "position", name="pk_covers"),
    )
    op.create_index("ix_covers_sha", "covers", ["sha"])
    op.create_table(
        "folders",
        _part_of_deployment("folders", key=True),
        sa.Column("folder", sa.Text, primary_key=True),
        sa.PrimaryKeyConstraint("deployment_id", "folder", name="pk_folders"),
    )
    op.create_index("ix_folders_folder", "folders", ["folder"])
    op.create_table(
        "steps",
        sa.Column("id", sa.Integer, primary_key=True),
        _part_of_deployment("steps", key=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_steps"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_steps_deployment_id", "steps", ["deployment_id"])
    op.create_table(
        "verdicts",
        _part_of_deployment("verdicts", key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("dag_ids", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON),
        sa.Column("proof", sa.Text, nullable=False),
        sa.Column("waited_s", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "path", name="pk_verdicts"),
    )
    op.create_index("ix_verdicts_path", "verdicts", ["path"])


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("standing", sa.Text, nullable=False),
        sa.Column("sha", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("context_key", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("owed_since", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("target_url", sa.Text),
        sa.Column("posted_at", TIME),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_place", "outbox", ["place"])
    op.create_index("ix_outbox_said", "outbox", ["sha", "context_key", "id"])
    owed = sa.text("standing = 'owed'")
    op.create_index(
        "ix_outbox_owed",
        "outbox",
        ["sha", "context_key"],
        unique=True,
        sqlite_where=owed,
        postgresql_where=owed,
    )
    op.create_table(
        "statements",
        _part_of_deployment("statements", key=True),
        sa.Column("place", sa.Integer, primary_key=True),
        sa.PrimaryKeyConstraint("deployment_id", "place", name="pk_statements"),
    )


def _worker() -> None:
    op.create_table(
        "refusals",
        sa.Column("fingerprint", sa.Text, primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_refusals"),
    )
    worker = op.create_table(
        "worker",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("live_sha", sa.Text),
        sa.Column("live_held", sa.JSON, nullable=False),
        sa.Column("beat_at", TIME),
        sa.Column("tip", sa.Text),
        sa.Column("tip_checked_at", TIME),
        sa.Column("tip_since", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )
    op.bulk_insert(worker, [{"id": 1, "live_held": []}])


def _part_of_deployment(table: str, *, key: bool) -> sa.Column[int]:
    name = f"fk_{table}_deployment_id"
    return sa.Column(
        "deployment_id",
        sa.Integer,
        sa.ForeignKey("deployments.id", name=name),
        primary_key=key,
        nullable=False,
    )
