"""`deployer freeze` and `deployer unfreeze`: deploy nothing for now, and again."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

from deployer import app, config
from deployer.cli import me, printing

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def ahead(value: str) -> datetime:
    """Accept a time that is to come; without a zone it is one of this machine's clock."""
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


def reason(value: str) -> str:
    """Accept a text that says something, on one line: it stands in each commit's status."""
    text = " ".join(value.split())
    if not text:
        raise click.BadParameter("say why: each student reads it on the commit")
    return text


@click.command()
@click.option(
    "--why", metavar="TEXT", required=True, type=reason, help="The reason; each commit shows it."
)
@click.option("--until", metavar="TIME", type=ahead, help="18:00, 2h, 2026-03-01 18:00.")
def freeze(why: str, until: datetime | None) -> None:
    """Deploy nothing from now on: what is live stays, and what is pushed waits.

    A deployment under way is finished. `deployer unfreeze`, or TIME, deploys the branch's tip. A
    time without a zone is one of this machine's clock. Frozen already: WHY and TIME are replaced.
    """
    settings = config.load()
    made = app.open_journal(settings).freeze(why, by=me(), until=until)
    app.doorbell(settings).ring()
    printing.console().print(printing.plain(f"frozen: {made.words}; `deployer unfreeze` ends it"))


@click.command()
def unfreeze() -> None:
    """Deploy again: first of all the branch's tip."""
    settings = config.load()
    ended = app.open_journal(settings).unfreeze(by=me())
    app.doorbell(settings).ring()
    if ended is None:
        click.echo("nothing was frozen")
        return
    told = f"no longer frozen ({ended.words}); the worker deploys the tip, see `deployer status`"
    printing.console().print(printing.plain(told))
