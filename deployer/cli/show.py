"""`deployer show`: one deployment, whole."""

from __future__ import annotations

import click

from deployer import app, config
from deployer.cli import SHORTEST, commit_or_number, json_option, print_json, printing
from deployer.core.model import Deployment, State
from deployer.core.reporting.render import as_json
from deployer.errors import DeployerError
from deployer.ports import Journal


@click.command()
@click.argument("what", metavar="SHA|ID", type=commit_or_number)
@json_option
def show(what: str, *, in_json: bool) -> None:
    """Show one deployment: the one with that id, or the one that judged that commit.

    A commit may be shortened to 7 digits. Exit status 1 if the deployment failed.
    """
    journal = app.open_journal(config.load(), reading=True)
    found = _find(journal, what)
    if in_json:
        print_json(as_json(found))
    else:
        printing.show(found)
    if found.state in {State.BROKEN, State.FAILED, State.ERROR}:
        raise SystemExit(1)


def _find(journal: Journal, what: str) -> Deployment:
    found, sha = None, what
    if len(what) >= SHORTEST:
        sha = journal.complete(what) or what
        found = journal.judging(sha)
    if found is None and what.isdigit():
        found = journal.deployment(int(what))
    if found is None and any(heard.trigger for heard in journal.heard(sha)):
        raise DeployerError(
            f"{what} was announced, and the worker has not taken it in yet:"
            f" `deployer explain {what}` tells since when"
        )
    if found is None:
        raise DeployerError(f"the journal knows no {what}; `deployer status` lists the last ones")
    return found
