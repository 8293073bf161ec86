"""The command by which a teacher gets in."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime

import click

from deployer import app, config
from deployer.core.access import BEGINNING, LASTS, Secret, fingerprint
from deployer.errors import SettingsError


@click.command()
@click.option("--token", "what", flag_value="token", help="For programs: print a bearer token.")
@click.option("--revoke", "what", flag_value="revoke", help="End all logins and tokens.")
@click.option(
    "--revoke-links", "what", flag_value="links", help="Close the links of all statuses so far."
)
def login(what: str | None) -> None:
    """Print a link that logs a browser in: valid for 10 minutes, once.

    The browser then sees all pages for 30 days. The bearer token opens JSON and /metrics until it
    is revoked. Neither is needed on this machine itself, nor through `ssh -L`.
    """
    settings = config.load(os.environ)
    base = settings.public_url or f"http://{settings.bind}"
    if what is None and base.startswith("http://unix:"):
        raise SettingsError(["DEPLOYER_PUBLIC_URL is required: a link leads there"])
    journal, now = app.open_journal(settings), datetime.now(UTC)
    secret = BEGINNING + secrets.token_urlsafe(32)
    match what:
        case "revoke":
            click.echo(f"ended: {journal.revoke()} logins, links to log in, and tokens")
        case "links":
            journal.set_link_key(secrets.token_hex(32))
            click.echo("closed: the links of all statuses so far; those posted from now on work")
        case "token":
            journal.admit(fingerprint(Secret.BEARER, secret), at=now, until=None)
            click.echo(secret)
            click.echo("send it as `Authorization: Bearer …`; shown this once", err=True)
        case _:
            until = now + LASTS[Secret.LOGIN]
            journal.admit(fingerprint(Secret.LOGIN, secret), at=now, until=until)
            click.echo(f"{base}/login?token={secret}")
            click.echo("open it within 10 minutes; it works once", err=True)
