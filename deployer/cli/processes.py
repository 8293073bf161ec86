"""Commands that run a process until it is stopped."""

from __future__ import annotations

import os

import click

from deployer import config


@click.command()
def web() -> None:
    """Receive GitHub's deliveries; serve health, JSON and pages."""
    from deployer import app

    app.run_web(config.load(os.environ, needs=("webhook_secret",)))


@click.command()
def worker() -> None:
    """Deploy what was pushed: one deployment at a time."""
    from deployer import app

    app.run_worker(config.load(os.environ))


@click.command()
@click.option(
    "--once", is_flag=True, help="Exit after the first verdicts; 0 only if all are right."
)
@click.option("--json", "as_json", is_flag=True, help="Print the deployments as JSON.")
def demo(*, once: bool, as_json: bool) -> None:
    """Try it all on this machine: no GitHub account, no Docker, no database server."""
    from deployer.demo.run import run_demo

    raise SystemExit(run_demo(once=once, as_json=as_json))
