"""The isolated parse: what would hurt others is found before it goes live.

A warm Airflow, started when it is first needed, forks one process a file
(`include/airflow/preflight.py`). What it finds is of two kinds:

- *harm*: the file crashes, ends or hangs its parser, or takes too much memory. In Airflow
  such a parse leaves no trace but a DAG that goes stale, so this is the last word on it.
- *an ordinary error*: a hint. Airflow has variables and connections that are missing here,
  and says the last word itself.

The students' code runs as the same user as the deployer in an embedded run, in which it
does so in Airflow too; it sees an environment without the deployer's secrets. Hard links to
live files must not be handed to it, see `Materialiser`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from deployer.core import trace
from deployer.core.model import DAGS, Examined, ParseError, Tree
from deployer.edges.preflight_process import Answer, End, Limits, ParserGone, ParserProcess
from deployer.errors import PreflightError

START_TIMEOUT_S = 90.0  # a cold import of Airflow without bytecode took 10 s on two cores
SILENCE_MARGIN_S = 15.0  # more than a warden's own margin
BUDGET_S = 60.0
BUDGET_PER_FILE_S = 5.0

BASE_ENV: Mapping[str, str] = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite://",  # in memory, never opened
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "15",
    "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACK_DEPTH": "30",
}
"""What the parser sees where the caller says nothing else; never the deployer's own."""


class Materialiser(Protocol):
    """Lays a tree that is not published yet out on disk."""

    def lay_out(self, tree: Tree, paths: Sequence[str]) -> AbstractContextManager[Path]:
        """Return a directory laid out as a release (`dags/`, `include/`), removed afterwards.

        It must hold `paths` and all that they may import or read; DAG files that nothing of
        that refers to may be left out. No file in it may be a hard link to a live release:
        the parser runs as this user, and one `open(__file__, "w")` would write through it.
        The directory's own place should not be guessable from one call to the next.

        Raises (on entering):
            DiskError, UnknownCommit
        """


class LocalExaminer:
    """Implements `ports.Examiner` with a subprocess on this machine. Not for several threads.

    Args:
        python: says which interpreter Airflow is installed for *now*; a parser that was
            started with another one is replaced. After packages moved in place: `close()`.
        script: `preflight.py`, of the deployer's own installation.
        materialiser: where the files come from.
        env: added to `BASE_ENV`: the class's Airflow settings, PYTHONPATH of its policy.
        limits: of one file.
        parallel: files parsed at a time.
    """

    def __init__(
        self,
        *,
        python: Callable[[], Path],
        script: Path,
        materialiser: Materialiser,
        env: Mapping[str, str] | None = None,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        parallel: int = 2,
    ) -> None:
        self._python = python
        self._script = script
        self._materialiser = materialiser
        self._env = {**BASE_ENV, **(env or {})}
        self._limits = limits
        self._parallel = parallel
        self._process: ParserProcess | None = None
        self._started_with: Path | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def warm_up(self) -> None:
        """Start the parser now, so that the first push need not wait for it.

        Raises:
            PreflightError: Airflow can't be imported.
        """
        self._parser()

    def examine(self, tree: Tree, paths: Sequence[str]) -> tuple[Examined, ...]:
        """Parse `paths` of `tree`, each in a process of its own; one result a path, same order.

        Raises:
            PreflightError: the parser itself does not work.
            DiskError, UnknownCommit: the files could not be laid out.
        """
        if not paths:
            return ()
        with self._materialiser.lay_out(tree, paths) as root:
            answers = self._answers(root, tuple(dict.fromkeys(paths)))
            return tuple(_examined(answers[path], root, self._limits) for path in paths)

    def close(self) -> None:
        """End the parser; the next `examine` starts a new one."""
        if self._process:
            self._process.close()
        self._process = self._started_with = None

    def _answers(self, root: Path, paths: tuple[str, ...]) -> dict[str, Answer]:
        until = time.monotonic() + BUDGET_S + BUDGET_PER_FILE_S * len(paths)
        found: dict[str, Answer] = {}
        try:
            self._ask(root, paths, found, until=until, parallel=self._parallel)
        except ParserGone:
            # Somebody took it down. One at a time shows who.
            for path in paths:
                if path not in found:
                    self._ask_about_one(root, path, found, until=until)
        return {path: found.get(path, Answer(path, End.UNEXAMINED)) for path in paths}

    def _ask_about_one(
        self, root: Path, path: str, found: dict[str, Answer], *, until: float
    ) -> None:
        try:
            self._ask(root, (path,), found, until=until, parallel=1)
        except ParserGone:
            # A new one gets ready, or this raises PreflightError: so it was the file.
            self._parser()
            found[path] = Answer(path, End.WARDEN)

    def _ask(
        self,
        root: Path,
        paths: tuple[str, ...],
        found: dict[str, Answer],
        *,
        until: float,
        parallel: int,
    ) -> None:
        """Put the answers into `found` as they come, until all are there or time is up."""
        silence_s = self._limits.wall_s + SILENCE_MARGIN_S
        parser = self._parser()
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

    def _parser(self) -> ParserProcess:
        """Return a parser that runs on today's interpreter."""
        python = self._python()
        # The interpreter itself is a link out of its environment: the directory tells.
        place = python.parent.resolve()
        if self._process and (place != self._started_with or not self._process.alive):
            self.close()
        if self._process is None:
            self._process = ParserProcess(
                (str(python), str(self._script)), self._env, start_timeout_s=START_TIMEOUT_S
            )
            self._started_with = place
        return self._process


def _examined(answer: Answer, root: Path, limits: Limits) -> Examined:
    """Judge one answer.

    Raises:
        PreflightError: no parser could be made for the file.
    """
    if answer.end is End.SETUP:
        raise PreflightError(f"the isolated parser can't work here: {answer.what}")
    if answer.end is not End.REPORTED:
        return Examined(answer.path, harm=_harm(answer, limits))
    error = _first_error(answer, root)
    if error and error.type.endswith("MemoryError"):
        # Ordinary in Airflow, but what it took until then, it took from all.
        return Examined(answer.path, harm=_harm(Answer(answer.path, End.MEMORY), limits))
    return Examined(answer.path, answer.dag_ids, error)


def _harm(answer: Answer, limits: Limits) -> str:
    """Say in one short sentence, without its subject, what the file does."""
    if answer.end is End.SIGNAL:
        name = signal.strsignal(answer.code) or "unknown"
        return f"crashes its parser (signal {answer.code}, {name.lower()})"
    return {
        End.EXIT: f"ends its parser with os._exit({answer.code})",
        End.RAISED: f"ends its parser with {answer.what}, which Airflow does not catch",
        End.TIMEOUT: f"did not finish parsing within {limits.wall_s:g} s",
        End.MEMORY: f"needs more than {limits.memory_mb} MB of memory to parse",
        End.LEFT: "starts a process that outlives its parse",
        End.WARDEN: "takes down the process that watches its parser",
        End.UNEXAMINED: "was not examined: the files of this push take too long to parse",
    }[answer.end]


def _first_error(answer: Answer, root: Path) -> ParseError | None:
    """Return what Airflow would say of this file, with paths as in the repository.

    A zip may have several errors, by the absolute path of the module within.
    """
    errors = _by_own_name_first(answer.errors, answer.path.removeprefix(DAGS))
    if not errors:
        return None
    return trace.read(errors[0].replace(f"{root}/", ""), answer.path)


def _by_own_name_first(errors: Iterable[tuple[str, str]], name: str) -> list[str]:
    return [text for _, text in sorted(errors, key=lambda error: (error[0] != name, error[0]))]
