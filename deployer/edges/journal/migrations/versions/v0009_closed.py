"""GitHub's own word on when to come back: a start waits for it as well."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("closed_at", sa.DateTime(timezone=True)))
    op.add_column("worker", sa.Column("closed_for_s", sa.Float))


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
