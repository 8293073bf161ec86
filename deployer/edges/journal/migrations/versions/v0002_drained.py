"""The slots of pools that a drain has emptied."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("drained", sa.JSON, nullable=False, server_default="{}"))


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
