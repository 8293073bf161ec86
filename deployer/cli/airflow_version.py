"""`deployer airflow-version`: another version of Airflow, or all as it was."""

from __future__ import annotations

import click

from deployer import config
from deployer.app.airflow_version import install
from deployer.core.airflow_version import VERSION


def numbered(value: str) -> str:
    if not VERSION.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no version of Airflow: give one as 3.3.2")
    return value


@click.command()
@click.argument("version", metavar="X", type=numbered)
def airflow_version(version: str) -> None:
    """Have the class run on Airflow X, proven with its packages; else leave all as it is.

    Builds the image first, waits until no task runs, keeps Airflow's database, migrates it, and
    goes back if Airflow is not healthy then. Nothing is deployed meanwhile. If it was killed,
    run it again: it goes back first.
    """
    settings = config.load()
    if install(settings, version, tell=click.echo):
        click.echo(f"Airflow {version} runs; all DAG files are judged anew, see `deployer status`")
    else:
        click.echo(f"Airflow {version} runs already")
