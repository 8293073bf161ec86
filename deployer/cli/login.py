"""The command by which a teacher gets in."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

import click

from deployer import app, config
from deployer.core.access import BEGINNING, LASTS, Purpose, fingerprint
from deployer.errors import SettingsError

ANYWHERE = ("0.0.0.0:", "[::]:")
"""How a BIND begins at which web listens on every address of this machine."""


@click.command()
@click.option("--token", is_flag=True, help="For programs: print a bearer token.")
@click.option("--revoke", is_flag=True, help="End all logins and tokens.")
@click.option("--revoke-links", is_flag=True, help="Close the links of all statuses so far.")
def login(*, token: bool, revoke: bool, revoke_links: bool) -> None:
    """Print a link that logs a browser in: valid for 10 minutes, once.

    The browser then sees all pages for 30 days. A program that sends the bearer token sees all
    until it is revoked. Neither is needed on this machine itself, nor through `ssh -L`.
    """
    if token + revoke + revoke_links > 1:
        raise click.UsageError("give one of --token, --revoke and --revoke-links")
    settings = config.load()
    link = not (token or revoke or revoke_links)
    if link and not settings.public_url and settings.bind.startswith("unix:"):
        raise SettingsError(["DEPLOYER_PUBLIC_URL is required: a link leads there"])
    journal, now = app.open_journal(settings), datetime.now(UTC)
    secret = BEGINNING + secrets.token_urlsafe(32)
    if revoke:
        click.echo(f"ended: {journal.revoke()} logins, links to log in, and tokens")
    elif revoke_links:
        journal.set_link_key(secrets.token_hex(32))
        click.echo("closed: the links of all statuses so far; those posted from now on work")
    elif token:
        journal.admit(fingerprint(Purpose.BEARER, secret), at=now, until=None)
        click.echo(secret)
        click.echo("send it as `Authorization: Bearer …`; shown this once", err=True)
    else:
        journal.admit(fingerprint(Purpose.LOGIN, secret), at=now, until=now + LASTS[Purpose.LOGIN])
        click.echo(f"{settings.public_url or _here(settings.bind)}/login?token={secret}")
        click.echo("open it within 10 minutes; it works once", err=True)


def _here(bind: str) -> str:
    """Return where a browser on this machine finds web."""
    own = f"127.0.0.1:{bind.rpartition(':')[2]}"
    return f"http://{own if bind.startswith(ANYWHERE) else bind}"
