"""`ports.Examiner`: lay the files out and have them parsed.

An examination goes on in a thread of its own until all its files are known.

How it is found out which file did what, while files of other examinations are parsed:

- A parser that goes down does so by a file that ran in it just then. Those are *doubted*, all
  others are asked about again. A doubted file is parsed once more in a parser of its own, where
  it can neither hurt others nor be hurt; so nobody gets another's blame.
- A file for which no process could be made, or that could make none, is doubted as well: another
  one may have forked up to the bound. If even a parser of its own can make none for it, then no
  file is to blame.
- When packages move, what was found with those before is forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from threading import TIMEOUT_MAX, Condition, Lock, Thread
from typing import Protocol
from weakref import WeakSet

from deployer.core.model import Examined, Tree
from deployer.edges.parser import protocol
from deployer.edges.parser.parser_process import Question
from deployer.edges.parser.protocol import Answer, End, Limits, ParserGone, Started
from deployer.edges.parser.warm_parser import WarmParser, Where
from deployer.errors import PreflightError

BUDGET_S = 60.0
BUDGET_PER_FILE_S = 5.0
"""What the files of one examination may take; counted while one of them is parsed, so that nobody
pays for having waited for others."""
MOST_IN_VAIN = 10
"""How often a parser may go down before it did anything for an examination: others' files do that
too, each of them once."""
END_S = 15.0
"""More than a warden's own margin."""


class Waker:
    """Wakes those who wait for examinations, or are to look at something more urgent.

    For several threads.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._nudges = 0
        self._told = 0

    def wake(self) -> None:
        """Have those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def nudge(self) -> None:
        """Have all who wait return; if none does, then the next one."""
        with self._changed:
            self._nudges += 1
            self._changed.notify_all()

    def wait(self, over: Callable[[], bool], timeout_s: float) -> None:
        """Return when it is over, after a nudge or that time.

        A nudge is only used up by a wait that it ended: who got what they waited for goes on
        with that, and does not look up.
        """
        with self._changed:
            told = self._told
            self._changed.wait_for(lambda: over() or self._nudges > told, timeout_s)
            if not over():
                self._told = self._nudges


class _PackagesMoved(Exception):
    """What was found so far was found with others."""


@dataclass(frozen=True, slots=True)
class _WentDown:
    """A parser ended in the middle of a question; `running` are the question's files that ran."""

    why: str
    running: frozenset[str]


@dataclass(eq=False)
class RunningExamination:
    """Implements `ports.Examination`.

    Attributes:
        parser: who is asked.
        root: where the files are laid out; `laid_out` removes that.
        paths: distinct.
        limits: of one file.
        waker: told of what becomes known.
    """

    parser: WarmParser
    root: Path
    paths: Sequence[str]
    laid_out: ExitStack
    limits: Limits
    waker: Waker
    _lock: Lock = field(default_factory=Lock)  # of what the thread and its owner both change
    _question: Question | None = None
    _ended: bool = False
    _over: bool = False
    _failure: PreflightError | None = None
    _found: dict[str, Examined] = field(default_factory=dict)
    _doubted: list[str] = field(default_factory=list)
    _runs_on: str | None = None
    _budget_s: float = 0.0

    def __post_init__(self) -> None:
        self._thread = Thread(target=self._run, name="examination", daemon=True)
        if self.paths:
            self._thread.start()
        else:
            self._over = True

    @property
    def results(self) -> Mapping[str, Examined]:
        with self._lock:
            return dict(self._found)

    @property
    def done(self) -> bool:
        return self._over and len(self._found) == len(self.paths)

    def wait(self, timeout_s: float) -> bool:
        self.waker.wait(self._is_over, timeout_s)
        if self._failure:
            raise PreflightError(str(self._failure)) from self._failure
        if self._is_over() and not self.done:
            raise PreflightError("the examination was given up")
        return self.done

    def end(self) -> None:
        with self._lock:
            self._ended = True
            question = self._question
        if question:
            # What is laid out must not be removed under files that are still parsed.
            question.cancel()
            self._thread.join(END_S)
        self._clean_up()
        self.waker.wake()

    def _is_over(self) -> bool:
        return self._over or self._ended

    def _clean_up(self) -> None:
        with self._lock:
            self.laid_out.close()

    # -- the thread

    def _run(self) -> None:
        try:
            while not self._has_examined_all():
                pass
        except PreflightError as exc:
            self._failure = exc
        finally:
            self._over = True
            self.waker.wake()
            self._clean_up()

    def _has_examined_all(self) -> bool:
        """Examine them; return whether that was all with one set of packages."""
        try:
            self._examine_together()
            for path in self._doubted:
                self._examine_alone(path)
        except _PackagesMoved:
            with self._lock:
                self._found.clear()
            self._doubted.clear()
            self._runs_on = None
            return False
        return True

    def _examine_together(self) -> None:
        self._budget_s = BUDGET_S + BUDGET_PER_FILE_S * len(self.paths)
        in_vain = 0
        while (left := self._left()) and not self._ended:
            if self._budget_s < 0:
                for path in left:
                    self._note(Answer(path, End.UNEXAMINED))
                return
            down = self._ask(self.parser, left, self._take)
            if down:
                self._doubted += sorted(down.running)
            in_vain = in_vain + 1 if self._left() == left else 0
            if in_vain == MOST_IN_VAIN:
                why = down.why if down else "it leaves files out"
                raise PreflightError(f"the isolated parser can't work here: {why}")

    def _examine_alone(self, path: str) -> None:
        answers: list[Answer] = []
        with self.parser.alone() as parser:
            if self._ended:
                return
            down = self._ask(parser, (path,), answers.append)
        if down and not self._ended:
            self.parser.ready()  # or this raises PreflightError: so it was the file
            answers.append(Answer(path, End.WARDEN))
        for answer in answers[-1:]:
            if answer.end is End.SETUP:
                raise PreflightError(f"the isolated parser can't work here: {answer.what}")
            self._note(protocol.weighed(answer, self.root))

    def _ask(
        self, parser: WarmParser, paths: Sequence[str], take: Callable[[Answer], None]
    ) -> _WentDown | None:
        """Hand each answer on as it comes; return why not all came, None: all that will did."""
        process, runs_on = parser.ready()
        if self._runs_on not in {None, runs_on}:
            raise _PackagesMoved
        self._runs_on = runs_on
        running: set[str] = set()
        try:
            with self._lock:
                if self._ended:
                    return None
                question = self._question = process.ask(self.root, paths, self.limits)
            since = time.monotonic()
            for said in question.said():
                now = time.monotonic()
                if running:
                    self._budget_s -= now - since
                since = now
                if isinstance(said, Started):
                    running.add(said.path)
                    continue
                running.discard(said.path)
                take(said)
                if self._budget_s < 0:
                    question.cancel()
        except ParserGone as exc:
            parser.discard(process)
            return _WentDown(str(exc), frozenset(running))
        finally:
            with self._lock:
                self._question = None
        return None

    def _left(self) -> list[str]:
        return [p for p in self.paths if p not in self._found and p not in self._doubted]

    def _take(self, answer: Answer) -> None:
        weighed = protocol.weighed(answer, self.root)
        if protocol.may_be_anothers_fault(weighed):
            self._doubted.append(answer.path)
        else:
            self._note(weighed)

    def _note(self, answer: Answer) -> None:
        with self._lock:
            self._found[answer.path] = protocol.examined(answer, self.root, self.limits)
        self.waker.wake()


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
            DiskError, GitError
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
        self._waker = Waker()
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
            DiskError, GitError: the files could not be laid out.
        """
        return self._begin(self._now, tree, paths, self._waker)

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        """Parse `paths` of `tree`; one result a path, same order.

        Raises:
            PreflightError: the parser itself does not work.
            DiskError, GitError: the files could not be laid out.
        """
        with ExitStack() as ending:
            if on_built:
                ending.callback(self._built.close)
            parser = self._built if on_built else self._now
            examination = self._begin(parser, tree, paths, Waker())  # which hear of no nudge
            ending.callback(examination.end)
            examination.wait(TIMEOUT_MAX)
        results = examination.results
        return tuple(results[path] for path in paths)

    def nudge(self) -> None:
        """Have every `wait` return now; called from another thread."""
        self._waker.nudge()

    def close(self) -> None:
        """End the parser and what is under way; the next examination starts a new one."""
        for examination in list(self._begun):
            examination.end()
        self._now.close()

    def _begin(
        self, parser: WarmParser, tree: Tree, paths: Sequence[str], waker: Waker
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
                waker=waker,
            )
        self._begun.add(examination)
        return examination
