"""`deployer rollback`: an earlier commit, live again."""

from __future__ import annotations

import click

from deployer import app, config
from deployer.cli import me, short_commit, tell_if_alone
from deployer.core.planning.rollback import earlier
from deployer.errors import DeployerError

LOOKED_BACK = 200


@click.command()
@click.argument("sha", required=False, type=short_commit)
@click.option("--why", default="", help="The reason; commits that are no longer live show it.")
@click.option("--wait", is_flag=True, help="Wait for the end; the exit status tells how it went.")
def rollback(sha: str | None, why: str, *, wait: bool) -> None:
    """Make an earlier commit live again, with its packages, and freeze.

    Without SHA: the last one before what is live that succeeded. With SHA, which may be shortened
    to 7 digits: that one; it must have been live. `deployer unfreeze` deploys the tip.
    """
    settings = config.load()
    journal = app.open_journal(settings)
    goal = earlier(journal.deployments(limit=LOOKED_BACK), journal.pulse().live_sha, sha)
    if goal is None:
        if sha:
            journal.complete(sha)  # says so where it is the beginning of several
        which = f"{sha} was not live" if sha else "nothing good was live before"
        raise DeployerError(
            f"{which} in the last {LOOKED_BACK} deployments; `deployer status` lists the newest"
        )
    request = journal.roll_back(goal, " ".join(why.split()), by=me())
    app.doorbell(settings).ring()
    if wait:
        from deployer.cli.deploy import report  # noqa: PLC0415 - all else need not wait for tables

        report(journal, request, goal=goal)
    click.echo(f"asked the worker to roll back to {goal[:7]}; frozen until `deployer unfreeze`")
    tell_if_alone(journal.pulse())
