"""The command that a timer runs: it alone tells the teacher, so that a dead worker is told too."""

from __future__ import annotations

import click

from deployer import app, config
from deployer.cli import tell
from deployer.core.counts import counted

TEST = "This is a test: red deployments, stalls and failures of `deployer doctor` are told here."


@click.command()
@click.option("--test", is_flag=True, help="Send a test message; say which address refused it.")
def notify(*, test: bool) -> None:
    """Tell the teacher what is wrong or mended since the last message.

    By the journal and by what `deployer doctor` finds; each thing once, and once more when it is
    mended. Does nothing without DEPLOYER_NOTIFY_URLS. Exit status 3 if no address took it: the
    next run tries again.
    """
    settings = config.load(needs=("notify_urls",) if test else ())
    if not settings.notify_urls:
        click.echo("nobody is told: DEPLOYER_NOTIFY_URLS is not set")
        return
    if test:
        missed = app.messenger(settings).send(f"{settings.github_repo}: a test", TEST)
        tell(*missed)
        took = len(settings.notify_urls) - len(missed)
        click.echo(f"sent to {counted(took, 'address', 'addresses')}")
        raise SystemExit(1 if missed else 0)
    news, missed = app.tell(settings)
    tell(*missed)
    click.echo(f"told of {counted(len(news), 'thing')}" if news else "nothing new to tell")
