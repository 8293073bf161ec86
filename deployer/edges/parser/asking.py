"""One parser kept warm, and one aside where it must be seen what a single file does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Lock
from typing import Protocol

from deployer.edges.parser.process import ParserProcess


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

    For several threads.
    """

    def __init__(self, where: Where) -> None:
        self._where = where
        self._process: ParserProcess | None = None
        self._runs_on = ""
        self._changing = Lock()
        self._aside = Lock()

    def ready(self) -> tuple[ParserProcess, str]:
        """Return a parser that runs on today's packages, and what those are.

        Raises:
            PreflightError: it does not get ready.
        """
        with self._changing:
            now = self._where.runs_on()
            if self._process and (now != self._runs_on or not self._process.alive):
                self._close()
            if self._process is None:
                self._process = self._where.start()
                self._runs_on = now
            return self._process, self._runs_on

    def discard(self, process: ParserProcess) -> None:
        """End a parser that does not answer, unless that was done."""
        with self._changing:
            if self._process is process:
                self._close()

    def close(self) -> None:
        """End the parser; `ready` starts a new one."""
        with self._changing:
            self._close()

    @contextmanager
    def alone(self) -> Iterator[WarmParser]:
        """Lend a new parser that nobody else asks, to one at a time; ended afterwards."""
        with self._aside, closing(WarmParser(self._where)) as parser:
            yield parser

    def _close(self) -> None:
        process, self._process = self._process, None
        if process:
            process.close()
