"""What the dag-processor died of, so that it is never tried again."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "condemned",
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("blob", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("path", "blob", name="pk_condemned"),
    )


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
