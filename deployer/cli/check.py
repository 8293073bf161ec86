"""`deployer check`: for a student, before the push."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.text import Text

from deployer import app
from deployer.cli import json_option, named, print_json, printing, tell, wrong_use
from deployer.core.counts import counted
from deployer.core.model import REQUIREMENTS, Verdict
from deployer.core.precheck import remedy
from deployer.core.reporting.commit_status import of_file
from deployer.core.reporting.render import verdict_as_json
from deployer.masking import printable


@click.command()
@click.argument("places", metavar="[PATH]...", nargs=-1, type=named)
@json_option
def check(places: tuple[str, ...], *, in_json: bool) -> None:
    """Parse DAG files as a push would, before you push.

    PATH is a file or a folder of your clone of the class repository; without one, all of
    dags/ is parsed. What depends on a given file is parsed with it. requirements.txt as PATH is
    installed for a trial. Needs no settings and no running Airflow; where none is installed, one
    is, once. That and the trial need the network and uv. Exit status 1 if a file fails, 3 if there
    is no Airflow that could parse.
    """
    with wrong_use():
        found = app.check(Path.cwd(), places, tell)
    for place in found.unseen:
        tell(f"{place} holds no DAG file that Airflow looks at; what uses it is checked")
    if in_json:
        print_json({"files": [verdict_as_json(verdict) for verdict in found.verdicts]})
    else:
        out = printing.console()
        for verdict in found.verdicts:
            words = of_file(verdict)
            if verdict.path == REQUIREMENTS and verdict.good:
                words = (
                    f"{REQUIREMENTS}  installs: {', '.join(found.packages or ('nothing more',))}"
                )
            out.print(_shown(verdict, words), soft_wrap=True)
        out.print(_sum(found.verdicts))
    raise SystemExit(0 if all(verdict.good for verdict in found.verdicts) else 1)


def _shown(verdict: Verdict, words: str) -> Text:
    """Return one line as the status on GitHub would say it, and below it what to do."""
    mark, style = ("✓", "green") if verdict.good else ("✗", "bold red")
    if verdict.good and verdict.error:
        mark, style = "?", "yellow"
    line = Text.assemble((mark, style), " ", printable(words))
    if way := remedy(verdict):
        line.append_text(Text.assemble("\n  ", ("->", "bold"), " ", way))
    for sentence in verdict.warnings:
        line.append_text(Text.assemble("\n  ", ("!", "yellow"), " ", printing.plain(sentence)))
    return line


def _sum(verdicts: Sequence[Verdict]) -> str:
    unknown = sum(verdict.good and verdict.error is not None for verdict in verdicts)
    bad = sum(not verdict.good for verdict in verdicts)
    good = len(verdicts) - unknown - bad
    some = f", {unknown} not looked at to the end" if unknown else ""
    return f"{counted(verdicts, 'file')}: {good} good{some}, {bad} to be mended"
