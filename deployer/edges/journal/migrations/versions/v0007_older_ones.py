"""What is waited for, what of older commits stays live, and what packages were refused for."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("worker", sa.Column("live_stays", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("deployments", sa.Column("running", sa.JSON(none_as_null=True)))
    op.add_column("deployments", sa.Column("waits_for", sa.Text))
    op.add_column("refusals", sa.Column("path", sa.Text))
    # Why those of before were refused is not known well enough: they are tried once more.
    op.execute("DELETE FROM refusals")


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
