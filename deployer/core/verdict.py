"""Judge files by what Airflow says of them.

A `Watch` starts when a release has been published; each look at Airflow folds into a
new one, until no file is waiting. Pure: the shell looks, sleeps and pokes.

What makes a verdict final (AIRFLOW.md, 2): a fresh stamp proves nothing, since Airflow
stamps when it persists, not when it parses. `fileloc` and the paths in a trace are
filled in by the parsing child, and the class's bundle gives it
`releases/<name>/dags`; so they name the release that was really read. Where nothing
names a release (an error without a path; an Airflow that reads by another bundle), it is
the second distinct stamp since Airflow is known to read this release (`core.stamps`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deployer.core import trace
from deployer.core.model import (
    CANARY_DAG_ID,
    Observation,
    Outcome,
    ParseError,
    Proof,
    SeenDag,
    SeenError,
    Verdict,
)
from deployer.core.seen import (
    above,
    by_path,
    elsewhere,
    is_of,
    nameless,
    names_release,
    tells_release,
)
from deployer.core.stamps import PROOF, Stamps, proven_ids

QUIET_S = 1.0
"""A file without a DAG leaves no trace, so there is no proof that it was parsed: it is believed
when all others have their verdict, and Airflow's next tick came and brought nothing of it."""
SLOW_ROUND_S = 5.0
"""Seconds from one parse of the canary to the next, from which on Airflow counts as busy; it is
poked each second."""


@dataclass(frozen=True, slots=True)
class Watch:
    """The wait for Airflow's verdicts on one release.

    Attributes:
        release: name of the published release.
        waiting: changed DAG files without a verdict yet.
        leaving: deleted DAG files that Airflow may still show.
        holds_no_dag: files in which the isolated parse found neither DAG nor error.
        found: ids of the DAGs that the isolated parse found, by file.
        looked: Airflow has been seen to read this release.
        elsewhere: nothing of the last look lay in a release.
        rounds: distinct stamps seen of the canary in this release.
        news_at: seconds waited when it was last seen to read anything of it.
        stamps: of all that names no release, since `looked`.
        settled: verdicts so far, by path.
    """

    release: str
    waiting: frozenset[str]
    leaving: frozenset[str] = frozenset()
    holds_no_dag: frozenset[str] = frozenset()
    found: Mapping[str, frozenset[str]] = field(default_factory=dict)
    looked: bool = False
    elsewhere: bool = False
    rounds: frozenset[str] = frozenset()
    news_at: float = 0.0
    stamps: Stamps = field(default_factory=Stamps)
    settled: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.looked and not self.waiting and not self.leaving

    def goes_round(self, *, waited_s: float) -> bool:
        """Tell whether Airflow had the time to parse all that waited for it.

        It parses the canary each time it is poked, before all else
        (airflow/dag_processing/manager.py:1683), as soon as one of its parsers is free. Where
        that takes long, they are taken by files that parse for long, and others wait.
        """
        # GitDagBundle has no canary: there it must have come back to anything at all.
        without_canary = self.elsewhere and not self.rounds and self.stamps.twice
        return without_canary or len(self.rounds) * SLOW_ROUND_S >= waited_s

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts so far, by path."""
        return tuple(self.settled[path] for path in sorted(self.settled))

    @property
    def unproven(self) -> frozenset[str]:
        """Files of which stamps were seen, but too few: only another parse brings more."""
        return frozenset(
            path for path in self.waiting if any(is_of(named, path) for named in self.stamps.files)
        )

    def look(self, seen: Observation, *, waited_s: float, versions: Collection[str] = ()) -> Watch:
        """Fold one look at Airflow, taken `waited_s` after the release went live.

        `versions`: of those that `seen` names, the versions of another bundle (GitDagBundle)
        that hold the release's commit.
        """
        named = tuple(dag for dag in seen.dags if names_release(dag.fileloc, self.release))
        unnamed = nameless(seen, versions)
        telling = tuple(dag for dag in unnamed.dags if tells_release(dag, self.release))
        # Not at the look that shows it first: of its several calls some may have come before.
        stamps = self.stamps.look(unnamed) if self.looked else self.stamps
        settled = dict(self.settled)
        held, stamped = by_path(named), by_path(unnamed.dags)
        for path in self.waiting:
            verdict = (
                self._of_error(path, seen, stamps, waited_s)
                or _of_dags(path, held.get(path), waited_s)
                or self._of_stamps(path, stamped.get(path, ()), unnamed.errors, stamps, waited_s)
            )
            if verdict is not None:
                settled[path] = verdict
        # Whatever was read from the release shows that the bundle has moved on to it.
        read = any(verdict.proof is Proof.RELEASE for verdict in settled.values())
        looked = self.looked or bool(named or telling) or read
        proof = Proof.STAMPS if elsewhere(seen) and not read else Proof.RELEASE
        news = looked != self.looked or len(settled) > len(self.settled)
        news_at = waited_s if news else self.news_at
        if looked:
            settled |= self._gone(seen, settled, proof, waited_s)
        if looked and waited_s - news_at >= QUIET_S and not self._still_to_come(settled):
            settled |= self._silent(settled, waited_s)
        return replace(
            self,
            waiting=self.waiting - settled.keys(),
            leaving=self.leaving - settled.keys(),
            looked=looked,
            elsewhere=elsewhere(seen),
            rounds=self.rounds
            | {dag.stamp for dag in (*named, *telling) if dag.dag_id == CANARY_DAG_ID},
            news_at=news_at,
            stamps=stamps,
            settled=settled,
        )

    def give_up(self, *, waited_s: float) -> Watch:
        """Settle what is still waiting: its bound has passed."""
        late = {
            path: Verdict(path, Outcome.TIMEOUT, waited_s=waited_s)
            for path in self.waiting | self.leaving
        }
        settled = {**self.settled, **late, **self._silent(self.settled, waited_s)}
        return replace(self, waiting=frozenset(), leaving=frozenset(), settled=settled)

    def _of_error(
        self, path: str, seen: Observation, stamps: Stamps, waited_s: float
    ) -> Verdict | None:
        error = next((error for error in seen.errors if is_of(error.path, path)), None)
        if error is None:
            return None
        if self.release in trace.releases(error.trace):
            proof = Proof.RELEASE
        elif stamps.moved(error.path) >= PROOF:
            proof = Proof.STAMPS
        else:
            return None
        return Verdict(path, Outcome.BROKEN, error=_read(error), proof=proof, waited_s=waited_s)

    def _of_stamps(
        self,
        path: str,
        dags: Sequence[SeenDag],
        errors: Sequence[SeenError],
        stamps: Stamps,
        waited_s: float,
    ) -> Verdict | None:
        """Judge a file that parsed by the stamps of its DAGs, which are `dags`."""
        if any(stamps.moved(error.path) for error in errors if is_of(error.path, path)):
            return None
        moved = {dag.dag_id: stamps.moved(dag.path, dag.dag_id) for dag in dags}
        ids = proven_ids(moved, self.found.get(path, frozenset()))
        if ids is None:
            return None
        return Verdict(path, Outcome.PARSED, ids, proof=Proof.STAMPS, waited_s=waited_s)

    def _gone(
        self, seen: Observation, settled: Mapping[str, Verdict], proof: Proof, waited_s: float
    ) -> dict[str, Verdict]:
        """Settle what Airflow, known to have looked, does not show any more."""
        shown = {dag.path for dag in seen.dags if not dag.stale}
        shown |= {error.path for error in seen.errors}
        shown |= {up for path in shown for up in above(path)}
        return {
            path: Verdict(path, Outcome.DELETED, proof=proof, waited_s=waited_s)
            for path in self.leaving - shown - settled.keys()
        }

    def _still_to_come(self, settled: Mapping[str, Verdict]) -> frozenset[str]:
        return self.waiting - self.holds_no_dag - settled.keys()

    def _silent(self, settled: Mapping[str, Verdict], waited_s: float) -> dict[str, Verdict]:
        """Settle files of which nothing was heard, where nothing was to be expected."""
        return {
            path: Verdict(path, Outcome.NO_DAG, proof=Proof.PREFLIGHT, waited_s=waited_s)
            for path in self.waiting & self.holds_no_dag - settled.keys()
        }


def _of_dags(path: str, dags: Sequence[SeenDag] | None, waited_s: float) -> Verdict | None:
    # All DAGs of one file are persisted in one transaction (AIRFLOW.md): one seen, all seen.
    if not dags:
        return None
    found = tuple(sorted(dag.dag_id for dag in dags))
    return Verdict(path, Outcome.PARSED, found, proof=Proof.RELEASE, waited_s=waited_s)


def _read(error: SeenError) -> ParseError:
    return trace.read(error.trace, error.path)
