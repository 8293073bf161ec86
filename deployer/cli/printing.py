"""What commands print with, deployments as tables: colours on a terminal, plain text in a pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from deployer.core.model import (
    Deployment,
    Outcome,
    State,
    StatusState,
    Verdict,
    folder_of,
)
from deployer.core.reporting.story import Event
from deployer.masking import printable

STYLES: dict[str, str] = {
    State.SUCCEEDED: "green",
    State.BROKEN: "yellow",
    State.FAILED: "red",
    State.ERROR: "red",
    State.RUNNING: "cyan",
    StatusState.SUCCESS: "green",
    StatusState.FAILURE: "red",
    Outcome.PARSED: "green",
    Outcome.BROKEN: "red",
    Outcome.HELD: "red",
    Outcome.TIMEOUT: "red",
    "ok": "green",
}
PIPE_WIDTH = 100_000
"""Columns when nobody's terminal limits them: a line is not broken for `grep`."""


def console() -> Console:
    """Return where tables go: standard output as it is now.

    What is printed is never markup: names and messages are students'.
    """
    terminal = sys.stdout.isatty()
    # Bold is no colour to rich, but escape sequences are not wanted: https://no-color.org
    return Console(
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if terminal else PIPE_WIDTH,
        force_terminal=terminal,
        highlight=False,
        markup=False,
        emoji=False,
    )


def plain(text: str) -> Text:
    """Return what others wrote, on one line and without a terminal's escape sequences."""
    return Text(" ".join(printable(text).split()))


def coloured(word: str) -> Text:
    """Return a state, outcome or step in its colour."""
    return Text(word, style=STYLES.get(word, ""))


def show(deployment: Deployment) -> None:
    """Print one deployment, whole."""
    out = console()
    head = Text.assemble(
        f"deployment {deployment.id}  ",
        coloured(str(deployment.state)),
        f"  {deployment.sha[:7]}  {printable(deployment.ref.removeprefix('refs/heads/'))}"
        f"  by {deployment.trigger}  {_took(deployment.queued_at, deployment.finished_at)}",
    )
    out.print(head)
    for line in filter(None, [*under_way(deployment), deployment.reason]):
        out.print(plain(line))
    for table in (_steps(deployment), _verdicts(deployment.verdicts), _statuses(deployment)):
        if table.rows:
            out.print(table)


def under_way(deployment: Deployment) -> Iterator[str]:
    """Yield at which long step a deployment is, and what it waits for."""
    if running := deployment.running:
        words = f": {running.words}" if running.words else ""
        yield f"{running.step} since {running.since:%H:%M:%S} UTC{words}"
    if deployment.waits_for:
        yield f"waits for {deployment.waits_for}"


def listing(deployments: Sequence[Deployment]) -> Table:
    """Return deployments, a line each."""
    table = empty("id", "commit", "state", "by", "queued (UTC)", "took", "folders")
    for d in deployments:
        folders = sorted({f for v in d.verdicts if (f := folder_of(v.path))})
        table.add_row(
            str(d.id),
            d.sha[:7],
            coloured(str(d.state)),
            str(d.trigger),
            f"{d.queued_at:%Y-%m-%d %H:%M:%S}",
            _took(d.queued_at, d.finished_at),
            plain(" ".join(folders)),
        )
    return table


def events(told: Sequence[Event]) -> Table:
    """Return what became of a commit, a line each; `after`: since the first."""
    table = empty("time (UTC)", "after", "deployment", "what")
    for event in told:
        table.add_row(
            f"{event.at:%Y-%m-%d %H:%M:%S}",
            f"{(event.at - told[0].at).total_seconds():.2f} s",
            str(event.deployment or ""),
            plain(event.words),
        )
    return table


def _steps(deployment: Deployment) -> Table:
    table = empty("step", "", "seconds", "detail")
    for step in deployment.steps:
        seconds = (step.finished_at - step.started_at).total_seconds()
        table.add_row(str(step.name), coloured(step.state), f"{seconds:.2f}", plain(step.detail))
    return table


def progress(deployment: Deployment) -> Iterator[str]:
    """Yield a line for each step that has ended, and for what is under way."""
    for step in deployment.steps:
        seconds = (step.finished_at - step.started_at).total_seconds()
        detail = f": {step.detail}" if step.detail else ""
        yield f"{step.name} {step.state} after {seconds:.1f} s{detail}"
    yield from under_way(deployment)


def _verdicts(verdicts: Sequence[Verdict]) -> Table:
    table = empty("file", "outcome", "proof", "DAGs, or what is wrong")
    for v in verdicts:
        what = ", ".join(v.dag_ids)
        if v.error:
            where = f"line {v.error.line}: " if v.error.line else ""
            what = f"{where}{v.error.type}: {v.error.message}"
        table.add_row(plain(v.path), coloured(str(v.outcome)), str(v.proof), plain(what))
        for warning in v.warnings:
            table.add_row("", "", "", plain(warning))
    return table


def _statuses(deployment: Deployment) -> Table:
    table = empty("commit", "context", "state", "description", "posted")
    for record in deployment.statuses:
        status = record.status
        posted = "yes" if record.posted_at else record.error or "owed"
        table.add_row(
            status.sha[:7],
            plain(status.context),
            coloured(str(status.state)),
            plain(status.description),
            plain(posted),
        )
    return table


def empty(*columns: str) -> Table:
    """Return a table without rows."""
    style = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    return Table(*(Column(name, overflow="fold") for name in columns), box=style, pad_edge=False)


def _took(start: datetime, end: datetime | None) -> str:
    return f"{(end - start).total_seconds():.1f} s" if end else "…"
