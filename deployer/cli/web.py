"""`deployer web`: the process that GitHub reaches."""

from __future__ import annotations

import click

from deployer import app, config


@click.command()
def web() -> None:
    """Receive GitHub's deliveries; serve health, JSON and pages."""
    app.run_web(config.load(needs=("webhook_secret",)))
