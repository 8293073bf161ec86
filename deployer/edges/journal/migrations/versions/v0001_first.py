"""The schema of the first release, which `schema.make` makes: no journal is older.

A journal of that release is in `tests/integration/journals/`: each later revision is tried on it.
"""

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    raise NotImplementedError("no journal is older than the first release's")
