"""`deployer logs`: what the processes wrote, in the order in which it happened."""

from __future__ import annotations

import heapq
import json
import os
import select
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import click
from structlog.types import Processor

from deployer import config
from deployer import logs as log_files
from deployer.errors import DeployerError, OperatorError

LOOK_EVERY_S = 0.3

Event: TypeAlias = dict[str, Any]


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written; Ctrl-C ends it.")
@click.option(
    "--deployment",
    type=click.IntRange(min=1),
    metavar="ID",
    help="Only what belongs to this deployment.",
)
def logs(*, follow: bool, deployment: int | None) -> None:
    """Show the log of web and worker."""
    folder = config.load().state_dir / log_files.FOLDER
    render = log_files.human(colours=sys.stdout.isatty())
    read: dict[int, int] = {}
    with suppress(KeyboardInterrupt):
        if not _listed(folder) and not follow:
            raise OperatorError(f"no log in {folder}: nothing has run on this state yet")
        if not _print(unread(folder, read), deployment, render) and deployment and not follow:
            raise DeployerError(
                f"the log in {folder} holds nothing of deployment {deployment};"
                " `deployer status` lists the last ones"
            )
        while follow and not _is_closed_within(LOOK_EVERY_S):
            _print(unread(folder, read), deployment, render)


def _is_closed_within(seconds: float) -> bool:
    """Wait; return True as soon as nobody reads standard output any more (`| head`)."""
    closed = select.poll()
    closed.register(sys.stdout, 0)  # POLLERR and POLLHUP are told unasked (man 2 poll)
    return bool(closed.poll(seconds * 1000))


def unread(folder: Path, read: dict[int, int]) -> Iterator[Event]:
    """Yield what was written since the last look, in the order in which it happened.

    `read`: how far each file is read, by its inode, which it keeps when it is rotated.

    Raises:
        OperatorError: a file can't be read.
    """
    files: dict[int, BinaryIO] = {}
    with ExitStack() as stack:
        for path in _listed(folder):
            try:
                file = stack.enter_context(path.open("rb"))
            except FileNotFoundError:  # rotated just now: the next look finds it
                continue
            except OSError as exc:
                raise OperatorError(f"the log {path} can't be read: {exc.strerror}") from exc
            files[os.fstat(file.fileno()).st_ino] = file  # one rotated just now is there twice
        events = (_unread_of(file, read) for file in files.values())
        yield from heapq.merge(*events, key=lambda event: str(event.get("timestamp", "")))


def _unread_of(file: BinaryIO, read: dict[int, int]) -> Iterator[Event]:
    there = os.fstat(file.fileno())
    start = read.get(there.st_ino, 0)
    file.seek(start if start <= there.st_size else 0)  # emptied, or a new file of this inode
    yield from whole_lines(file)
    read[there.st_ino] = file.tell()


def whole_lines(file: BinaryIO) -> Iterator[Event]:
    """Yield the events from here on; a line still being written is left for the next call.

    A line that is no JSON object is passed over.
    """
    while (line := file.readline()).endswith(b"\n"):
        with suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event
    file.seek(-len(line), os.SEEK_CUR)


def _listed(folder: Path) -> list[Path]:
    """Return the files that are there, rotated ones too; of a folder that is not, none."""
    try:
        return sorted(path for path in folder.iterdir() if path.match("*.jsonl*"))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise OperatorError(f"the log folder {folder} can't be read: {exc.strerror}") from exc


def _print(events: Iterator[Event], deployment: int | None, render: Processor) -> bool:
    """Return whether there was something to print."""
    printed = False
    for event in events:
        if deployment is None or event.get("deployment") == deployment:
            click.echo(str(render(None, "", event)))
            printed = True
    return printed
