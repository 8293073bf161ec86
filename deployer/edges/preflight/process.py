"""Talk to the isolated parser: JSON lines over a child process's standard streams.

The protocol is described in `include/airflow/preflight.py`, which runs at the other end.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from deployer.errors import PreflightError

PROTOCOL = 3
STOP_S = 5.0
MAX_LINE_BYTES = 16 << 20
MORE_PROCESSES = 64
LAST_LINES = 3


class ParserGone(Exception):
    """The parser died, fell silent or talks nonsense in the middle of a request."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may take.

    Attributes:
        wall_s: as Airflow's `[dag_processor] dag_file_processor_timeout`.
        memory_mb: MiB on top of what a bare Airflow takes.
    """

    wall_s: float = 25.0
    memory_mb: int = 1024


class End(StrEnum):
    """How the parse of one file ended, as the protocol says; the last two are said here."""

    REPORTED = "reported"
    UNSTORABLE = "unstorable"
    RAISED = "raised"
    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    LEFT = "left"
    WARDEN = "warden"
    SETUP = "setup"
    PROCESSES = "processes"
    UNEXAMINED = "unexamined"


@dataclass(frozen=True, slots=True)
class Answer:
    """How the parse of one file ended; the fields are those of the protocol."""

    path: str
    end: End
    code: int = 0
    what: str = ""
    dag_ids: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    advice: tuple[str, ...] = ()


Child = subprocess.Popen[bytes]


def terminate(child: Child) -> None:
    """End a parser that is this machine's own process.

    It alone: its wardens are told by the kernel when it dies, and clean up.
    """
    child.terminate()


class ParserProcess:
    """A warm parser, from its start to its end.

    Args:
        command: program and arguments.
        env: its whole environment, but for the directories made here.
        start_timeout_s: bound of importing Airflow, and of what must be done before.
        more_processes: how many more processes than now its user may have during a parse;
            None: something else bounds them.
        end: called once its standard input was closed, to see that it ends.

    Raises:
        PreflightError: it did not get ready.
    """

    def __init__(
        self,
        command: Sequence[str],
        env: Mapping[str, str],
        *,
        start_timeout_s: float,
        more_processes: int | None = MORE_PROCESSES,
        end: Callable[[Child], None] = terminate,
    ) -> None:
        self._more_processes = more_processes
        self._end = end
        # Never the same twice: a file could leave a configuration behind for the next one.
        self._home = Path(tempfile.mkdtemp(prefix="preflight-"))
        self._unread = b""
        self._log = (self._home / "parser.log").open("w+b")
        own = dict.fromkeys(("HOME", "TMPDIR", "AIRFLOW_HOME"), str(self._home))
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                cwd=self._home,
                env={**env, **own},
                start_new_session=True,  # a Ctrl-C on the terminal is not for it
                bufsize=0,
            )
        except OSError as exc:
            self._clean_up()
            raise PreflightError(f"the isolated parser can't be started: {exc}") from exc
        try:
            ready = self._ready(time.monotonic() + start_timeout_s)
        except ParserGone as exc:
            said = self._last_words()
            self.close()
            raise PreflightError(f"the isolated parser did not start: {exc}: {said}") from exc
        if ready.get("protocol") != PROTOCOL:
            self.close()
            raise PreflightError(
                "the isolated parser is that of another version of the deployer: "
                "build the class's image anew with this one's files"
            )
        self.import_s = float(ready.get("import_s", 0.0))

    def parse(
        self, root: Path, paths: Sequence[str], limits: Limits, *, parallel: int, silence_s: float
    ) -> Iterator[Answer]:
        """Yield one answer a file as they end.

        Raises:
            ParserGone: it died, or nothing came for `silence_s`.
        """
        request = {
            "root": str(root),
            "paths": list(paths),
            "parallel": parallel,
            "limits": {
                "wall_s": limits.wall_s,
                "memory_bytes": limits.memory_mb << 20,
                "more_processes": self._more_processes,
            },
        }
        self._write(json.dumps(request).encode() + b"\n")
        while not (line := _parsed(self._line(time.monotonic() + silence_s))).get("done"):
            yield _answer(line)

    def close(self) -> None:
        """End it and whatever it started; safe to call again."""
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        self._end(process)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
        self._clean_up()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def _clean_up(self) -> None:
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def _last_words(self) -> str:
        text = (self._home / "parser.log").read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "; ".join(lines[-LAST_LINES:]) or "it said nothing"

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101  # a pipe was asked for
        try:
            self._process.stdin.write(data)
        except OSError as exc:
            raise ParserGone("it does not take requests") from exc

    def _ready(self, until: float) -> dict[str, Any]:
        """Return the protocol's first line; an image's entrypoint may print before it."""
        while True:
            line = self._line(until)
            with contextlib.suppress(ParserGone):
                said = _parsed(line)
                if said.get("ready"):
                    return said

    def _line(self, until: float) -> bytes:
        assert self._process.stdout is not None  # noqa: S101  # a pipe was asked for
        stdout = self._process.stdout.fileno()
        while b"\n" not in self._unread:
            readable, _, _ = select.select([stdout], [], [], max(until - time.monotonic(), 0))
            if not readable:
                raise ParserGone("it fell silent")
            data = os.read(stdout, 1 << 16)
            self._unread += data
            if not data or len(self._unread) > MAX_LINE_BYTES:
                raise ParserGone("it died" if not data else "it does not end its line")
        line, _, self._unread = self._unread.partition(b"\n")
        return line


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as exc:
        raise ParserGone("it does not speak JSON") from exc
    if not isinstance(value, dict):
        raise ParserGone("it does not keep to the protocol")
    return value


def _answer(line: Mapping[str, Any]) -> Answer:
    try:
        return Answer(
            path=str(line["path"]),
            end=End(line["ended"]),
            code=int(line.get("code") or 0),
            what=str(line.get("what") or ""),
            dag_ids=tuple(line.get("dag_ids") or ()),
            errors=tuple((line.get("errors") or {}).items()),
            advice=tuple(line.get("advice") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ParserGone("it does not keep to the protocol") from exc
