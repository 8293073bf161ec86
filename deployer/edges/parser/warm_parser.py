"""One parser kept warm, and one aside where it must be seen what a single file does.

It runs as a process of this user, beside the embedded Airflow, or in a container (`container`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Protocol

from deployer.edges.parser.parser_process import ParserProcess

START_TIMEOUT_S = 90.0  # a cold import of Airflow without bytecode took 10 s on two cores

PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
SETTINGS: Mapping[str, str] = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",  # in memory, never opened
    "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",  # nobody reads it; a tenth of a parse's time
    # Airflow itself has the class's own copy of the rules, and refuses what breaks them.
    "CLASS_RULES": "advice",
}
"""What Airflow is told in every parser, beside the class's own settings."""


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


class LocalParser:
    """Implements `Where` with a subprocess on this machine.

    Args:
        python: says which interpreter Airflow is installed for, whenever it is asked.
        script: `preflight.py`, of the deployer's own installation.
        env: added to `SETTINGS`: the class's Airflow settings, PYTHONPATH of its policy. The
            parser sees nothing of the deployer's own environment.
    """

    def __init__(
        self, python: Callable[[], Path], script: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._python = python
        self._script = script
        self._env = {**PATH, **SETTINGS, **(env or {})}

    def runs_on(self) -> str:
        # The interpreter itself is a link out of its environment: the directory tells.
        return str(self._python().parent.resolve())

    def start(self) -> ParserProcess:
        return ParserProcess(
            (str(self._python()), str(self._script)), self._env, start_timeout_s=START_TIMEOUT_S
        )
