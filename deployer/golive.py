"""Make a release live and have it judged; take it back where the dag-processor dies of it.

The first time it dies may be chance: somebody restarted it, the machine had no memory left.
So the release before comes back at once, and when the dag-processor is well again the new one
gets a second try. If it dies again, what the push changed is held (docs/decisions/010).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import structlog

from deployer.core.model import Parse, StepName, Tree, Verdict
from deployer.core.verdict import Watch
from deployer.elsewhere import Elsewhere
from deployer.errors import AirflowError, DagProcessorEnded, UnknownCommit
from deployer.guarding import Guard
from deployer.ports import Clock, Journal, Releases, Repository
from deployer.steps import Steps
from deployer.waiting import Waiting

log = structlog.get_logger()

TRIES = 2


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to go live.

    Attributes:
        tip: the commit's tree.
        touch: DAG files that Airflow is to parse again.
        held: paths that keep their live version, or stay out.
        holds_no_dag: DAG files without a DAG, as the isolated parse found.
        found: the DAGs' ids by file, likewise.
    """

    tip: Tree
    touch: frozenset[str]
    held: frozenset[str]
    holds_no_dag: frozenset[str] = frozenset()
    found: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of it.

    Attributes:
        verdicts: of Airflow, on what went live.
        taken_back: paths that are held because the dag-processor died of them; sorted.
        died_of: why, in a few words; empty if nothing was taken back.
        reason: the same as a sentence about one of the paths.
    """

    verdicts: tuple[Verdict, ...]
    taken_back: tuple[str, ...] = ()
    died_of: str = ""
    reason: str = ""


@dataclass(slots=True)
class _Attempt:
    """Where it stands. `before`: the release to go back to. `published_at`: monotonic seconds."""

    before: str | None = None
    release: str = ""
    published_at: float = 0.0
    deaths: int = 0
    died_of: str = ""
    taken_back: frozenset[str] = frozenset()

    @property
    def reason(self) -> str:
        whose = "it" if len(self.taken_back) == 1 else "this push"
        return f"Airflow's dag-processor died of {whose}: {self.died_of}"


class GoLive:
    """One release of one deployment."""

    def __init__(
        self,
        repository: Repository,
        releases: Releases,
        journal: Journal,
        clock: Clock,
        *,
        guard: Guard,
        waiting: Waiting,
        step: Steps,
    ) -> None:
        self._repository = repository
        self._releases = releases
        self._journal = journal
        self._clock = clock
        self._guard = guard
        self._waiting = waiting
        self._step = step
        self._attempt = _Attempt()

    def publish(self, wanted: Wanted) -> None:
        """Make it the live release.

        Raises:
            DiskError: nothing was swapped.
            AirflowError: the dag-processor is dead, and with what was live before as well.
        """
        live, judged = self._releases.live(), self._journal.live() is not None
        self._attempt.before = live.name if live and judged else self._releases.proven()
        self._guard.begin()
        if live and not judged and not self._guard.trusted and live.name != self._attempt.before:
            # Of a deployment that ended, or whose worker died, before it was judged.
            self._take_back(
                DagProcessorEnded("it was not well, and nobody had judged what is live")
            )
        self._publish(wanted)

    def judge(self, wanted: Wanted, parse: Parse) -> Judged:
        """Wait for Airflow's verdicts.

        Raises:
            AirflowError: there are none, and that is not the push's doing.
        """
        attempt = self._attempt
        while True:
            try:
                verdicts = self._parse(wanted, parse)
            except DagProcessorEnded as exc:
                self._take_back(exc)
                wanted = self._after_a_death(wanted)
                self._publish(wanted)
            else:
                self._releases.confirm(attempt.release)
                if not attempt.taken_back:
                    return Judged(verdicts)
                # Dying here costs two more deaths; to blame a push before it is proven that
                # the dag-processor lives without it could cost a student his green for good.
                blobs = {path: wanted.tip.files[path].blob for path in attempt.taken_back}
                self._journal.condemn(blobs, attempt.reason, at=self._clock.now())
                taken_back = tuple(sorted(attempt.taken_back))
                return Judged(verdicts, taken_back, attempt.died_of, attempt.reason)

    # -- the steps

    def _publish(self, wanted: Wanted) -> None:
        with self._step(StepName.PUBLISH) as note:
            # From here on what is live is not known until it is judged: dying before or
            # after the rename makes the next deployment redo everything.
            self._journal.set_live(None)
            release = self._releases.publish(
                wanted.tip,
                # What was taken back, too: Airflow may have read it before it died.
                touch=wanted.touch - wanted.held | wanted.touch & self._attempt.taken_back,
                held=wanted.held,
            )
            self._attempt.release = release.name
            self._attempt.published_at = self._clock.monotonic()
            note.text = f"release {release.name}, {release.written} written"

    def _parse(self, wanted: Wanted, parse: Parse) -> tuple[Verdict, ...]:
        with self._step(StepName.PARSE) as note:
            watch = self._waiting.until_settled(
                Watch(
                    self._attempt.release,
                    waiting=frozenset(parse.paths) - wanted.held,
                    leaving=frozenset(parse.deleted),
                    holds_no_dag=wanted.holds_no_dag,
                    found=wanted.found,
                ),
                since=self._attempt.published_at,
                known=self._journal.dag_ids(parse.deleted),
                elsewhere=Elsewhere(self._repository, self._journal, wanted.tip, parse.paths),
            )
            note.text = f"{len(watch.verdicts)} verdicts"
            return watch.verdicts

    def _take_back(self, died: DagProcessorEnded) -> None:
        """Make the release before live again; the dag-processor is well when this returns."""
        self._attempt.deaths += 1
        self._attempt.died_of = str(died)
        before = self._attempt.before
        with self._step(StepName.ROLLBACK) as note:
            # Dying in here: the next worker finds a dag-processor that is not well, and what
            # is live not judged, and begins in the same way.
            self._releases.restore(before)
            log.warning("dag-processor died", release=self._attempt.release, of=str(died))
            note.text = f"Airflow's dag-processor died: {died}; live again: {before or 'nothing'}"
            self._guard.recover()

    def _after_a_death(self, wanted: Wanted) -> Wanted:
        """Return what is tried next: the same once more, or without what the push changed."""
        attempt = self._attempt
        if attempt.deaths < TRIES:
            return wanted
        if attempt.taken_back:
            raise AirflowError(
                f"Airflow's dag-processor dies of what was live before, too: {attempt.died_of}"
            )
        attempt.taken_back = self._changed(wanted.tip) - wanted.held
        return replace(wanted, held=wanted.held | attempt.taken_back)

    def _changed(self, tip: Tree) -> frozenset[str]:
        """Return the paths of the tip that differ from the commit of the release before."""
        name = self._attempt.before
        try:
            before = self._repository.tree(name[:40]).files if name else {}
        except UnknownCommit:  # a forced push, and the mirror was made anew
            before = {}
        return frozenset(p for p, f in tip.files.items() if p not in before or before[p] != f)
