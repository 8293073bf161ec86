"""Commands that look whether all is well: `check` for a student, `doctor` for the teacher."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
from rich import box
from rich.table import Table
from rich.text import Text

from deployer import app, config
from deployer.cli import tables
from deployer.core.doctor.lines import Finding, Mark, as_json, failed, summary
from deployer.core.model import REQUIREMENTS, Verdict
from deployer.core.reporting.counts import counted
from deployer.core.reporting.render import verdict_as_json
from deployer.core.reporting.status import of_file
from deployer.core.verdicts.mendings import mending
from deployer.errors import WrongPlace
from deployer.logs import printable

STYLES = {Mark.PASSED: "green", Mark.FAILED: "bold red", Mark.SKIPPED: "dim"}


@click.command()
@click.argument("places", metavar="[PATH]...", nargs=-1)
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def check(places: tuple[str, ...], *, in_json: bool) -> None:
    """Parse DAG files as a push would, before you push.

    PATH is a file or a folder of your clone of the class repository; without one, all of
    dags/ is parsed. What depends on a given file is parsed with it. Needs no settings, no
    network and no running Airflow. Exit status 1 if a file fails, 3 if there is no Airflow.
    """
    try:
        found = app.check(Path.cwd(), places, _tell, os.environ)
    except WrongPlace as exc:
        raise click.UsageError(str(exc)) from exc
    for place in found.unseen:
        _tell(f"{place} holds no DAG file that Airflow looks at; what uses it is checked")
    if in_json:
        files = [verdict_as_json(verdict) for verdict in found.verdicts]
        click.echo(json.dumps({"files": files}, indent=2))
    else:
        out = tables.console()
        for verdict in found.verdicts:
            words = of_file(verdict)
            if verdict.path == REQUIREMENTS and verdict.good:
                words = (
                    f"{REQUIREMENTS}  installs: {', '.join(found.packages or ('nothing more',))}"
                )
            out.print(_shown(verdict, words), soft_wrap=True)
        out.print(_sum(found.verdicts))
    raise SystemExit(0 if all(verdict.good for verdict in found.verdicts) else 1)


def _tell(words: str) -> None:
    click.echo(f"deployer: {printable(words)}", err=True)


def _shown(verdict: Verdict, words: str) -> Text:
    """Return one line as the status on GitHub would say it, and below it what to do."""
    mark, style = ("✓", "green") if verdict.good else ("✗", "bold red")
    if verdict.good and verdict.error:
        mark, style = "?", "yellow"
    line = Text.assemble((mark, style), " ", printable(words))
    if way := mending(verdict):
        line.append_text(Text.assemble("\n  ", ("->", "bold"), " ", way))
    for sentence in verdict.warnings:
        line.append_text(Text.assemble("\n  ", ("!", "yellow"), " ", tables.plain(sentence)))
    return line


def _sum(verdicts: Sequence[Verdict]) -> str:
    unknown = sum(verdict.good and verdict.error is not None for verdict in verdicts)
    bad = sum(not verdict.good for verdict in verdicts)
    good = len(verdicts) - unknown - bad
    some = f", {unknown} not looked at to the end" if unknown else ""
    return f"{counted(verdicts, 'file')}: {good} good{some}, {bad} to be mended"


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
