"""An isolated parser in memory: finds what it is told to find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from deployer.core.model import Examined, ParseError, Tree
from deployer.errors import PreflightError


class _Done:
    def __init__(self, results: dict[str, Examined]) -> None:
        self.results = results
        self.done = True

    def wait(self, timeout_s: float) -> bool:
        return True

    def end(self) -> None:
        pass


class FakeExaminer:
    """Implements `ports.Examiner`.

    A file of which nothing was said holds one DAG, named after the file.

    Attributes:
        asked: the paths of each examination on the packages that run, in order.
        asked_on_built: likewise, on those that were built.
        down: why the parser itself does not work, None: it does.
        warm: it was made ready, and not ended since.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.asked_on_built: list[tuple[str, ...]] = []
        self.down: str | None = None
        self.warm = False
        self._finds: dict[str, Examined] = {}
        self._finds_on_built: dict[str, Examined] = {}

    def finds(
        self,
        path: str,
        *,
        dag_ids: tuple[str, ...] = (),
        error: ParseError | None = None,
        harm: str | None = None,
    ) -> None:
        """Say what is found in `path` from now on; with nothing said: no DAG."""
        self._finds[path] = Examined(path, dag_ids, error, harm)

    def finds_on_built(
        self,
        path: str,
        *,
        dag_ids: tuple[str, ...] = (),
        error: ParseError | None = None,
        harm: str | None = None,
    ) -> None:
        """Say what is found there on what was built, where that differs."""
        self._finds_on_built[path] = Examined(path, dag_ids, error, harm)

    def warm_up(self) -> None:
        if self.down:
            raise PreflightError(self.down)
        self.warm = True

    def close(self) -> None:
        self.warm = False

    def begin(self, tree: Tree, paths: Sequence[str]) -> _Done:
        return _Done({e.path: e for e in self.examine(tree, paths)})

    def nudge(self) -> None:
        pass

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        (self.asked_on_built if on_built else self.asked).append(tuple(paths))
        if paths and self.down:
            raise PreflightError(self.down)
        finds = {**self._finds, **self._finds_on_built} if on_built else self._finds
        return tuple(finds.get(path, Examined(path, (PurePosixPath(path).stem,))) for path in paths)
