"""What is live and not judged yet, and which dag-processors are connected.

Verdicts are no longer proven by stamps.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("live_pending", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("worker", sa.Column("processors", sa.JSON, nullable=False, server_default="[]"))
    op.execute("UPDATE verdicts SET proof = 'none' WHERE proof = 'stamps'")


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
