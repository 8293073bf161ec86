"""`deployer demo`: the trial on one machine."""

from __future__ import annotations

import click

from deployer.demo.play import run_demo


@click.command()
@click.option(
    "--once", is_flag=True, help="Exit after the first verdicts; 0 only if all are right."
)
@click.option("--json", "as_json", is_flag=True, help="Print the deployments as JSON.")
def demo(*, once: bool, as_json: bool) -> None:
    """Try it all on this machine: no GitHub account, no Docker, no database server."""
    raise SystemExit(run_demo(once=once, as_json=as_json))
