"""`deployer logs`: what the processes wrote, in the order in which it happened."""

from __future__ import annotations

import heapq
import json
import os
import sys
import time
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
    with ExitStack() as stack, suppress(KeyboardInterrupt):
        tails = _new_tails(folder, {}, stack)
        rotated = _rotated(folder, tails, stack)
        if not tails and not rotated and not follow:
            raise OperatorError(f"no log in {folder}: nothing has run on this state yet")
        so_far = [*(whole_lines(file) for file in rotated), *(t.read() for t in tails.values())]
        if not _print(so_far, deployment, render) and deployment and not follow:
            raise DeployerError(
                f"the log in {folder} holds nothing of deployment {deployment};"
                " `deployer status` lists the last ones"
            )
        while follow:
            time.sleep(LOOK_EVERY_S)
            tails |= _new_tails(folder, tails, stack)
            _print([tail.read() for tail in tails.values()], deployment, render)


class Tail:
    """A process's log file, read on as it grows; when it is rotated, its successor.

    Raises:
        FileNotFoundError, OperatorError
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = _open(path)

    def read(self) -> Iterator[Event]:
        """Yield what was written since the last call."""
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # somebody emptied it
        yield from whole_lines(self._file)
        while successor := self._successor():
            # Nobody writes to the old one any more: this is all of what it still holds.
            yield from whole_lines(self._file)
            self._file.close()
            self._file = successor
            yield from whole_lines(self._file)

    def is_at(self, file: BinaryIO) -> bool:
        return os.path.samestat(os.fstat(self._file.fileno()), os.fstat(file.fileno()))

    def close(self) -> None:
        self._file.close()

    def _successor(self) -> BinaryIO | None:
        try:
            file = _open(self._path)
        except FileNotFoundError:  # renamed, and not made anew yet
            return None
        if self.is_at(file):
            file.close()
            return None
        return file


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


def _new_tails(folder: Path, known: dict[Path, Tail], stack: ExitStack) -> dict[Path, Tail]:
    found = {}
    for path in _listed(folder, "*.jsonl"):
        if path not in known:
            with suppress(FileNotFoundError):
                found[path] = Tail(path)
                stack.callback(found[path].close)
    return found


def _rotated(folder: Path, tails: dict[Path, Tail], stack: ExitStack) -> list[BinaryIO]:
    found = []
    for path in _listed(folder, "*.jsonl.*"):
        with suppress(FileNotFoundError):
            file = stack.enter_context(_open(path))
            # Rotated a moment ago: its tail reads it.
            if not any(tail.is_at(file) for tail in tails.values()):
                found.append(file)
    return found


def _listed(folder: Path, pattern: str) -> list[Path]:
    """Return the files that are there; of a folder that is not, none."""
    try:
        return sorted(path for path in folder.iterdir() if path.match(pattern))
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise OperatorError(f"the log folder {folder} can't be read: {exc.strerror}") from exc


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise OperatorError(f"the log {path} can't be read: {exc.strerror}") from exc


def _print(sources: list[Iterator[Event]], deployment: int | None, render: Processor) -> bool:
    """Return whether there was something to print."""
    printed = False
    for event in heapq.merge(*sources, key=lambda event: str(event.get("timestamp", ""))):
        if deployment is None or event.get("deployment") == deployment:
            click.echo(str(render(None, "", event)))
            printed = True
    return printed
