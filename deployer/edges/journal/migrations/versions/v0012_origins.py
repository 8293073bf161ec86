"""Of which repository a push was."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("repo_id", sa.BigInteger))
    op.add_column("deliveries", sa.Column("repo", sa.Text))
    op.add_column("deliveries", sa.Column("known_as", sa.Text))


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
