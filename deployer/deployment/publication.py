"""Make a release live and have it judged; take it back where the dag-processor dies of it.

The first time it dies may be chance: somebody restarted it, the machine had no memory left.
So the release before comes back at once, and when the dag-processor is well again the new one
gets a second try. If it dies again, what the push changed is held (docs/decisions/010).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from deployer.core.counts import counted
from deployer.core.model import Proof, StepName, Tree, Verdict
from deployer.core.planning.held import DIED
from deployer.core.verdicts.watch import Watch
from deployer.deployment.dag_processor import DagProcessor
from deployer.deployment.holding import Holding
from deployer.deployment.parts import Parts
from deployer.deployment.steps import Steps
from deployer.deployment.watching import Beside, Waiting
from deployer.errors import AirflowError, DagProcessorEnded, DiskError

log = structlog.get_logger()

TRIES = 2
TAKING_BACK: Final = "Airflow's dag-processor died: the previous release comes back"


@dataclass(eq=False)
class GoLive:
    """One release of one deployment; `beside` and `cut` as for `Waiting`.

    Attributes:
        holding: what of its tip keeps its live version, or stays out.
        verdicts: of Airflow, on what went live.
        unjudged: what is live without a verdict, since a wait was cut short, each with the
            releases that hold its text.
    """

    parts: Parts
    step: Steps
    holding: Holding
    beside: Beside
    cut: Callable[[], bool]
    verdicts: tuple[Verdict, ...] = ()
    unjudged: Mapping[str, frozenset[str]] = field(default_factory=dict)
    _tip: Tree = field(init=False)  # as it is to be seen
    _held: frozenset[str] = frozenset()  # paths that keep their live version, or stay out
    _touch: frozenset[str] = frozenset()
    _runs_on: str | None = None
    _before: str | None = None  # the release to go back to
    _release: str = ""
    _lives: frozenset[str] = frozenset()  # that were well when it went live
    _published_at: float = 0.0  # monotonic
    _dead: frozenset[str] = frozenset()  # those of them that died of it
    _deaths: int = 0
    _died_of: str = ""
    _taken_back: frozenset[str] = frozenset()  # paths held because the dag-processor died of them

    def __post_init__(self) -> None:
        self._dag_processor = DagProcessor(self.parts)

    def publish(self, tip: Tree, touch: Collection[str], runs_on: str | None = None) -> None:
        """Make `tip` the live release, but for what is held.

        `touch`: DAG files that Airflow is to parse again; `runs_on`: the packages that run with
        it, if they are known.

        Raises:
            DiskError, GitError: it was not swapped.
            AirflowError: the dag-processor is dead, and with what was live before as well.
            ServicesError: it is dead, and can't be started.
        """
        live, judged = self.parts.releases.live(), self.parts.journal.live() is not None
        self._before = live.name if live and judged else self.parts.releases.proven()
        if live and live.name != self._before and self._dag_processor.is_ill():
            # Of a deployment that ended, or whose worker died, before it was judged.
            self._take_back("it was not well, and nobody had judged what is live")
        self._take(tip)
        self._touch, self._runs_on = frozenset(touch), runs_on
        self._publish()

    def rejoin(self, tip: Tree) -> None:
        """Take up `tip`, which is live and whose verdicts are to be waited for."""
        live = self.parts.releases.live()
        self._take(tip)
        self._before = self.parts.releases.proven()
        self._lives = self._dag_processor.fit()
        self._release = live.name if live else ""
        self._published_at = self.parts.clock.monotonic()

    def judge(self, paths: Collection[str], deleted: Collection[str] = ()) -> None:
        """Wait for Airflow's verdicts on `paths`, and for what was `deleted` to be gone from it.

        Raises:
            AirflowError: there are none, and that is not the push's doing.
            ServicesError, DiskError, GitError: as `publish`, in taking it back or trying it again.
        """
        while True:
            try:
                watch = self._parse(paths, deleted)
                break
            except DagProcessorEnded as exc:
                self._take_back(str(exc))
                self._after_a_death()
                self._publish()
        if not watch.waiting:
            self.parts.releases.confirm(self._release)
        if self._taken_back:
            whose = "it" if len(self._taken_back) == 1 else "this push"
            reason = f"Airflow's dag-processor died of {whose}: {self._died_of}"
            # Dying here costs two more deaths; to blame a push before it is proven that
            # the dag-processor lives without it could cost a student his green for good.
            blobs = {path: self._tip.files[path].blob for path in self._taken_back}
            self.parts.journal.condemn(blobs, reason, at=self.parts.clock.now())
            for path in self._taken_back:
                self.holding.hold(path, reason, Proof.NONE, of=DIED)
        self.verdicts, self.unjudged = watch.verdicts, watch.waiting

    # -- the steps

    def _take(self, tip: Tree) -> None:
        self._tip, self._held = self.holding.seen(tip), self.holding.paths(tip)

    def _publish(self) -> None:
        journal = self.parts.journal
        with self.step(StepName.PUBLISH) as note:
            # From here on what is live is not known until it is judged: dying before or
            # after the rename makes the next deployment redo everything.
            before, packages = journal.live(), journal.packages()
            journal.set_live(None)
            # Dying here leaves those of before noted, and nobody knows what is live.
            self._note(self._runs_on, packages)
            self._lives = self._dag_processor.fit()
            try:
                release = self.parts.releases.publish(
                    self._tip,
                    # What was taken back, too: Airflow may have read it before it died.
                    touch=self._touch - self._held | self._touch & self._taken_back,
                    held=self._held,
                )
            except DiskError:  # nothing was swapped: to redo everything would need more room yet
                self._note(packages, self._runs_on)
                # Last: who dies before that redoes everything.
                journal.set_live(before)
                raise
            self._release = release.name
            self._published_at = self.parts.clock.monotonic()
            note.text = f"release {release.name}, {release.written} written"

    def _note(self, packages: str | None, noted: str | None) -> None:
        if packages is not None and packages != noted:
            self.parts.journal.set_packages(packages)

    def _parse(self, paths: Collection[str], deleted: Collection[str]) -> Watch:
        with self.step(StepName.PARSE) as note:
            here = frozenset({self._release})
            left = frozenset(deleted)
            there = {*paths, *left.intersection(self._tip.files)} - self._held
            to_judge = Watch(
                self._release,
                waiting={path: here | self.unjudged.get(path, frozenset()) for path in there},
                leaving=left - self._tip.files.keys(),
                hints=self.holding.hints,
            )
            watch = Waiting(
                self.parts,
                to_judge,
                since=self._published_at,
                lives=self._lives,
                beside=self.beside,
                cut=self.cut,
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
        with self.step(StepName.ROLLBACK, TAKING_BACK) as note:
            # Dying in here: the next worker finds a dag-processor that is not well, and what
            # is live not judged, and begins in the same way.
            self.parts.releases.restore(self._before)
            log.warning("dag-processor died", release=self._release, of=died_of)
            back = self._before or "nothing"
            note.text = f"Airflow's dag-processor died: {died_of}; live again: {back}"
            self._dag_processor.recover(self._dead)

    def _after_a_death(self) -> None:
        """Decide what is tried next: the same once more, or without what the push changed."""
        if self._deaths < TRIES:
            return
        changed = self._changed() - self._held
        if self._taken_back or not changed:
            raise AirflowError(
                f"Airflow's dag-processor dies of what was live before, too: {self._died_of}"
            )
        self._taken_back = changed
        self._held |= changed

    def _changed(self) -> frozenset[str]:
        """Return the paths of the tip that differ from what the release before holds.

        Not from its commit: some of that may have been held, of the same commit even.
        """
        before = self.parts.releases.blobs(self._before) if self._before else {}
        return frozenset(
            path for path, file in self._tip.files.items() if before.get(path) != file.blob
        )
