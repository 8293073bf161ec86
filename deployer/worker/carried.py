"""Deployments that were cut short, so that nobody waits for somebody else's slow files.

Their changes are live, but for what nobody has examined or judged yet. That goes on by itself,
and each of them ends when the last of its files has its verdict, whoever brought it: the isolated
parse and the dag-processor in their own time, or a later push that changed the file again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from deployer.core.model import Ending, State, Verdict
from deployer.core.reporting.commit_status import Commit
from deployer.deployment.parts import Pending, Result
from deployer.deployment.watching import Beside


@dataclass(slots=True)
class Carried:
    """One deployment without an end yet.

    Attributes:
        deployment: its id.
        supersedes: deployments that end with it.
        commits: those that it answers.
        so_far: how far it came; its tip is what it made live.
        pending: what it still has to see to itself.
        open: paths without a verdict: those, and what later deployments took over.
        verdicts: so far, by path.
    """

    deployment: int
    supersedes: tuple[int, ...]
    commits: tuple[Commit, ...]
    so_far: Ending
    pending: Pending
    open: set[str] = field(init=False)
    verdicts: dict[str, Verdict] = field(init=False)

    def __post_init__(self) -> None:
        self.open = set(self.pending.files)
        self.verdicts = {verdict.path: verdict for verdict in self.so_far.verdicts}

    @property
    def ids(self) -> frozenset[int]:
        """Of the deployments that end then: its own, and those that it supersedes."""
        return frozenset({self.deployment, *self.supersedes})

    @property
    def ready(self) -> bool:
        """Whether it can be gone on with: what it waits for has been examined."""
        examination = self.pending.examination
        return bool(self.pending) and (examination is None or examination.done)

    @property
    def ending(self) -> Ending:
        """How it ended, once nothing is open."""
        verdicts = tuple(self.verdicts[path] for path in sorted(self.verdicts))
        bad = self.so_far.state is State.BROKEN or not all(v.good for v in verdicts)
        state = State.BROKEN if bad else State.SUCCEEDED
        return replace(self.so_far, state=state, verdicts=verdicts)


class Carrying:
    """All of them; `end` is called with each that has no file left without a verdict."""

    def __init__(self, end: Callable[[Carried], None]) -> None:
        self._end = end
        self._all: list[Carried] = []

    def __bool__(self) -> bool:
        return bool(self._all)

    @property
    def ids(self) -> frozenset[int]:
        """Of the deployments that get their end from here."""
        return frozenset(number for carried in self._all for number in carried.ids)

    @property
    def deployments(self) -> frozenset[int]:
        """Ids of those that are carried, without what ends with them."""
        return frozenset(carried.deployment for carried in self._all)

    @property
    def shas(self) -> frozenset[str]:
        """The commits that those answer."""
        return frozenset(commit.sha for carried in self._all for commit in carried.commits)

    def take_along(self, deployment: int, queued: int, commit: Commit) -> None:
        """Let the `queued` one, of a commit that the carried `deployment` holds, end with it."""
        for carried in self._all:
            if carried.deployment == deployment:
                carried.supersedes += (queued,)
                carried.commits += (commit,)

    @property
    def pending(self) -> frozenset[str]:
        """Return the paths that nobody has judged, or that wait for those."""
        return frozenset(
            path for carried in self._all for path in (*carried.open, *carried.pending.modules)
        )

    @property
    def next(self) -> Carried | None:
        """Return one that can be gone on with: the one that is over first."""
        ready = [carried for carried in self._all if carried.ready]
        return min(ready, key=lambda carried: len(carried.open), default=None)

    def wait(self, timeout_s: float) -> None:
        """Wait until something may have become ready.

        Raises:
            PreflightError: one will never be.
        """
        for examination in [carried.pending.examination for carried in self._all]:
            if examination:
                examination.wait(timeout_s)

    def add(
        self, deployment: int, result: Result, supersedes: Iterable[int], commits: Iterable[Commit]
    ) -> Carried:
        """Take over a deployment that was cut short."""
        carried = Carried(deployment, (*supersedes,), (*commits,), result.ending, result.pending)
        self._all.append(carried)
        return carried

    def beside(self, but: Carried | None = None) -> Beside:
        """Return what they wait for, for a deployment that goes before them."""
        others = [carried.pending for carried in self._all if carried is not but]
        files: dict[str, frozenset[str]] = {}
        for pending in others:
            for path, names in pending.unjudged.items():
                files[path] = files.get(path, frozenset()) | names
        unexamined = frozenset(path for pending in others for path in pending.held)
        return Beside(files, unexamined, self.judged)

    def judged(self, verdict: Verdict) -> None:
        """Take note of a verdict, and end those for which it was the last."""
        for carried in self._all:
            if verdict.path in carried.open:
                carried.open.discard(verdict.path)
                carried.verdicts[verdict.path] = verdict
                _see_to_no_more(carried, {verdict.path})
        for carried in [carried for carried in self._all if not carried.open]:
            self._all.remove(carried)
            self._end(carried)

    def after(self, result: Result, release: str, *, mine: Carried | None = None) -> None:
        """Take note of what a deployment came to, `mine` or one without an entry here.

        `release` is live now.
        """
        if mine is not None:
            mine.pending = result.pending
            mine.verdicts |= {verdict.path: verdict for verdict in result.ending.verdicts}
        for carried in self._all:
            if carried is not mine:
                # The later deployment sees to what it changed as well.
                _see_to_no_more(carried, result.pending.files)
            pending = carried.pending
            unjudged = {path: names | {release} for path, names in pending.unjudged.items()}
            carried.pending = replace(pending, unjudged=unjudged)
        for verdict in result.ending.verdicts:
            self.judged(verdict)

    def drop(self, ids: Collection[int] | None = None) -> None:
        """Forget those, None: all; they are deployed again with whatever comes next."""
        doomed = [c for c in self._all if ids is None or not c.ids.isdisjoint(ids)]
        for carried in doomed:
            self._all.remove(carried)
            _see_to_no_more(carried, carried.open)


def _see_to_no_more(carried: Carried, paths: Collection[str]) -> None:
    pending = carried.pending
    unexamined = pending.unexamined - frozenset(paths)
    unjudged = {path: names for path, names in pending.unjudged.items() if path not in paths}
    examination = pending.examination
    if examination and not unexamined:
        examination.end()
        examination = None
    modules = pending.modules if unexamined else frozenset()
    carried.pending = Pending(unexamined, modules, examination, unjudged)
