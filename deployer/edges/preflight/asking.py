"""One parser kept warm, and how it is found out which file took it down."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from deployer.edges.preflight.process import Answer, End, Limits, ParserGone, ParserProcess

SILENCE_MARGIN_S = 15.0  # more than a warden's own margin
BUDGET_S = 60.0
BUDGET_PER_FILE_S = 5.0


class Where(Protocol):
    """Where a parser runs, and on which packages."""

    def runs_on(self) -> str:
        """Return what a parser that is started now would run on; cheap enough for each push.

        Raises:
            PreflightError: it can't be told.
        """

    def start(self) -> ParserProcess:
        """Return a new parser that is ready.

        Raises:
            PreflightError: it does not get ready.
        """


class WarmParser:
    """A parser, started when it is first asked, and anew when it died or its packages moved.

    Args:
        where: where it runs.
        limits: of one file.
        parallel: files parsed at a time.
    """

    def __init__(self, where: Where, limits: Limits, *, parallel: int) -> None:
        self._where = where
        self._limits = limits
        self._parallel = parallel
        self._process: ParserProcess | None = None
        self._runs_on = ""

    def ready(self) -> ParserProcess:
        """Return a parser that runs on today's packages.

        Raises:
            PreflightError: it does not get ready.
        """
        now = self._where.runs_on()
        if self._process and (now != self._runs_on or not self._process.alive):
            self.close()
        if self._process is None:
            self._process = self._where.start()
            self._runs_on = now
        return self._process

    def close(self) -> None:
        """End the parser; the next question starts a new one."""
        process, self._process = self._process, None
        if process:
            process.close()

    def ask(self, root: Path, paths: Sequence[str]) -> dict[str, Answer]:
        """Return how the parse of each of `paths`, distinct files under `root`, ended.

        Raises:
            PreflightError: the parser itself does not work.
        """
        until = time.monotonic() + BUDGET_S + BUDGET_PER_FILE_S * len(paths)
        found: dict[str, Answer] = {}
        try:
            self._put(root, paths, found, until=until, parallel=self._parallel)
        except ParserGone:
            # Somebody took it down. One at a time shows who.
            for path in paths:
                if path not in found:
                    self._put_one(root, path, found, until=until)
        for path in [path for path in found if found[path].end is End.SETUP]:
            # No parser could be made for it. If it is so in a new one that has seen no other
            # file, then no file is to blame (a neighbour may have forked up to the bound).
            self.close()
            self._put_one(root, path, found, until=until)
            if found[path].end is End.SETUP:
                break
        return {path: found.get(path, Answer(path, End.UNEXAMINED)) for path in paths}

    def _put_one(self, root: Path, path: str, found: dict[str, Answer], *, until: float) -> None:
        try:
            self._put(root, (path,), found, until=until, parallel=1)
        except ParserGone:
            # A new one gets ready, or this raises PreflightError: so it was the file.
            self.ready()
            found[path] = Answer(path, End.WARDEN)

    def _put(
        self,
        root: Path,
        paths: Sequence[str],
        found: dict[str, Answer],
        *,
        until: float,
        parallel: int,
    ) -> None:
        """Put the answers into `found` as they come, until all are there or time is up."""
        silence_s = self._limits.wall_s + SILENCE_MARGIN_S
        parser = self.ready()
        try:
            for answer in parser.parse(
                root, paths, self._limits, parallel=parallel, silence_s=silence_s
            ):
                found[answer.path] = answer
                if time.monotonic() > until:
                    self.close()  # it is in the middle of a request
                    return
        except ParserGone:
            self.close()
            raise
