"""Releases made by hand for a real Airflow to read, and patient looks at what it says."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from deployer.core.model import CANARY, CANARY_DAG_ID, Observation, SeenDag, SeenError
from deployer.edges.airflow import AirflowRest
from deployer.edges.local import LocalAirflow

T = TypeVar("T")
PATIENCE_S = 120.0
API_TIMEOUT_S = 60.0
"""Of one call: the deployer itself asks again after 5 s, most tests ask once."""


def dag_text(dag_id: str, *, head: str = "", body: str = "") -> str:
    """Return a file with one DAG of one task, for the folder that the dag_id begins with."""
    return f"""\
from airflow.sdk import dag, task
{head}

@dag(dag_id="{dag_id}", schedule=None, tags=["student:{dag_id.partition("_")[0]}"])
def pipeline():
    @task
    def work():
        {body or "return 1"}

    work()

pipeline()
"""


def broken_text(line: int = 2) -> str:
    """Return a file that imports on `line` what does not exist."""
    return "# a DAG of airflow\n" * (line - 1) + "import nothing_of_that_name\n"


CANARY_FILES = {CANARY: dag_text(CANARY_DAG_ID)}


class HandMadeReleases:
    """`releases/<name>/` under a root, unchanged files hard-linked, `current` swapped by rename."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, str] = {}
        self.name = ""
        self._count = 0

    def publish(self, changes: Mapping[str, str | None]) -> str:
        """Make a release of the one before and `changes` (None: deleted); return its name."""
        before, self._count = self.name, self._count + 1
        self.files = {
            path: text for path, text in {**self.files, **changes}.items() if text is not None
        }
        self.name = hashlib.sha1(f"{self.root}{self._count}".encode()).hexdigest()  # noqa: S324  # names like git's
        release = self.root / "releases" / self.name
        for path, text in self.files.items():
            file = release / path
            file.parent.mkdir(parents=True, exist_ok=True)
            if path in changes or not before:
                file.write_text(text)
            else:
                os.link(self.root / "releases" / before / path, file)
        for path in changes.keys() & self.files.keys():
            os.utime(release / path)
        link = self.root / "current.new"
        link.symlink_to(f"releases/{self.name}")
        link.replace(self.root / "current")
        return self.name


@dataclass
class World:
    """One real Airflow, and the releases that it reads."""

    local: LocalAirflow
    airflow: AirflowRest
    releases: HandMadeReleases
    calls: list[tuple[str, float]] = field(default_factory=list)

    def publish(self, changes: Mapping[str, str | None]) -> str:
        name = self.releases.publish(changes)
        self.airflow.poke()
        return name

    def dag_from(self, release: str, dag_id: str) -> SeenDag:
        """Wait until the DAG is parsed from `release`."""

        def seen(now: Observation) -> SeenDag | None:
            return next(
                (d for d in now.dags if d.dag_id == dag_id and f"/{release}/" in d.fileloc), None
            )

        return self.wait(release, [dag_id], seen, f"{dag_id} parsed from {release}")

    def error_from(self, release: str, path: str) -> SeenError:
        """Wait for the import error of `path` whose trace names `release`."""

        def seen(now: Observation) -> SeenError | None:
            return next(
                (e for e in now.errors if e.path == path and f"/{release}/" in e.trace), None
            )

        return self.wait(release, [], seen, f"an error of {path} from {release}")

    def wait(
        self,
        release: str,
        dag_ids: list[str],
        seen: Callable[[Observation], T | None],
        what: str,
    ) -> T:
        end = time.monotonic() + PATIENCE_S
        while True:
            now = self.airflow.observe(release, dag_ids)
            if found := seen(now):
                return found
            assert time.monotonic() < end, f"never seen: {what}; last seen: {now}"
            time.sleep(0.1)
