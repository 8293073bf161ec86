"""Which DAG ids each file has, by its last good verdict."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

GOOD = ("parsed", "no_dag", "deleted")


def upgrade() -> None:
    claims = op.create_table(
        "claims",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("dag_id", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("path", "dag_id", name="pk_claims"),
    )
    op.create_index("ix_claims_dag_id", "claims", ["dag_id"])
    verdicts = sa.table(
        "verdicts",
        sa.column("deployment_id", sa.Integer),
        sa.column("path", sa.Text),
        sa.column("outcome", sa.Text),
        sa.column("dag_ids", sa.JSON),
    )
    judged = op.get_bind().execute(
        sa.select(verdicts.c.path, verdicts.c.dag_ids)
        .where(verdicts.c.outcome.in_(GOOD))
        .order_by(verdicts.c.deployment_id)
    )
    last = {row.path: row.dag_ids for row in judged}
    op.bulk_insert(
        claims,
        [{"path": path, "dag_id": dag_id} for path, ids in last.items() for dag_id in set(ids)],
    )


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
