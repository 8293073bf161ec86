"""An isolated parser in memory: finds what it is told to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from deployer.core.model import Examined, ParseError, Tree
from deployer.errors import PreflightError
from tests.fakes.clock import FakeClock


class FakeExaminer:
    """Implements `ports.Examiner`.

    A file of which nothing was said holds one DAG, named after the file, and is examined at
    once. Time passes by `clock`, which those who wait move.

    Attributes:
        asked: the paths of each examination on the packages that run, in order.
        asked_on_built: likewise, on those that were built.
        under_way: the examinations that nobody ended yet.
        down: why the parser itself does not work, None: it does.
        down_on_built: likewise, that on what was built, at the next examinations in order.
        warm: it was made ready, and not ended since.
        slow: seconds that a file takes, by path.
        meanwhile: what happens at that second of the clock, if somebody waits then.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.asked: list[tuple[str, ...]] = []
        self.asked_on_built: list[tuple[str, ...]] = []
        self.under_way: list[FakeExamination] = []
        self.down: str | None = None
        self.down_on_built: list[str] = []
        self.warm = False
        self.slow: dict[str, float] = {}
        self.meanwhile: dict[float, Callable[[], object]] = {}
        self.nudged = False
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
        for examination in list(self.under_way):
            examination.end()

    def begin(self, tree: Tree, paths: Sequence[str]) -> FakeExamination:
        self.asked.append(tuple(paths))
        return self._begin(paths, self._finds)

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        (self.asked_on_built if on_built else self.asked).append(tuple(paths))
        if on_built and self.down_on_built:
            raise PreflightError(self.down_on_built.pop(0))
        finds = {**self._finds, **self._finds_on_built} if on_built else self._finds
        examination = self._begin(paths, finds)
        try:
            return examination.finish()
        finally:
            examination.end()

    def nudge(self) -> None:
        self.nudged = True

    def pass_until(self, moment: float) -> None:
        """Let time pass, but not beyond the next thing that happens meanwhile."""
        happens = min((at for at in self.meanwhile if at <= moment), default=None)
        self.clock.elapsed_s = max(self.clock.elapsed_s, moment if happens is None else happens)
        if happens is not None:
            self.meanwhile.pop(happens)()

    def _begin(self, paths: Sequence[str], finds: Mapping[str, Examined]) -> FakeExamination:
        found = [finds.get(path, Examined(path, (PurePosixPath(path).stem,))) for path in paths]
        examination = FakeExamination(self, found, self.down if paths else None)
        self.under_way.append(examination)
        return examination


class FakeExamination:
    """Implements `ports.Examination`; all its files are parsed at the same time."""

    def __init__(self, examiner: FakeExaminer, found: Sequence[Examined], down: str | None) -> None:
        self._examiner = examiner
        self._found = found
        self._down = down
        now = examiner.clock.elapsed_s
        self._due = {one.path: now + examiner.slow.get(one.path, 0.0) for one in found}
        self._ended_at: float | None = None

    @property
    def results(self) -> Mapping[str, Examined]:
        now = self._examiner.clock.elapsed_s if self._ended_at is None else self._ended_at
        known = {path for path, due in self._due.items() if due <= now and not self._down}
        return {one.path: one for one in self._found if one.path in known}

    @property
    def done(self) -> bool:
        return len(self.results) == len(self._due)

    def wait(self, timeout_s: float) -> bool:
        examiner = self._examiner
        until = examiner.clock.elapsed_s + timeout_s
        while self._waits() and not examiner.nudged and examiner.clock.elapsed_s < until:
            examiner.pass_until(min(until, max(self._due.values())))
        if not self.done:
            examiner.nudged = False
        return self.done

    def finish(self) -> tuple[Examined, ...]:
        """Wait for all, and heed no nudge."""
        while self._waits():
            self._examiner.pass_until(max(self._due.values()))
        return tuple(self._found)

    def end(self) -> None:
        if self in self._examiner.under_way:
            self._examiner.under_way.remove(self)
            self._ended_at = self._examiner.clock.elapsed_s

    def _waits(self) -> bool:
        """Say whether there is something to wait for.

        Raises:
            PreflightError
        """
        if self._down:
            raise PreflightError(self._down)
        if self._ended_at is not None and not self.done:
            raise PreflightError("the examination was given up")
        return not self.done
