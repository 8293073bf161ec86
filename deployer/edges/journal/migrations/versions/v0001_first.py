"""The schema of the first release."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "claims",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("path", "dag_id", name="pk_claims"),
    )
    op.create_index("ix_claims_dag_id", "claims", ["dag_id"])
    op.create_table(
        "condemned",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("blob", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("path", "blob", name="pk_condemned"),
    )
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("guid", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("ref", sa.Text),
        sa.Column("before", sa.Text),
        sa.Column("after", sa.Text),
        sa.Column("forced", sa.Boolean),
        sa.Column("pusher", sa.Text),
        sa.Column("repo_id", sa.BigInteger),
        sa.Column("repo", sa.Text),
        sa.Column("known_as", sa.Text),
        sa.Column("received_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("guid", name="uq_deliveries_guid"),
    )
    op.create_index("ix_deliveries_after", "deliveries", ["after"])
    op.create_table(
        "deployments",
        sa.Column("id", sa.Integer, nullable=False),
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
        sa.Column("ending", sa.JSON(none_as_null=True)),
        sa.Column("running", sa.JSON(none_as_null=True)),
        sa.Column("waits_for", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_deployments"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_deployments_sha", "deployments", ["sha"])
    op.create_index("ix_deployments_state", "deployments", ["state"])
    op.create_table(
        "freezes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("until", TIME),
        sa.Column("sha", sa.Text),
        sa.Column("ended_at", TIME),
        sa.Column("ended_by", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_freezes"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "logins",
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("until", TIME),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_logins"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, nullable=False),
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
    op.create_table(
        "refusals",
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("fingerprint", name="pk_refusals"),
    )
    op.create_table(
        "troubles",
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("since", TIME, nullable=False),
        sa.Column("told", sa.Boolean, nullable=False),
        sa.Column("mended_at", TIME),
        sa.Column("taken_at", TIME),
        sa.PrimaryKeyConstraint("key", name="pk_troubles"),
    )
    op.create_table(
        "worker",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("live_sha", sa.Text),
        sa.Column("live_held", sa.JSON, nullable=False),
        sa.Column("live_pending", sa.JSON, server_default="[]", nullable=False),
        sa.Column("live_stays", sa.JSON, server_default="[]", nullable=False),
        sa.Column("packages", sa.Text),
        sa.Column("drift", sa.Text, server_default="", nullable=False),
        sa.Column("beat_at", TIME),
        sa.Column("tip", sa.Text),
        sa.Column("tip_checked_at", TIME),
        sa.Column("tip_since", TIME),
        sa.Column("closed_at", TIME),
        sa.Column("closed_for_s", sa.Float),
        sa.Column("drained", sa.JSON, server_default="{}", nullable=False),
        sa.Column("processors", sa.JSON, server_default="[]", nullable=False),
        sa.Column("edited", sa.Text, server_default="", nullable=False),
        sa.Column("link_key", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )
    op.create_table(
        "announcements",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("delivery", sa.Text),
        sa.Column("sha", sa.Text),
        sa.Column("before", sa.Text),
        sa.Column("forced", sa.Boolean, nullable=False),
        sa.Column("trigger", sa.Text, nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("deployment_id", sa.Integer),
        sa.ForeignKeyConstraint(
            ["delivery"], ["deliveries.guid"], name="fk_announcements_delivery"
        ),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_announcements_deployment_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_announcements"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_announcements_delivery", "announcements", ["delivery"])
    op.create_index("ix_announcements_deployment_id", "announcements", ["deployment_id"])
    op.create_index("ix_announcements_sha", "announcements", ["sha"])
    op.create_table(
        "covers",
        sa.Column("deployment_id", sa.Integer, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("sha", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_covers_deployment_id"
        ),
        sa.PrimaryKeyConstraint("deployment_id", "position", name="pk_covers"),
    )
    op.create_index("ix_covers_sha", "covers", ["sha"])
    op.create_table(
        "folders",
        sa.Column("deployment_id", sa.Integer, nullable=False),
        sa.Column("folder", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_folders_deployment_id"
        ),
        sa.PrimaryKeyConstraint("deployment_id", "folder", name="pk_folders"),
    )
    op.create_index("ix_folders_folder", "folders", ["folder"])
    op.create_table(
        "statements",
        sa.Column("deployment_id", sa.Integer, nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_statements_deployment_id"
        ),
        sa.PrimaryKeyConstraint("deployment_id", "place", name="pk_statements"),
    )
    op.create_table(
        "steps",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("deployment_id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_steps_deployment_id"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_steps"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_steps_deployment_id", "steps", ["deployment_id"])
    op.create_table(
        "verdicts",
        sa.Column("deployment_id", sa.Integer, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("dag_ids", sa.JSON, nullable=False),
        sa.Column("error", sa.JSON(none_as_null=True)),
        sa.Column("proof", sa.Text, nullable=False),
        sa.Column("waited_s", sa.Float, nullable=False),
        sa.Column("warnings", sa.JSON(none_as_null=True)),
        sa.ForeignKeyConstraint(
            ["deployment_id"], ["deployments.id"], name="fk_verdicts_deployment_id"
        ),
        sa.PrimaryKeyConstraint("deployment_id", "path", name="pk_verdicts"),
    )
    op.create_index("ix_verdicts_path", "verdicts", ["path"])
    op.execute(
        "CREATE INDEX ix_announcements_unseen ON announcements (id) WHERE deployment_id IS NULL"
    )
    op.execute(
        "CREATE UNIQUE INDEX ix_outbox_owed ON outbox (sha, context_key) WHERE standing = 'owed'"
    )
    op.execute(
        sa.text(
            "INSERT INTO worker (id, live_held, live_pending, live_stays, link_key)"
            " VALUES (1, '[]', '[]', '[]', :key)"
        ).bindparams(key=secrets.token_hex(32))
    )


def downgrade() -> None:
    raise NotImplementedError("the first tables are where a journal begins")
