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

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from deployer.core import trace
from deployer.core.model import (
    CANARY,
    CANARY_DAG_ID,
    Observation,
    Outcome,
    ParseError,
    Proof,
    SeenDag,
    SeenError,
    Verdict,
)
from deployer.core.stamps import PROOF, Stamps

_RELEASE = re.compile(r"/releases/[^/]+/dags/")


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
        elsewhere: nothing in the last look lay in a release: Airflow reads by a bundle that
            is not the class's, or has not read anything yet.
        rounds: distinct stamps seen of the canary in this release.
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
    stamps: Stamps = field(default_factory=Stamps)
    settled: Mapping[str, Verdict] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        return self.looked and not self.waiting and not self.leaving

    @property
    def goes_round(self) -> bool:
        """Whether Airflow came back to a file it had read: its queue was empty in between.

        It asks for more to parse only then (AIRFLOW.md, Noticing). So a file without a
        verdict was not just waiting for its turn.
        """
        return len(self.rounds) >= PROOF or self.stamps.twice

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts so far, by path."""
        return tuple(self.settled[path] for path in sorted(self.settled))

    @property
    def unproven(self) -> frozenset[str]:
        """Files of which stamps were seen, but too few: only another parse brings more."""
        return frozenset(
            path for path in self.waiting if any(_is_of(named, path) for named in self.stamps.files)
        )

    def look(self, seen: Observation, *, waited_s: float, versions: Collection[str] = ()) -> Watch:
        """Fold one look at Airflow, taken `waited_s` after the release went live.

        `versions`: of those that `seen` names, the versions of another bundle (GitDagBundle)
        that hold the release's commit.
        """
        fresh = tuple(dag for dag in seen.dags if names_release(dag.fileloc, self.release))
        nameless = _nameless(seen, versions)
        # Not at the look that shows it first: of its several calls some may have come before.
        stamps = self.stamps.look(nameless) if self.looked else self.stamps
        settled = dict(self.settled)
        for path in self.waiting:
            verdict = (
                self._of_error(path, seen, stamps, waited_s)
                or _of_dags(path, fresh, waited_s)
                or self._of_stamps(path, nameless, stamps, waited_s)
            )
            if verdict is not None:
                settled[path] = verdict
        # Whatever was read from the release shows that the bundle has moved on to it.
        read = any(verdict.proof is Proof.RELEASE for verdict in settled.values())
        told = any(_tells_release(dag, self.release) for dag in nameless.dags)
        looked = self.looked or bool(fresh) or read or told
        elsewhere = not any(_RELEASE.search(dag.fileloc) for dag in seen.dags)
        if looked:
            proof = Proof.STAMPS if elsewhere and not read else Proof.RELEASE
            settled |= self._without_a_trace(seen, settled, proof, waited_s)
        return replace(
            self,
            waiting=self.waiting - settled.keys(),
            leaving=self.leaving - settled.keys(),
            looked=looked,
            elsewhere=elsewhere,
            rounds=self.rounds | {dag.stamp for dag in fresh if dag.dag_id == CANARY_DAG_ID},
            stamps=stamps,
            settled=settled,
        )

    def give_up(self, *, waited_s: float) -> Watch:
        """Settle what is still waiting: its bound has passed."""
        late = {
            path: Verdict(path, Outcome.TIMEOUT, waited_s=waited_s)
            for path in self.waiting | self.leaving
        }
        return replace(
            self, waiting=frozenset(), leaving=frozenset(), settled={**self.settled, **late}
        )

    def _of_error(
        self, path: str, seen: Observation, stamps: Stamps, waited_s: float
    ) -> Verdict | None:
        error = next((error for error in seen.errors if _is_of(error.path, path)), None)
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
        self, path: str, nameless: Observation, stamps: Stamps, waited_s: float
    ) -> Verdict | None:
        """Judge a file that parsed by the stamps of its DAGs."""
        if any(stamps.moved(error.path) for error in nameless.errors if _is_of(error.path, path)):
            return None
        moved = {
            dag.dag_id: stamps.moved(dag.path, dag.dag_id)
            for dag in nameless.dags
            if _is_of(dag.path, path) and not dag.stale
        }
        most = max(moved.values(), default=0)
        # One that has moved but once may be of the old text alone, unless the new one has it too.
        found = self.found.get(path, frozenset())
        ids = {dag_id for dag_id, n in moved.items() if n >= PROOF or (n and dag_id in found)}
        # Airflow may find other DAGs than the isolated parse did: no use in waiting longer.
        if most < PROOF or (most == PROOF and not found <= ids):
            return None
        return Verdict(
            path, Outcome.PARSED, tuple(sorted(ids)), proof=Proof.STAMPS, waited_s=waited_s
        )

    def _without_a_trace(
        self, seen: Observation, settled: Mapping[str, Verdict], proof: Proof, waited_s: float
    ) -> dict[str, Verdict]:
        """Settle what Airflow shows by showing nothing, once it is known to have looked."""
        found = {
            path: Verdict(path, Outcome.NO_DAG, proof=Proof.PREFLIGHT, waited_s=waited_s)
            for path in self.waiting & self.holds_no_dag - settled.keys()
        }
        shown = {dag.path for dag in seen.dags if not dag.stale}
        shown |= {error.path for error in seen.errors}
        shown |= {up for path in shown for up in _above(path)}
        for path in self.leaving - shown:
            found[path] = Verdict(path, Outcome.DELETED, proof=proof, waited_s=waited_s)
        return found


def names_release(path: str, release: str) -> bool:
    """Tell whether an absolute path lies in the release directory of that name."""
    return f"/releases/{release}/" in path


def versions_elsewhere(seen: Observation) -> frozenset[str]:
    """Return the versions of bundles other than the class's that a look shows."""
    return frozenset(
        dag.version for dag in seen.dags if dag.version and not _RELEASE.search(dag.fileloc)
    )


def _nameless(seen: Observation, versions: Collection[str]) -> Observation:
    """Return what names no release, without what a bundle stored before it had the commit."""
    return Observation(
        tuple(
            dag
            for dag in seen.dags
            if not _RELEASE.search(dag.fileloc) and (dag.version is None or dag.version in versions)
        ),
        tuple(error for error in seen.errors if not trace.releases(error.trace)),
    )


def _tells_release(dag: SeenDag, release: str) -> bool:
    """Tell whether what names no release shows all the same that Airflow reads `release`.

    By the bundle's version; or by the canary's own text, which the parsing child read.
    """
    if dag.stale:
        return False
    return dag.version is not None or (dag.path == CANARY and dag.description == release)


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


def _of_dags(path: str, fresh: tuple[SeenDag, ...], waited_s: float) -> Verdict | None:
    # All DAGs of one file are persisted in one transaction (AIRFLOW.md): one seen, all seen.
    ids = tuple(sorted(dag.dag_id for dag in fresh if _is_of(dag.path, path) and not dag.stale))
    if not ids:
        return None
    return Verdict(path, Outcome.PARSED, ids, proof=Proof.RELEASE, waited_s=waited_s)


def _read(error: SeenError) -> ParseError:
    return trace.read(error.trace, error.path)
