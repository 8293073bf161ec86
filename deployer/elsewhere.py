"""What a wait needs where Airflow reads by a bundle that is not the class's.

The class's bundle answers for all of a release at once. Any other (LocalDagBundle,
GitDagBundle) has to be asked for each file's DAGs by their ids, and GitDagBundle has
versions of its own, of which git says whether they hold the deployed commit.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

import structlog

from deployer.core.model import Observation, Tree
from deployer.core.seen import versions_elsewhere
from deployer.core.verdict import Watch
from deployer.errors import GitError, UnknownCommit
from deployer.ports import Journal, Repository

log = structlog.get_logger()

WITNESSES = 50
"""Files that did not change, whose DAGs show which version a bundle has come to."""


class Elsewhere:
    """The help for one deployment's wait.

    Args:
        tip: the deployed commit's tree.
        changed: its DAG files that are waited for.
    """

    def __init__(
        self, repository: Repository, journal: Journal, tip: Tree, changed: Collection[str]
    ) -> None:
        self._repository = repository
        self._journal = journal
        self._tip = tip
        self._changed = frozenset(changed)
        self._witnesses: frozenset[str] | None = None
        self._holds: dict[str, bool] = {}

    def dag_ids(self, watch: Watch) -> frozenset[str]:
        """Return the DAGs to ask for, beside those that any bundle is asked for."""
        if not watch.elsewhere:
            return frozenset()
        return frozenset(chain(self._known_witnesses(), *watch.found.values()))

    def to_parse(self, watch: Watch) -> frozenset[str]:
        """Return DAGs whose files are to be parsed now: nothing else moves GitDagBundle."""
        if not watch.elsewhere:
            return frozenset()
        witnesses = frozenset() if watch.looked else self._known_witnesses()
        return self.of_waiting(watch) | witnesses

    def of_waiting(self, watch: Watch) -> frozenset[str]:
        """Return the DAGs by which Airflow may know the files that are waited for."""
        found = chain.from_iterable(watch.found.get(path, ()) for path in watch.waiting)
        had = self._journal.dag_ids(watch.waiting)  # of a file that does not parse any more
        return frozenset(found) | had

    def versions(self, seen: Observation) -> frozenset[str]:
        """Return the versions of another bundle in `seen` that hold the deployed commit."""
        return frozenset(version for version in versions_elsewhere(seen) if self._held(version))

    def _known_witnesses(self) -> frozenset[str]:
        if self._witnesses is None:
            files = self._tip.files.items()
            may_serve = {path for path, file in files if file.facts.may_hold_dag} - self._changed
            self._witnesses = self._journal.dag_ids(sorted(may_serve)[:WITNESSES])
        return self._witnesses

    def _held(self, version: str) -> bool:
        if version not in self._holds:
            try:
                self._holds[version] = self._ask(version)
            except GitError as exc:
                log.warning("unknown bundle version", version=version, reason=str(exc))
                self._holds[version] = False
        return self._holds[version]

    def _ask(self, version: str) -> bool:
        try:
            return self._repository.contains(version, self._tip.sha)
        except UnknownCommit:  # pushed since the mirror was last brought up to date
            self._repository.fetch()
            return self._repository.contains(version, self._tip.sha)
