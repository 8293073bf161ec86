"""What is wrong with a file and no matter of its colour."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verdicts", sa.Column("warnings", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
