"""Make a release live and have it judged; take it back where the dag-processor dies of it.

The first time it dies may be chance: somebody restarted it, the machine had no memory left.
So the release before comes back at once, and when the dag-processor is well again the new one
gets a second try. If it dies again, what the push changed is held (docs/decisions/010).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from deployer.core.counts import counted
from deployer.core.model import ParseError, StepName, Tree, Verdict
from deployer.core.verdicts.watch import Watch
from deployer.deployment.dag_processor import Guard
from deployer.deployment.parts import Bounds, Parts
from deployer.deployment.steps import Steps
from deployer.deployment.watching import Beside, Waiting
from deployer.errors import AirflowError, DagProcessorEnded, DiskError

log = structlog.get_logger()

TRIES = 2
TAKING_BACK: Final = "Airflow's dag-processor died: the release before comes back"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to go live.

    Attributes:
        tip: the commit's tree.
        touch: DAG files that Airflow is to parse again.
        held: paths that keep their live version, or stay out.
        hints: what the isolated parse found wrong in files that go live all the same.
        unjudged: files that are live already and have no verdict yet, each with the releases
            that hold its text.
    """

    tip: Tree
    touch: frozenset[str]
    held: frozenset[str]
    hints: Mapping[str, ParseError]
    unjudged: Mapping[str, frozenset[str]]


class GoLive:
    """One release of one deployment; `beside` and `cut` as for `Waiting`.

    Attributes:
        verdicts: of Airflow, on what went live.
        unjudged: what the wait was cut short for, each with the releases that hold its text.
        taken_back: paths that are held because the dag-processor died of them.
    """

    def __init__(
        self, parts: Parts, bounds: Bounds, step: Steps, beside: Beside, cut: Callable[[], bool]
    ) -> None:
        self.verdicts: tuple[Verdict, ...] = ()
        self.unjudged: Mapping[str, frozenset[str]] = {}
        self.taken_back: frozenset[str] = frozenset()
        self._releases = parts.releases
        self._journal = parts.journal
        self._clock = parts.clock
        self._feed = parts.feed
        self._guard = Guard(parts, timeout_s=bounds.health_timeout_s)
        self._timeout_s = bounds.parse_timeout_s
        self._step = step
        self._beside = beside
        self._cut = cut
        self._before: str | None = None  # the release to go back to
        self._runs_on: str | None = None
        self._release = ""
        self._lives: frozenset[str] = frozenset()  # that were well when it went live
        self._published_at = 0.0  # monotonic
        self._dead: frozenset[str] = frozenset()  # those of them that died of it
        self._deaths = 0
        self._died_of = ""

    @property
    def reason(self) -> str:
        """Why something was taken back, as a sentence about one of the paths."""
        whose = "it" if len(self.taken_back) == 1 else "this push"
        return f"Airflow's dag-processor died of {whose}: {self._died_of}"

    def publish(self, wanted: Wanted, runs_on: str | None = None) -> None:
        """Make it the live release; `runs_on`: the packages that run with it, if they are known.

        Raises:
            DiskError, GitError: it was not swapped.
            AirflowError: the dag-processor is dead, and with what was live before as well.
            ServicesError: it is dead, and can't be started.
        """
        live, judged = self._releases.live(), self._journal.live() is not None
        self._before = live.name if live and judged else self._releases.proven()
        if live and live.name != self._before and self._guard.is_ill():
            # Of a deployment that ended, or whose worker died, before it was judged.
            self._take_back("it was not well, and nobody had judged what is live")
        self._runs_on = runs_on
        self._publish(wanted)

    def rejoin(self) -> None:
        """Take up what is live, whose verdicts are to be waited for."""
        live = self._releases.live()
        self._before = self._releases.proven()
        self._lives = self._guard.fit()
        self._release = live.name if live else ""
        self._published_at = self._clock.monotonic()

    def judge(self, wanted: Wanted, paths: Collection[str], deleted: Collection[str]) -> None:
        """Wait for Airflow's verdicts on `paths`, and for what was `deleted` to be gone from it.

        Raises:
            AirflowError: there are none, and that is not the push's doing.
            ServicesError, DiskError, GitError: as `publish`, in taking it back or trying it again.
        """
        while True:
            try:
                watch = self._parse(wanted, paths, deleted)
                break
            except DagProcessorEnded as exc:
                self._take_back(str(exc))
                wanted = self._after_a_death(wanted)
                self._publish(wanted)
        if not watch.waiting:
            self._releases.confirm(self._release)
        if self.taken_back:
            # Dying here costs two more deaths; to blame a push before it is proven that
            # the dag-processor lives without it could cost a student his green for good.
            blobs = {path: wanted.tip.files[path].blob for path in self.taken_back}
            self._journal.condemn(blobs, self.reason, at=self._clock.now())
        self.verdicts, self.unjudged = watch.verdicts, watch.waiting

    # -- the steps

    def _publish(self, wanted: Wanted) -> None:
        with self._step(StepName.PUBLISH) as note:
            # From here on what is live is not known until it is judged: dying before or
            # after the rename makes the next deployment redo everything.
            before, packages = self._journal.live(), self._journal.packages()
            self._journal.set_live(None)
            # Dying here leaves those of before noted, and nobody knows what is live.
            self._note(self._runs_on, packages)
            self._lives = self._guard.fit()
            try:
                release = self._releases.publish(
                    wanted.tip,
                    # What was taken back, too: Airflow may have read it before it died.
                    touch=wanted.touch - wanted.held | wanted.touch & self.taken_back,
                    held=wanted.held,
                )
            except DiskError:  # nothing was swapped: to redo everything would need more room yet
                self._note(packages, self._runs_on)
                # Last: who dies before that redoes everything.
                self._journal.set_live(before)
                raise
            self._release = release.name
            self._published_at = self._clock.monotonic()
            note.text = f"release {release.name}, {release.written} written"

    def _note(self, packages: str | None, noted: str | None) -> None:
        if packages is not None and packages != noted:
            self._journal.set_packages(packages)

    def _parse(self, wanted: Wanted, paths: Collection[str], deleted: Collection[str]) -> Watch:
        with self._step(StepName.PARSE) as note:
            here = frozenset({self._release})
            left = frozenset(deleted)
            there = {*paths, *left.intersection(wanted.tip.files)} - wanted.held
            to_judge = Watch(
                self._release,
                waiting={path: here | wanted.unjudged.get(path, frozenset()) for path in there},
                leaving=left - wanted.tip.files.keys(),
                hints=wanted.hints,
            )
            watch = Waiting(
                self._feed,
                self._guard,
                self._clock,
                self._timeout_s,
                to_judge,
                since=self._published_at,
                lives=self._lives,
                beside=self._beside,
                cut=self._cut,
            ).until_settled()
            note.text = counted(watch.verdicts, "verdict")
            if not watch.done:
                longer = counted(watch.waiting, "file parses", "files parse")
                note.text += f", {longer} for longer: others go first"
            return watch

    def _take_back(self, died_of: str) -> None:
        """Make the release before live again; the dag-processor is well when this returns."""
        self._deaths += 1
        self._died_of = died_of
        self._dead |= self._lives
        with self._step(StepName.ROLLBACK, TAKING_BACK) as note:
            # Dying in here: the next worker finds a dag-processor that is not well, and what
            # is live not judged, and begins in the same way.
            self._releases.restore(self._before)
            log.warning("dag-processor died", release=self._release, of=died_of)
            back = self._before or "nothing"
            note.text = f"Airflow's dag-processor died: {died_of}; live again: {back}"
            self._guard.recover(self._dead)

    def _after_a_death(self, wanted: Wanted) -> Wanted:
        """Return what is tried next: the same once more, or without what the push changed."""
        if self._deaths < TRIES:
            return wanted
        changed = self._changed(wanted.tip) - wanted.held
        if self.taken_back or not changed:
            raise AirflowError(
                f"Airflow's dag-processor dies of what was live before, too: {self._died_of}"
            )
        self.taken_back = changed
        return replace(wanted, held=wanted.held | changed)

    def _changed(self, tip: Tree) -> frozenset[str]:
        """Return the paths of the tip that differ from what the release before holds.

        Not from its commit: some of that may have been held, of the same commit even.
        """
        before = self._releases.blobs(self._before) if self._before else {}
        return frozenset(path for path, file in tip.files.items() if before.get(path) != file.blob)
