"""`ports.Examiner`: lay the files out, have them parsed, judge what became of them."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from deployer.core import trace
from deployer.core.model import DAGS, Examined, ParseError, Tree
from deployer.edges.preflight.asking import WarmParser, Where
from deployer.edges.preflight.process import Answer, End, Limits
from deployer.errors import PreflightError


class Materialiser(Protocol):
    """Lays a tree that is not published yet out on disk."""

    def lay_out(self, tree: Tree, paths: Sequence[str]) -> AbstractContextManager[Path]:
        """Return a directory laid out as a release (`dags/`, `include/`), removed afterwards.

        It must hold `paths` and all that they may import or read; DAG files that nothing of
        that refers to may be left out. No file in it may be a hard link to a live release:
        an embedded parser runs as this user, and one `open(__file__, "w")` would write
        through it. Another user, that of a container, must be able to read all of it.
        The directory's own place should not be guessable from one call to the next.

        Raises (on entering):
            DiskError, UnknownCommit
        """


class IsolatedExaminer:
    """Implements `ports.Examiner`. Not for several threads.

    Args:
        now: where a parser runs on the packages that Airflow has; it is kept warm.
        built: where one runs on those of the last `Services.build`; it is started for each
            call and ended after it.
        materialiser: where the files come from.
        limits: of one file.
        parallel: files parsed at a time.
    """

    def __init__(
        self,
        *,
        now: Where,
        built: Where,
        materialiser: Materialiser,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        parallel: int = 2,
    ) -> None:
        self._now = WarmParser(now, limits, parallel=parallel)
        self._built = WarmParser(built, limits, parallel=parallel)
        self._materialiser = materialiser
        self._limits = limits

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
        """Start the parser now, so that the next push need not wait for it.

        One that runs on packages which have moved since is replaced.

        Raises:
            PreflightError: Airflow can't be imported.
        """
        self._now.ready()

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        """Parse `paths` of `tree`, each in a process of its own; one result a path, same order.

        Raises:
            PreflightError: the parser itself does not work.
            DiskError, UnknownCommit: the files could not be laid out.
        """
        if not paths:
            return ()
        distinct = tuple(dict.fromkeys(paths))
        with self._materialiser.lay_out(tree, paths) as root:
            if on_built:
                with closing(self._built) as parser:
                    answers = parser.ask(root, distinct)
            else:
                answers = self._now.ask(root, distinct)
            return tuple(_examined(answers[path], root, self._limits) for path in paths)

    def close(self) -> None:
        """End the parser; the next `examine` starts a new one."""
        self._now.close()


_TOOK_TOO_MUCH = {"MemoryError": End.MEMORY, "BlockingIOError": End.PROCESSES}
"""What Python raises at a bound of memory, and where no process can be forked any more (EAGAIN)."""


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
    # Ordinary in Airflow, but what it took until then, it took from all.
    for kind, end in _TOOK_TOO_MUCH.items():
        if error and error.type.endswith(kind):
            return Examined(answer.path, harm=_harm(Answer(answer.path, end), limits))
    return Examined(answer.path, answer.dag_ids, error, advice=answer.advice)


def _harm(answer: Answer, limits: Limits) -> str:
    """Say in one short sentence, without its subject, what the file does."""
    if answer.end is End.SIGNAL:
        name = signal.strsignal(answer.code) or "unknown"
        return f"crashes its parser (signal {answer.code}, {name.lower()})"
    return {
        End.UNSTORABLE: answer.what,
        End.EXIT: f"ends its parser with os._exit({answer.code})",
        End.RAISED: f"ends its parser with {answer.what}, which Airflow does not catch",
        End.TIMEOUT: f"did not finish parsing within {limits.wall_s:g} s",
        End.MEMORY: f"needs more than {limits.memory_mb} MB of memory to parse",
        End.PROCESSES: "starts more processes than one file may have",
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
