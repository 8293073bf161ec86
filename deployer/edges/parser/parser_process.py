"""A warm parser as a child process: what it is asked goes in, what it says comes to who asked.

One thread a parser reads its answers, for those who ask may be several threads.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from deployer.edges.parser import protocol
from deployer.edges.parser.protocol import Answer, Done, Limits, ParserGone, Said, Started
from deployer.errors import PreflightError

SILENCE_MARGIN_S = 15.0  # more than a warden's own margin
STOP_S = 5.0
WRITE_S = 5.0
MAX_LINE_BYTES = 16 << 20
MORE_PROCESSES = 64
LAST_LINES = 3
HOME = "preflight-"

Child = subprocess.Popen[bytes]


class Question:
    """Files that a parser was asked about; `ParserProcess.ask` makes one."""

    def __init__(self, parser: ParserProcess, number: int, *, silence_s: float) -> None:
        self.inbox: SimpleQueue[Said | None] = SimpleQueue()  # None: the parser is gone
        self._parser = parser
        self._number = number
        self._silence_s = silence_s

    def cancel(self) -> None:
        """End what runs and drop the rest; `said` ends once that is so."""
        with contextlib.suppress(ParserGone):
            self._parser.write(protocol.cancellation(self._number))

    def said(self) -> Iterator[Started | Answer]:
        """Yield what is said of the files, until nothing of them runs any more.

        Raises:
            ParserGone: it died, or said nothing of any file for `silence_s`.
        """
        while True:
            patience_s = self._parser.heard_at + self._silence_s - time.monotonic()
            try:
                said = self.inbox.get(timeout=max(patience_s, 0))
            except Empty:
                # As long as somebody's files are parsed there is news of them.
                if patience_s <= 0:
                    raise ParserGone("it fell silent") from None
                continue
            if said is None:
                raise ParserGone(self._parser.why_gone or "")
            if isinstance(said, Done):
                return
            yield said


class ParserProcess:
    """A warm parser, from its start to its end. For several threads.

    Args:
        command: program and arguments.
        env: its whole environment, but for the directories made here.
        start_timeout_s: bound of importing Airflow, and of what must be done before.
        more_processes: how many more processes than now its user may have during a parse;
            None: something else bounds them.
        end: called once its standard input was closed, to see that it ends. It alone: its
            wardens are told by the kernel when it dies, and clean up.

    Attributes:
        heard_at: when it last said something, or was asked; monotonic seconds.
        why_gone: None as long as it can be asked.

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
        end: Callable[[Child], None] = Child.terminate,
    ) -> None:
        self.heard_at = time.monotonic()
        self.why_gone: str | None = None
        self._more_processes = more_processes
        self._end = end
        self._numbers = count(1)
        self._asked: dict[int, Question] = {}
        self._asking = Lock()  # of the two before it and `why_gone`
        self._writing = Lock()
        self._readiness: SimpleQueue[bool] = SimpleQueue()
        _remove_homes_of_the_dead()
        # Never the same twice: a file could leave a configuration behind for the next one.
        self._home = Path(tempfile.mkdtemp(prefix=f"{HOME}{_owner()}-"))
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
            )
        except OSError as exc:
            self._clean_up()
            raise PreflightError(f"the isolated parser can't be started: {exc}") from exc
        assert self._process.stdin is not None  # noqa: S101  # a pipe was asked for
        self._stdin = self._process.stdin
        os.set_blocking(self._stdin.fileno(), False)
        self._listener = Thread(target=self._listen, name="parser", daemon=True)
        self._listener.start()
        self._get_ready(start_timeout_s)

    def ask(self, root: Path, paths: Sequence[str], limits: Limits) -> Question:
        """Have `paths`, distinct files under `root`, parsed beside what it was asked before.

        Raises:
            ParserGone
        """
        with self._asking:
            if self.why_gone is not None:
                raise ParserGone(self.why_gone)
            number = next(self._numbers)
            silence_s = limits.wall_s + SILENCE_MARGIN_S
            question = self._asked[number] = Question(self, number, silence_s=silence_s)
            self.heard_at = time.monotonic()
        more = self._more_processes
        self.write(protocol.request(number, root, paths, limits, more_processes=more))
        return question

    def close(self) -> None:
        """End it and whatever it started; safe to call again."""
        with self._writing, contextlib.suppress(OSError):
            self._stdin.close()
        process = self._process
        self._end(process)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_S)
        self._listener.join(STOP_S)
        self._clean_up()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None and self.why_gone is None

    def _clean_up(self) -> None:
        self._log.close()
        _remove(self._home)

    def _get_ready(self, timeout_s: float) -> None:
        try:
            ready, why = self._readiness.get(timeout=timeout_s), self.why_gone or ""
        except Empty:
            ready, why = False, f"it was not ready within {timeout_s:g} s; is the machine busy?"
        if not ready:
            said = self._last_words()
            self.close()
            raise PreflightError(f"the isolated parser did not start: {why}: {said}")

    def _last_words(self) -> str:
        text = (self._home / "parser.log").read_text(errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return "; ".join(lines[-LAST_LINES:]) or "it said nothing"

    def write(self, data: bytes) -> None:
        """Write all of a line, or none will be written any more.

        Raises:
            ParserGone: it does not read.
        """
        until = time.monotonic() + WRITE_S
        with self._writing:
            if self._stdin.closed:
                raise ParserGone("it was ended")
            pipe = self._stdin.fileno()
            while data:
                _, writable, _ = select.select([], [pipe], [], max(until - time.monotonic(), 0))
                try:
                    if not writable:
                        raise TimeoutError
                    data = data[os.write(pipe, data) :]
                except OSError as exc:
                    self._stdin.close()  # half a line may be in it
                    raise ParserGone("it does not take requests") from exc

    # -- the thread that reads

    def _listen(self) -> None:
        why = "it died"
        try:
            lines = self._lines()
            # Up to the protocol's first line, which this takes: an image's entrypoint may print.
            if any(map(protocol.is_ready, lines)):
                self._readiness.put(True)
            for line in lines:
                self._hear(line)
        except ParserGone as exc:
            why = str(exc)
        with self._asking:
            self.why_gone = why
            asked = list(self._asked.values())
        for question in asked:
            question.inbox.put(None)
        self._readiness.put(False)

    def _lines(self) -> Iterator[bytes]:
        assert self._process.stdout is not None  # noqa: S101  # a pipe was asked for
        with self._process.stdout as stdout:
            while line := stdout.readline(MAX_LINE_BYTES):
                if len(line) == MAX_LINE_BYTES:
                    raise ParserGone("it does not end its line")
                if line.endswith(b"\n"):
                    yield line

    def _hear(self, line: bytes) -> None:
        self.heard_at = time.monotonic()
        number, told = protocol.read(line)
        with self._asking:
            question = self._asked.get(number)
            if isinstance(told, Done):
                self._asked.pop(number, None)
        if question is None:
            raise ParserGone("it does not keep to the protocol")
        question.inbox.put(told)


def _owner() -> str:
    return f"{os.getpid()}.{_started_at(str(os.getpid()))}"


def _started_at(pid: str) -> str:
    """Return when a process started, in ticks; its number may be given again, that is not."""
    return Path("/proc", pid, "stat").read_text().rpartition(") ")[2].split()[19]  # proc(5), 22


def _remove_homes_of_the_dead() -> None:
    """Remove the directories of workers that were killed before they could."""
    for home in Path(tempfile.gettempdir()).glob(f"{HOME}*-*"):
        pid, _, started_at = home.name.split("-")[1].partition(".")
        if not pid.isdigit():
            continue
        try:
            alive = started_at in {_started_at(pid), ""}  # a deployer before wrote down no time
        except OSError:
            alive = False
        if not alive:
            _remove(home)


def _remove(home: Path) -> None:
    """Remove a home, what a student's file locked in it included."""
    for folder, names, _ in os.walk(home):
        for name in names:
            with contextlib.suppress(OSError):
                if not Path(folder, name).is_symlink():
                    Path(folder, name).chmod(0o700)
    shutil.rmtree(home, ignore_errors=True)
