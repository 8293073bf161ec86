"""`deployer doctor`: for the teacher, whether all is there that a deployment needs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click
from rich import box
from rich.table import Table
from rich.text import Text

from deployer import app, config
from deployer.cli import tables
from deployer.core.doctor.lines import Finding, Mark, as_json, failed, summary

STYLES = {Mark.PASSED: "green", Mark.FAILED: "bold red", Mark.SKIPPED: "dim"}


@click.command()
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def doctor(*, in_json: bool) -> None:
    """Check all that a deployment needs, and say what to mend.

    Changes nothing, and needs neither web nor worker to run. Exit status 1 if a line failed.
    """
    report(app.checkup(config.load(os.environ)), in_json=in_json)


def report(findings: Sequence[Finding], *, in_json: bool = False) -> NoReturn:
    """Print what was found, and exit."""
    if in_json:
        click.echo(json.dumps(as_json(findings), indent=2))
    else:
        if sys.stdout.isatty():
            tables.console().print(_table(findings))
        else:
            click.echo("\n".join(map(_line, findings)))
        click.echo(summary(findings))
    raise SystemExit(1 if failed(findings) else 0)


def _table(findings: Sequence[Finding]) -> Table:
    """Return what a person reads: what to do stands below what is wrong."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("", "check", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        found = tables.plain(finding.detail)
        if finding.remedy:
            found = Text.assemble(found, ("\n-> ", "bold"), tables.plain(finding.remedy))
        state = Text(str(finding.state), style=STYLES[finding.state])
        table.add_row(state, Text(finding.name), found)
    return table


def _line(finding: Finding) -> str:
    """Return what `grep` and `cut` read: all of it on one line, tabs between."""
    texts = [finding.state, finding.name, finding.detail]
    if finding.remedy:
        texts.append(f"-> {finding.remedy}")
    return "\t".join(tables.plain(text).plain for text in texts)
