"""`deployer explain`: what became of a delivery or a commit."""

from __future__ import annotations

import click

from deployer import app, config
from deployer.cli import SHORTEST, json_option, named, print_json, printing
from deployer.core.reporting.render import timestamp
from deployer.core.reporting.story import story
from deployer.errors import DeployerError


@click.command()
@click.argument("what", metavar="DELIVERY|SHA", type=named)
@json_option
def explain(what: str, *, in_json: bool) -> None:
    """Tell what became of a delivery or a commit, in order, with times.

    DELIVERY: the id that GitHub shows under Recent Deliveries. A commit may be shortened to 7
    digits.
    """
    journal = app.open_journal(config.load(), reading=True)
    heard = journal.heard(what)
    if not heard and len(what) >= SHORTEST:
        what = journal.complete(what) or what
        heard = journal.heard(what)
    sha = next((one.sha for one in heard), what)
    events = story(sha, heard, journal.about(sha) if sha else ())
    if not events:
        raise DeployerError(
            f"the journal knows no {what}: no such delivery came, and no push named it as its"
            " newest commit; GitHub shows under Settings, Webhooks, Recent Deliveries what it sent"
        )
    if in_json:
        told = [
            {"at": timestamp(event.at), "what": event.words, "deployment": event.deployment}
            for event in events
        ]
        print_json({"sha": sha, "events": told})
        return
    printing.console().print(printing.events(events))
