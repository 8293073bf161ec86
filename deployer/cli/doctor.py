"""`deployer doctor`: for the teacher, whether all is there that a deployment needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click
from rich.table import Table
from rich.text import Text

from deployer import app, config
from deployer.cli import EXIT_FAILED, json_option, print_json, printing
from deployer.core.doctor import Finding, Mark, as_json, failed, summary
from deployer.doctor import LINES

STYLES = {Mark.PASSED: "green", Mark.FAILED: "bold red", Mark.SKIPPED: "dim"}


@click.command()
@json_option
@click.option("--repair", is_flag=True, help="Mend mirror, journal, releases and leftovers.")
@click.option("--yes", is_flag=True, help="With --repair: don't ask before anything is mended.")
def doctor(*, in_json: bool, repair: bool, yes: bool) -> None:
    """Check all that a deployment needs, and say what to mend.

    Changes nothing, and needs neither web nor worker to run. Exit status 1 if a line failed.

    With --repair: stop the worker first. Each repair is asked for before it is done; without a
    terminal and --yes it only says what it would do. Exit status 1 if something is left.
    """
    settings = config.load()
    if yes and not repair:
        raise click.UsageError("--yes goes with --repair")
    if in_json and repair:
        raise click.UsageError("--json goes without --repair, which asks and tells in words")
    if not repair:
        findings = app.checkup(settings, LINES)
        show(findings, in_json=in_json)
        raise SystemExit(EXIT_FAILED if failed(findings) else 0)

    def agreed(wrong: str) -> bool:
        click.echo(wrong)
        return yes or (sys.stdin.isatty() and click.confirm("Do that?"))

    well = app.repair(settings, agreed=agreed, tell=click.echo)
    click.echo("all is well" if well else "something is left: see above")
    raise SystemExit(0 if well else EXIT_FAILED)


def show(findings: Sequence[Finding], *, in_json: bool = False) -> None:
    """Print what was found."""
    if in_json:
        print_json(as_json(findings))
        return
    if sys.stdout.isatty():
        printing.console().print(_table(findings))
    else:
        click.echo("\n".join(map(_line, findings)))
    click.echo(summary(findings))


def _table(findings: Sequence[Finding]) -> Table:
    """Return what a person reads: what to do stands below what is wrong."""
    table = printing.empty("", "check", "found")
    for finding in findings:
        found = printing.plain(finding.detail)
        if finding.remedy:
            found = Text.assemble(found, ("\n-> ", "bold"), printing.plain(finding.remedy))
        state = Text(str(finding.state), style=STYLES[finding.state])
        table.add_row(state, Text(finding.name), found)
    return table


def _line(finding: Finding) -> str:
    """Return what `grep` and `cut` read: all of it on one line, tabs between."""
    texts = [finding.state, finding.name, finding.detail]
    if finding.remedy:
        texts.append(f"-> {finding.remedy}")
    return "\t".join(printing.plain(text).plain for text in texts)
