"""The one fake of `ports.ParseFeed`, with the class's dag-processor behind it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from deployer.core.model import (
    Listed,
    ParseEnd,
    ParseResult,
    ProcessorCame,
    ProcessorLeft,
    Told,
)
from tests.fakes.clock import FakeClock

ROOT = "/srv/class-airflow/releases"


@dataclass(frozen=True)
class Broken:
    """A file that does not parse.

    Attributes:
        error: the last line of its trace.
        line: of the file, in the trace; None: the trace is that last line alone.
    """

    error: str = "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    line: int | None = 2


@dataclass(frozen=True)
class Ends:
    """A file whose parse leaves nothing: `end` is how."""

    end: ParseEnd
    code: int = 0
    words: str = ""


Contents = tuple[str, ...] | Broken | Ends
"""What a file holds: the ids of its DAGs, or why it has none."""


class FakeFeed:
    """Implements `ports.ParseFeed`: a dag-processor that does at once what it is asked for.

    A test says what `serve` publishes.

    Attributes:
        unfit: why the connected one tells nothing; empty: it does.
        silent: it is connected and says nothing (stopped, say).
        deaf: paths of which nothing is ever told.
        slow: seconds that a path takes to parse.
        asked: what was asked for, as `(release, first, later)`, oldest first.
        while_waiting: called one by one, each at the beginning of a `wait` that is one.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.unfit = ""
        self.silent = False
        self.deaf: set[str] = set()
        self.slow: dict[str, float] = {}
        self.asked: list[tuple[str, frozenset[str], frozenset[str]]] = []
        self.while_waiting: list[Callable[[], None]] = []
        self._clock = clock
        self._lives = 1
        self._alive = True
        self._served: dict[str, Mapping[str, Contents]] = {}
        self._told: list[Told] = []
        self._due: list[tuple[float, Told]] = []
        self._nudged = False

    def serve(self, release: str, files: Mapping[str, Contents]) -> None:
        """Say what a release holds, by path."""
        self._served[release] = dict(files)

    def leave(self, *, ended: bool = True) -> None:
        """Let the dag-processor's connection close; `ended`: as its process does."""
        if self._alive:
            self._alive = False
            self._due.clear()
            self._told.append(ProcessorLeft(self._life, ended=False))
            if ended:
                self._told.append(ProcessorLeft(self._life, ended=True))

    def come(self, *, anew: bool = True) -> None:
        """Let a dag-processor connect; `anew`: it is another life."""
        self._lives += anew
        self._alive = True
        self._told.append(self._came)
        if self.asked:
            self._answer()

    # -- ports.ParseFeed

    def present(self) -> Mapping[str, ProcessorCame]:
        return {self._life: self._came} if self._alive else {}

    def ask(self, release: str, *, first: Collection[str], later: Collection[str] = ()) -> None:
        self._drop()
        self.asked.append((release, frozenset(first), frozenset(later)))
        self._answer()

    def rest(self) -> None:
        self._drop()
        self.asked.clear()

    def wait(self, timeout_s: float) -> tuple[Told, ...]:
        if self.while_waiting and timeout_s > 0:
            self.while_waiting.pop(0)()
        if not self._told and not self._nudged:
            until = self._clock.monotonic() + timeout_s
            at = min((at for at, _ in self._due), default=until)
            self._clock.sleep(max(min(at, until) - self._clock.monotonic(), 0))
        self._nudged = False
        now = self._clock.monotonic()
        told = (*self._told, *(told for at, told in self._due if at <= now and self.asked))
        self._told.clear()
        self._due = [(at, told) for at, told in self._due if at > now]
        return told

    def nudge(self) -> None:
        self._nudged = True

    def close(self) -> None:
        self._alive = False

    # -- inside

    def _drop(self) -> None:
        """Forget what was told up to now."""
        self._told.clear()
        now = self._clock.monotonic()
        self._due = [(at, told) for at, told in self._due if at > now]

    @property
    def _life(self) -> str:
        return f"life {self._lives}"

    @property
    def _came(self) -> ProcessorCame:
        return ProcessorCame(self._life, "3.3.2", self.unfit)

    def _answer(self) -> None:
        release, first, later = self.asked[-1]
        if not self._alive or self.unfit or self.silent or release not in self._served:
            return
        files = self._served[release]
        now = self._clock.monotonic()
        self._due.append((now, Listed(release, frozenset(files))))
        for path in sorted((first | later) & files.keys() - self.deaf):
            self._due.append((now + self.slow.get(path, 0), _parsed(release, path, files[path])))


def _parsed(release: str, path: str, contents: Contents) -> ParseResult:
    match contents:
        case Ends(end, code, words):
            return ParseResult(release, path, end, code=code, words=words)
        case Broken(error, line):
            trace = (
                "Traceback (most recent call last):\n"
                f'  File "{ROOT}/{release}/{path}", line {line}, in <module>\n'
                if line
                else ""
            ) + f"{error}\n"
            return ParseResult(release, path, ParseEnd.PARSED, errors={path: trace})
        case _:
            return ParseResult(release, path, ParseEnd.PARSED, dag_ids=contents)
