"""`deployer logs`: what the processes wrote, in the order in which it happened."""

from __future__ import annotations

import heapq
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from structlog.types import Processor

from deployer import config
from deployer import logs as log_files
from deployer.errors import OperatorError

LOOK_EVERY_S = 0.3


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written; Ctrl-C ends it.")
@click.option("--deployment", type=int, metavar="ID", help="Only what belongs to this deployment.")
def logs(*, follow: bool, deployment: int | None) -> None:
    """Show the log of web and worker."""
    folder = config.load(os.environ).state_dir / log_files.FOLDER
    ends = {path: path.stat().st_size for path in sorted(folder.glob("*.jsonl*"))}
    if not ends and not follow:
        raise OperatorError(f"no log in {folder}: nothing has run on this state yet")
    render = log_files.human()
    so_far = (_events(path, 0, end) for path, end in ends.items())
    for event in heapq.merge(*so_far, key=lambda e: str(e.get("timestamp", ""))):
        _print(event, deployment, render)
    while follow:
        for path in sorted(folder.glob("*.jsonl")):
            size = path.stat().st_size
            start = ends.get(path, 0)
            # A file that shrank was rotated: what it holds now is all new.
            for event in _events(path, start if start <= size else 0, size):
                _print(event, deployment, render)
            ends[path] = size
        time.sleep(LOOK_EVERY_S)


def _events(path: Path, start: int, end: int) -> Iterator[dict[str, Any]]:
    """Yield the events between two places of a file; a line that is no JSON is passed over."""
    with path.open("rb") as file:
        file.seek(start)
        while file.tell() < end and (line := file.readline()):
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict):
                yield event


def _print(event: dict[str, Any], deployment: int | None, render: Processor) -> None:
    if deployment is None or event.get("deployment") == deployment:
        click.echo(str(render(None, "", dict(event))))
