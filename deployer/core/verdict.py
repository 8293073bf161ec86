"""Judge files by what Airflow says of them.

A `Watch` starts when a release has been published; each look at Airflow folds into a
new one, until no file is waiting. Pure: the shell looks, sleeps and pokes.

What makes a verdict final (AIRFLOW.md, 2): a fresh stamp proves nothing, since Airflow
stamps when it persists, not when it parses. `fileloc` and the paths in a trace are
filled in by the parsing child, and the class's bundle gives it
`releases/<name>/dags`; so they name the release that was really read. Where an error
names no path, parses of one file never overlap, so the second distinct stamp after the
change is the proof.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

STAMPS_FOR_PROOF = 2
QUIET_S = 1.0
"""A file without a DAG leaves no trace, so there is no proof that it was parsed: it is believed
when all others have their verdict, and Airflow's next tick came and brought nothing of it."""
SLOW_ROUND_S = 5.0
"""Seconds from one parse of the canary to the next, from which on Airflow counts as busy; it is
poked each second."""
NOTHING = Observation()


@dataclass(frozen=True, slots=True)
class Watch:
    """The wait for Airflow's verdicts on one release.

    Attributes:
        release: name of the published release.
        waiting: changed DAG files without a verdict yet.
        leaving: deleted DAG files that Airflow may still show.
        holds_no_dag: files in which the isolated parse found neither DAG nor error.
        before: what Airflow said before the change; none of it is evidence.
        looked: Airflow has been seen to read this release.
        rounds: distinct stamps seen of the canary in this release.
        news_at: seconds waited when it was last seen to read anything of it.
        stamps: distinct stamps seen since the change, by file, of errors without a path.
        settled: verdicts so far, by path.
    """

    release: str
    waiting: frozenset[str]
    leaving: frozenset[str] = frozenset()
    holds_no_dag: frozenset[str] = frozenset()
    before: Observation = NOTHING
    looked: bool = False
    rounds: frozenset[str] = frozenset()
    news_at: float = 0.0
    stamps: Mapping[str, frozenset[str]] = field(default_factory=dict)
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
        return len(self.rounds) * SLOW_ROUND_S >= waited_s

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts so far, by path."""
        return tuple(self.settled[path] for path in sorted(self.settled))

    def look(self, seen: Observation, *, waited_s: float) -> Watch:
        """Fold one look at Airflow, taken `waited_s` after the release went live."""
        known = {(dag.dag_id, dag.stamp) for dag in self.before.dags}
        fresh = tuple(
            dag
            for dag in seen.dags
            if (dag.dag_id, dag.stamp) not in known and names_release(dag.fileloc, self.release)
        )
        stamps = self._count(seen)
        held = _ids_by_path(fresh)
        settled = dict(self.settled)
        for path in self.waiting:
            verdict = self._of_error(path, seen, stamps, waited_s) or _of_dags(
                path, held.get(path), waited_s
            )
            if verdict is not None:
                settled[path] = verdict
        # Whatever was read from the release shows that the bundle has moved on to it.
        read = (verdict.proof is Proof.RELEASE for verdict in settled.values())
        looked = self.looked or bool(fresh) or any(read)
        news = looked != self.looked or len(settled) > len(self.settled)
        news_at = waited_s if news else self.news_at
        if looked:
            settled |= self._gone(seen, settled, waited_s)
        if looked and waited_s - news_at >= QUIET_S and not self._still_to_come(settled):
            settled |= self._silent(settled, waited_s)
        return replace(
            self,
            waiting=self.waiting - settled.keys(),
            leaving=self.leaving - settled.keys(),
            looked=looked,
            rounds=self.rounds | {dag.stamp for dag in fresh if dag.dag_id == CANARY_DAG_ID},
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

    def _count(self, seen: Observation) -> Mapping[str, frozenset[str]]:
        """Add the stamps of errors that name no file of any release."""
        known = {(error.path, error.stamp) for error in self.before.errors}
        stamps = dict(self.stamps)
        for error in seen.errors:
            pathless = not trace.releases(error.trace)
            if pathless and error.path in self.waiting and (error.path, error.stamp) not in known:
                stamps[error.path] = stamps.get(error.path, frozenset()) | {error.stamp}
        return stamps

    def _of_error(
        self, path: str, seen: Observation, stamps: Mapping[str, frozenset[str]], waited_s: float
    ) -> Verdict | None:
        error = next((error for error in seen.errors if _is_of(error.path, path)), None)
        if error is None or error in self.before.errors:
            return None
        if self.release in trace.releases(error.trace):
            proof = Proof.RELEASE
        elif len(stamps.get(path, ())) >= STAMPS_FOR_PROOF:
            proof = Proof.STAMPS
        else:
            return None
        return Verdict(path, Outcome.BROKEN, error=_read(error), proof=proof, waited_s=waited_s)

    def _gone(
        self, seen: Observation, settled: Mapping[str, Verdict], waited_s: float
    ) -> dict[str, Verdict]:
        """Settle what Airflow, known to have looked, does not show any more."""
        shown = {dag.path for dag in seen.dags if not dag.stale}
        shown |= {error.path for error in seen.errors}
        shown |= {up for path in shown for up in _above(path)}
        return {
            path: Verdict(path, Outcome.DELETED, proof=Proof.RELEASE, waited_s=waited_s)
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


def names_release(path: str, release: str) -> bool:
    """Tell whether an absolute path lies in the release directory of that name."""
    return f"/releases/{release}/" in path


def _is_of(named: str, path: str) -> bool:
    """Tell whether Airflow's name is that of the file `path`, or of a module if it is a zip.

    It calls a zip's modules as if the zip were a folder (airflow 3.3.2,
    dag_processing/importers/python_importer.py:319), and goes by its content, not its name.
    """
    return named == path or named.startswith(f"{path}/")


def _above(named: str) -> list[str]:
    """Return the paths of which `named` could be a module."""
    parts = named.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _ids_by_path(dags: Iterable[SeenDag]) -> dict[str, list[str]]:
    """Return the ids of what is not stale, by file and by whatever could be the file's zip.

    Once for all files: each asking all DAGs, 3,000 changed at once would be nine million.
    """
    ids: dict[str, list[str]] = {}
    for dag in dags:
        if not dag.stale:
            for path in (dag.path, *_above(dag.path)):
                ids.setdefault(path, []).append(dag.dag_id)
    return ids


def _of_dags(path: str, ids: Sequence[str] | None, waited_s: float) -> Verdict | None:
    # All DAGs of one file are persisted in one transaction (AIRFLOW.md): one seen, all seen.
    if not ids:
        return None
    found = tuple(sorted(ids))
    return Verdict(path, Outcome.PARSED, found, proof=Proof.RELEASE, waited_s=waited_s)


def _read(error: SeenError) -> ParseError:
    return trace.read(error.trace, error.path)
