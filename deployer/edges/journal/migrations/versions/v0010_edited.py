"""What somebody changed by hand in what is live."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("edited", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
