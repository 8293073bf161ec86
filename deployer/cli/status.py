"""`deployer status`: what is live, and whether all is well."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from deployer import app, config
from deployer.cli import json_option, print_json, printing
from deployer.core.counts import counted
from deployer.core.reporting.readiness import reasons
from deployer.core.reporting.render import as_json, freeze_as_json, timestamp

RECENT = 10


@click.command()
@json_option
def status(*, in_json: bool) -> None:
    """Show what is live, whether the deployer does its job, and the last deployments."""
    journal = app.open_journal(config.load(), reading=True)
    pulse = journal.pulse()
    why_not = reasons(pulse, datetime.now(UTC))
    recent = journal.deployments(limit=RECENT)
    freeze = journal.frozen(datetime.now(UTC))
    if in_json:
        found = {
            "ready": not why_not,
            "reasons": list(why_not),
            "live_sha": pulse.live_sha,
            "tip": pulse.tip,
            "drift": pulse.drift or None,
            "frozen": freeze_as_json(freeze) if freeze else None,
            "worker_beat_at": timestamp(pulse.beat_at) if pulse.beat_at else None,
            "statuses_owed": pulse.owed,
            "deployments": [as_json(d) for d in recent],
        }
        print_json(found)
        return
    out = printing.console()
    out.print(f"live     {pulse.live_sha[:7] if pulse.live_sha else 'not known yet'}")
    out.print(f"tip      {pulse.tip[:7] if pulse.tip else 'not known yet'}")
    if freeze:
        said = f"{freeze.words} (by {freeze.by}, {freeze.since:%Y-%m-%d %H:%M} UTC)"
        out.print("frozen  ", printing.plain(said))
    if pulse.drift:
        out.print(f"packages {pulse.drift}")
    out.print(f"outbox   {counted(pulse.owed, 'status', 'statuses')} owed")
    out.print("ready    " + ("yes" if not why_not else "no: " + "; ".join(why_not)))
    if recent:
        out.print(printing.listing(recent))
