"""The command that sets up GitHub's side."""

from __future__ import annotations

import click

from deployer import app, config
from deployer.cli import EXIT_FAILED, EXIT_OUT_OF_REACH
from deployer.cli.doctor import show
from deployer.core.doctor import failed, unreached
from deployer.doctor import github_lines


@click.command()
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be.")
@click.option("--secret", "anew", is_flag=True, help="Set the webhook's secret anew (rotation).")
@click.option("--redeliver", is_flag=True, help="Ask for pushes again that did not arrive.")
def github(*, dry_run: bool, anew: bool, redeliver: bool) -> None:
    """Check the token's rights, and make or mend the webhook.

    Needs DEPLOYER_PUBLIC_URL and DEPLOYER_WEBHOOK_SECRET; of several secrets the webhook gets the
    first. Where the token may not act, or there is none, it says what to click. Run twice
    it changes nothing. Exit status 1 if something is left to do, 3 if nothing answers that could
    say what.
    """
    settings = config.load(needs=("public_url", "webhook_secret"))
    lines = github_lines(dry_run=dry_run, anew=anew, redeliver=redeliver)
    findings = app.checkup(settings, lines)
    show(findings)
    if unreached(findings):
        raise SystemExit(EXIT_OUT_OF_REACH)
    raise SystemExit(EXIT_FAILED if failed(findings) else 0)
