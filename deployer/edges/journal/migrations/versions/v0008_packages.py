"""On which packages the class runs, and whether others were found since."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("packages", sa.Text))
    op.add_column("worker", sa.Column("drift", sa.Text, nullable=False, server_default=""))


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
