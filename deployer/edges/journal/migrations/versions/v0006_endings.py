"""How a deployment ended, whole: what commits are told that it comes to answer later."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("ending", sa.JSON(none_as_null=True)))
    deployments = sa.table(
        "deployments",
        sa.column("id", sa.Integer),
        sa.column("state", sa.Text),
        sa.column("reason", sa.Text),
        sa.column("ending", sa.JSON(none_as_null=True)),
    )
    ended = ("succeeded", "broken", "failed", "error")
    rows = op.get_bind().execute(
        sa.select(deployments.c.id, deployments.c.state, deployments.c.reason).where(
            deployments.c.state.in_(ended)
        )
    )
    for number, state, reason in list(rows):
        live = state in {"succeeded", "broken"}  # its reason is why packages were refused
        ending: dict[str, object] = {
            "seconds": 0.0,
            "refused": reason if live and reason else None,
            "reason": "" if live else reason,
            "died_of": "",
            "duplicates": [],
        }
        op.get_bind().execute(
            sa.update(deployments).where(deployments.c.id == number).values(ending=ending)
        )


def downgrade() -> None:
    raise NotImplementedError("an older deployer needs the backup made before this one")
