"""Releases made by hand for a real Airflow to read, and what its dag-processor tells of them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from deployer.core.model import DAGS, Listed, ParseResult, Told
from deployer.edges.airflow.rest import AirflowRest
from deployer.edges.disk import airflow_files
from deployer.edges.embedded.airflow import LocalAirflow
from deployer.edges.embedded.airflow_settings import parsing_environment
from deployer.ports import ParseFeed

T = TypeVar("T")
PATIENCE_S = 120.0
API_TIMEOUT_S = 60.0
"""Of one call: the deployer itself asks again after 5 s, most tests ask once."""


def ran(airflow_python: Path, script: str, home: Path) -> Any:  # noqa: ANN401  # as it says
    """Return what a script says as JSON in its last line, run in Airflow's environment."""
    done = subprocess.run(
        [str(airflow_python), "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            **parsing_environment(airflow_files()),
            "AIRFLOW_HOME": str(home),
        },
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


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


FIRST = "dags/first/first.py"
FIRST_DAG_ID = "first_dag"
FIRST_FILES = {FIRST: dag_text(FIRST_DAG_ID)}
"""What an Airflow has read once it is up."""


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


class Hearing:
    """A feed, and all that it told so far.

    Attributes:
        told: oldest first.
    """

    def __init__(self, feed: ParseFeed) -> None:
        self.feed = feed
        self.told: list[Told] = []

    def ask(self, release: str, *, first: Collection[str], later: Collection[str] = ()) -> None:
        """Forget what was told before, and ask."""
        self.told.clear()
        self.feed.ask(release, first=first, later=later)

    def until(self, seen: Callable[[], T | None], what: str) -> T:
        """Listen until `seen` sees it in what was told."""
        end = time.monotonic() + PATIENCE_S
        while True:
            if (found := seen()) is not None:
                return found
            left_s = end - time.monotonic()
            assert left_s > 0, f"never told: {what}; told: {self.told}"
            self.told += self.feed.wait(left_s)

    def results(self, path: str) -> list[ParseResult]:
        return [told for told in self.told if isinstance(told, ParseResult) and told.path == path]

    def result(self, release: str, path: str) -> ParseResult:
        """Wait for what came of a file of `release`."""

        def seen() -> ParseResult | None:
            return next((told for told in self.results(path) if told.release == release), None)

        return self.until(seen, f"a result of {path} of {release}")

    def dag(self, release: str, dag_id: str) -> ParseResult:
        """Wait until a file is parsed from `release` that holds the DAG."""

        def seen() -> ParseResult | None:
            results = [told for told in self.told if isinstance(told, ParseResult)]
            return next((r for r in results if r.release == release and dag_id in r.dag_ids), None)

        return self.until(seen, f"{dag_id} of {release}")

    def listing(self, release: str) -> frozenset[str]:
        """Wait for what a refresh found in `release`."""

        def seen() -> frozenset[str] | None:
            listings = [told for told in self.told if isinstance(told, Listed)]
            return next((one.paths for one in listings if one.release == release), None)

        return self.until(seen, f"a listing of {release}")


def publish(releases: HandMadeReleases, hearing: Hearing, changes: Mapping[str, str | None]) -> str:
    """Make a release live, and ask for the files of it that changed; return its name."""
    name = releases.publish(changes)
    first = [path for path in changes.keys() & releases.files if path.startswith(DAGS)]
    hearing.ask(name, first=first)
    return name


@dataclass
class World:
    """One real Airflow, and the releases that it reads."""

    local: LocalAirflow
    airflow: AirflowRest
    releases: HandMadeReleases
    hearing: Hearing

    def publish(self, changes: Mapping[str, str | None]) -> str:
        return publish(self.releases, self.hearing, changes)

    def dag_from(self, release: str, dag_id: str) -> ParseResult:
        return self.hearing.dag(release, dag_id)

    def error_from(self, release: str, path: str) -> str:
        """Wait for what came of `path`; return its trace, which must name `release`."""
        trace = self.hearing.result(release, path).errors[path]
        assert f"/{release}/" in trace
        return trace
