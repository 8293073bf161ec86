"""`deployer worker`: the process that deploys."""

from __future__ import annotations

import click

from deployer import app, config


@click.command()
def worker() -> None:
    """Deploy what was pushed: one deployment at a time."""
    app.run_worker(config.load())
