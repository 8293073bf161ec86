"""`ports.Examiner`: lay the files out and have them parsed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import Protocol
from weakref import WeakSet

from deployer.core.model import Examined, Tree
from deployer.edges.parser.asking import WarmParser, Where
from deployer.edges.parser.examination import News, RunningExamination
from deployer.edges.parser.protocol import Limits


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
    """Implements `ports.Examiner`. Not for several threads, but for `nudge`.

    Args:
        now: where a parser runs on the packages that Airflow has; it is kept warm.
        built: where one runs on those of the last `Services.build`; it is started for each
            call and ended after it.
        materialiser: where the files come from.
        limits: of one file.
    """

    def __init__(
        self,
        *,
        now: Where,
        built: Where,
        materialiser: Materialiser,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self._now = WarmParser(now)
        self._built = WarmParser(built)
        self._materialiser = materialiser
        self._limits = limits
        self._news = News()
        self._begun: WeakSet[RunningExamination] = WeakSet()

    def warm_up(self) -> None:
        """Start the parser now, so that the next push need not wait for it.

        One that runs on packages which have moved since is replaced.

        Raises:
            PreflightError: Airflow can't be imported.
        """
        self._now.ready()

    def begin(self, tree: Tree, paths: Sequence[str]) -> RunningExamination:
        """Begin to parse `paths` of `tree`, each in a process of its own.

        Raises:
            DiskError, UnknownCommit: the files could not be laid out.
        """
        return self._begin(self._now, tree, paths, self._news)

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        """Parse `paths` of `tree`; one result a path, same order.

        Raises:
            PreflightError: the parser itself does not work.
            DiskError, UnknownCommit: the files could not be laid out.
        """
        with ExitStack() as ending:
            if on_built:
                ending.callback(self._built.close)
            parser = self._built if on_built else self._now
            examination = self._begin(parser, tree, paths, News())  # which hear of no nudge
            ending.callback(examination.end)
            examination.wait(TIMEOUT_MAX)
        results = examination.results
        return tuple(results[path] for path in paths)

    def nudge(self) -> None:
        """Have every `wait` return now; called from another thread."""
        self._news.nudge()

    def close(self) -> None:
        """End the parser and what is under way; the next examination starts a new one."""
        for examination in list(self._begun):
            examination.end()
        self._now.close()

    def _begin(
        self, parser: WarmParser, tree: Tree, paths: Sequence[str], news: News
    ) -> RunningExamination:
        distinct = tuple(dict.fromkeys(paths))
        with ExitStack() as stack:
            root = Path()
            if paths:
                root = stack.enter_context(self._materialiser.lay_out(tree, distinct))
            examination = RunningExamination(
                parser,
                root,
                distinct,
                laid_out=stack.pop_all(),
                limits=self._limits,
                news=news,
            )
        self._begun.add(examination)
        return examination
