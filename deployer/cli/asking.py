"""Commands that only read the journal."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

import click

from deployer import app, config
from deployer.cli import tables
from deployer.core.model import Deployment, State
from deployer.core.reporting.counts import counted
from deployer.core.reporting.readiness import reasons
from deployer.core.reporting.render import as_json as deployment_as_json
from deployer.core.reporting.render import freeze_as_json, timestamp
from deployer.core.reporting.story import story
from deployer.errors import DeployerError
from deployer.ports import Journal

RECENT = 10
SHA_LENGTH, SHORT_SHA = 40, 7


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """Show what is live, whether the deployer does its job, and the last deployments."""
    journal = app.open_journal(config.load(os.environ), reading=True)
    pulse = journal.pulse()
    why_not = reasons(pulse, datetime.now(UTC))
    recent = journal.deployments(limit=RECENT)
    freeze = journal.frozen(datetime.now(UTC))
    if as_json:
        found = {
            "ready": not why_not,
            "reasons": list(why_not),
            "live_sha": pulse.live_sha,
            "tip": pulse.tip,
            "drift": pulse.drift or None,
            "frozen": freeze_as_json(freeze) if freeze else None,
            "worker_beat_at": timestamp(pulse.beat_at) if pulse.beat_at else None,
            "statuses_owed": pulse.owed,
            "deployments": [deployment_as_json(d) for d in recent],
        }
        click.echo(json.dumps(found, indent=2))
        return
    out = tables.console()
    out.print(f"live     {pulse.live_sha[:7] if pulse.live_sha else 'not known yet'}")
    out.print(f"tip      {pulse.tip[:7] if pulse.tip else 'not known yet'}")
    if freeze:
        said = f"{freeze.words} (by {freeze.by}, {freeze.since:%Y-%m-%d %H:%M} UTC)"
        out.print("frozen  ", tables.plain(said))
    if pulse.drift:
        out.print(f"packages {pulse.drift}")
    out.print(f"outbox   {counted(pulse.owed, 'status', 'statuses')} owed")
    out.print("ready    " + ("yes" if not why_not else "no: " + "; ".join(why_not)))
    if recent:
        out.print(tables.listing(recent))


def id_or_commit(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Accept a deployment's id, or a commit of at least 7 digits."""
    text = value.lower()
    if not text or not set(text) <= set("0123456789abcdef"):
        raise click.BadParameter("give a deployment's id or a commit")
    if not text.isdigit() and len(text) < SHORT_SHA:
        raise click.BadParameter(f"a shortened commit needs {SHORT_SHA} digits")
    return text


@click.command()
@click.argument("what", metavar="SHA|ID", callback=id_or_commit)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(what: str, *, as_json: bool) -> None:
    """Show one deployment: the one with that id, or the one that judged that commit.

    A commit may be shortened to 7 digits. Exit status 1 if the deployment failed.
    """
    journal = app.open_journal(config.load(os.environ), reading=True)
    found = _find(journal, what)
    if as_json:
        click.echo(json.dumps(deployment_as_json(found), indent=2))
    else:
        tables.show(found)
    if found.state in {State.BROKEN, State.FAILED, State.ERROR}:
        raise SystemExit(1)


def _find(journal: Journal, what: str) -> Deployment:
    if what.isdigit() and len(what) < SHORT_SHA:
        found = journal.deployment(int(what))
    else:
        full = what if len(what) == SHA_LENGTH else journal.complete(what)
        found = journal.judging(full) if full else None
    if found is None:
        raise DeployerError(f"the journal knows no {what}; `deployer status` lists the last ones")
    return found


@click.command()
@click.argument("what", metavar="DELIVERY|SHA")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(what: str, *, as_json: bool) -> None:
    """Tell what became of a delivery or a commit, in order, with times.

    DELIVERY: the id that GitHub shows under Recent Deliveries. A commit may be shortened to 7
    digits.
    """
    journal = app.open_journal(config.load(os.environ), reading=True)
    heard = journal.heard(what)
    if not heard and len(what) >= SHORT_SHA:
        what = journal.complete(what) or what
        heard = journal.heard(what)
    sha = next((one.sha for one in heard), what)
    events = story(sha, heard, journal.about(sha) if sha else ())
    if not events:
        raise DeployerError(
            f"the journal knows no {what}: no such delivery came, and no push named it as its"
            " newest commit; GitHub shows under Settings, Webhooks, Recent Deliveries what it sent"
        )
    if as_json:
        told = [
            {"at": timestamp(event.at), "what": event.words, "deployment": event.deployment}
            for event in events
        ]
        click.echo(json.dumps({"sha": sha, "events": told}, indent=2))
        return
    tables.console().print(tables.events(events))
