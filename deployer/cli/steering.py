"""Commands that stop deployments, go back, and let them go on."""

from __future__ import annotations

import getpass
import os
import re
from datetime import UTC, datetime, timedelta

import click

from deployer import app, config
from deployer.cli import deploy as waiting
from deployer.cli import tables
from deployer.core.planning.rollback import earlier
from deployer.errors import DeployerError

LOOKED_BACK = 200
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def ahead(
    _context: click.Context, _parameter: click.Parameter, value: str | None
) -> datetime | None:
    """Accept a time that is to come; without a zone it is one of this machine's clock."""
    if value is None:
        return None
    now = datetime.now(UTC)
    try:
        at = _at(value.strip(), now.astimezone())
    except (ValueError, OverflowError):
        raise click.BadParameter(
            "give 18:00, 2026-03-01 18:00, 2026-03-01T18:00Z, or 30m, 2h, 3d from now"
        ) from None
    if at <= now:
        raise click.BadParameter(f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC is over")
    return at


def _at(text: str, now: datetime) -> datetime:
    if span := re.fullmatch(r"(\d+)([mhd])", text):
        return now + timedelta(**{UNITS[span[2]]: int(span[1])})
    if re.fullmatch(r"\d{1,2}:\d\d", text):
        hour, minute = map(int, text.split(":"))
        today = now.replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
        at = today.astimezone()
        return at if at > now else (today + timedelta(days=1)).astimezone()
    return datetime.fromisoformat(text).astimezone()


def reason(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Accept a text that says something, on one line: it stands in each commit's status."""
    text = " ".join(value.split())
    if not text:
        raise click.BadParameter("say why: each student reads it on the commit")
    return text


def _me() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()


@click.command()
@click.option("--why", required=True, callback=reason, help="What each commit says meanwhile.")
@click.option("--until", metavar="TIME", callback=ahead, help="18:00, 2h, 2026-03-01 18:00.")
def freeze(why: str, until: datetime | None) -> None:
    """Deploy nothing from now on: what is live stays, and what is pushed waits.

    A deployment at work ends. `deployer unfreeze`, or TIME, deploys the branch's tip. A time
    without a zone is one of this machine's clock. Frozen already: WHY and TIME are replaced.
    """
    settings = config.load(os.environ)
    made = app.open_journal(settings).freeze(why, by=_me(), until=until)
    app.doorbell(settings).ring()
    tables.console().print(tables.plain(f"frozen: {made.words}; `deployer unfreeze` ends it"))


@click.command()
@click.argument("sha", required=False)
@click.option("--why", default="", help="What the commits say that are live no longer.")
@click.option("--wait", is_flag=True, help="Wait for the end; the exit status tells how it went.")
def rollback(sha: str | None, why: str, *, wait: bool) -> None:
    """Make an earlier commit live again, with its packages, and freeze.

    Without SHA: the last one before what is live of which every file was good. With SHA, which may
    be shortened to 7 digits: that one; it must have been live. `deployer unfreeze` deploys the tip.
    """
    settings = config.load(os.environ)
    journal = app.open_journal(settings)
    goal = earlier(journal.deployments(limit=LOOKED_BACK), journal.pulse().live_sha, sha)
    if goal is None:
        which = f"{sha} was not live" if sha else "none of them was good before what is live"
        raise DeployerError(
            f"of the last {LOOKED_BACK} deployments {which}; `deployer status` lists the newest"
        )
    wish = journal.roll_back(goal, " ".join(why.split()), by=_me())
    app.doorbell(settings).ring()
    if wait:
        waiting.report(journal, wish)
    click.echo(f"asked the worker to roll back to {goal[:7]}; frozen until `deployer unfreeze`")


@click.command()
def unfreeze() -> None:
    """Deploy again: first of all the branch's tip."""
    settings = config.load(os.environ)
    ended = app.open_journal(settings).unfreeze(by=_me())
    app.doorbell(settings).ring()
    if ended is None:
        click.echo("nothing was frozen")
        return
    told = f"no longer frozen ({ended.why}); the worker deploys the tip, see `deployer status`"
    tables.console().print(tables.plain(told))
