"""Alembic's folder: `env.py` and `versions/`, run by `deployer.edges.journal.schema`."""
