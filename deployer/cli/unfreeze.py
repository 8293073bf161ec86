"""`deployer unfreeze`: deploy again."""

from __future__ import annotations

import os

import click

from deployer import app, config
from deployer.cli import tables
from deployer.cli.freeze import me


@click.command()
def unfreeze() -> None:
    """Deploy again: first of all the branch's tip."""
    settings = config.load(os.environ)
    ended = app.open_journal(settings).unfreeze(by=me())
    app.doorbell(settings).ring()
    if ended is None:
        click.echo("nothing was frozen")
        return
    told = f"no longer frozen ({ended.why}); the worker deploys the tip, see `deployer status`"
    tables.console().print(tables.plain(told))
