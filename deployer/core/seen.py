"""What the things that Airflow shows name: a release, a file, a version of a bundle."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from deployer.core import trace
from deployer.core.model import CANARY, Observation, SeenDag

_RELEASE = re.compile(r"/releases/[^/]+/dags/")


def names_release(path: str, release: str) -> bool:
    """Tell whether an absolute path lies in the release directory of that name."""
    return f"/releases/{release}/" in path


def elsewhere(seen: Observation) -> bool:
    """Tell whether nothing of a look lies in any release.

    Airflow reads by a bundle that is not the class's, or has not read anything yet.
    """
    return not any(_RELEASE.search(dag.fileloc) for dag in seen.dags)


def versions_elsewhere(seen: Observation) -> frozenset[str]:
    """Return the versions of bundles other than the class's that a look shows."""
    return frozenset(
        dag.version for dag in seen.dags if dag.version and not _RELEASE.search(dag.fileloc)
    )


def nameless(seen: Observation, versions: Collection[str]) -> Observation:
    """Return what names no release.

    What a bundle with versions of its own stored is among it from `versions` on, which hold
    the commit.
    """
    return Observation(
        tuple(
            dag
            for dag in seen.dags
            if not _RELEASE.search(dag.fileloc) and (dag.version is None or dag.version in versions)
        ),
        tuple(error for error in seen.errors if not trace.releases(error.trace)),
    )


def tells_release(dag: SeenDag, release: str) -> bool:
    """Tell whether a nameless DAG shows all the same that Airflow reads `release`.

    By the bundle's version; or by the canary's own text, which the parsing child read.
    """
    if dag.stale:
        return False
    return dag.version is not None or (dag.path == CANARY and dag.description == release)


def is_of(named: str, path: str) -> bool:
    """Tell whether Airflow's name is that of the file `path`, or of a module if it is a zip.

    It calls a zip's modules as if the zip were a folder (airflow 3.3.2,
    dag_processing/importers/python_importer.py:319), and goes by its content, not its name.
    """
    return named == path or named.startswith(f"{path}/")


def above(named: str) -> list[str]:
    """Return the paths of which `named` could be a module."""
    parts = named.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def by_path(dags: Iterable[SeenDag]) -> dict[str, list[SeenDag]]:
    """Return what is not stale, by file and by whatever could be the file's zip.

    Once for all files: each asking all DAGs, 3,000 changed at once would be nine million.
    """
    found: dict[str, list[SeenDag]] = {}
    for dag in dags:
        if not dag.stale:
            for path in (dag.path, *above(dag.path)):
                found.setdefault(path, []).append(dag)
    return found
