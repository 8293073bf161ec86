"""`deployer backup` and `deployer restore`: what can't be made anew, in one file, and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from deployer import app, config
from deployer.cli import named, wrong_use
from deployer.core.backup import Manifest


@click.command()
@click.argument("place", metavar="FILE", type=named)
@click.option(
    "--keep",
    metavar="N",
    type=click.IntRange(min=1),
    help="FILE is a directory: of the backups in it leave the newest N.",
)
def backup(place: str, keep: int | None) -> None:
    """Write journal, settings, secrets and databases to FILE, while everything runs.

    FILE holds every secret of the class; nobody but you may read it. If it is a directory, the
    backup gets a name of its own in it.
    """
    settings = config.load()
    with wrong_use():
        made = app.backup(settings, Path(place), keep=keep)
    click.echo(f"wrote {made.file} ({made.size / 1e6:.1f} MB): {_parts(made.manifest)}")
    if settings.services == "local":
        click.echo("left out: the trial's Airflow (DEPLOYER_SERVICES=local), which is made anew")
    for path in made.removed:
        click.echo(f"removed {path}")


@click.command()
@click.argument("file", type=named)
@click.option("--yes", is_flag=True, help="Don't ask before anything is replaced.")
def restore(file: str, *, yes: bool) -> None:
    """Put a backup in the place of what is there, and keep that aside.

    Stop the worker first. Airflow is stopped. All of FILE is checked before anything is changed.
    """

    def agreed(manifest: Manifest, replaced: Sequence[str]) -> None:
        click.echo(f"{file}: {_parts(manifest)}, of {manifest.made_at}")
        click.echo("will be replaced, and kept aside: " + "; ".join(replaced))
        if not yes:
            click.confirm("Go on?", abort=True)

    place = Path(file)
    if place.is_dir() or not place.exists():
        raise click.UsageError(f"{file} is no file: name one that `deployer backup` wrote")
    settings = config.load()
    app.restore(settings, place, agreed=agreed, tell=click.echo)
    if settings.services == "compose":
        click.echo(
            f"Next: docker compose --project-name {settings.compose_project}"
            f" --file {settings.compose_file} up --detach --build --force-recreate --wait"
        )
    click.echo(
        "Then restart web and start the worker: they take the settings of the backup, and it judges"
        " all that is live anew, in a few seconds."
    )


def _parts(manifest: Manifest) -> str:
    """Return what is in a backup, for a line."""
    settings = "settings" if len(manifest.files) > len(manifest.databases) + 1 else ""
    return ", ".join(
        ["journal", *filter(None, [settings]), *(f"database of {s}" for s in manifest.databases)]
    )
