"""What the deployer is measured against: `git pull` at intervals into a folder that Airflow scans.

A real Airflow with Airflow's own defaults, its LocalDagBundle over a working copy, and a loop
that pulls as a cron job does. What is live is told by Airflow's REST API: a DAG of ours shows its
edition as its description, which is stored only once that text was parsed.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx

from deployer.demo.github import StandIn
from deployer.demo.stage import free_port
from deployer.demo.student import Student
from deployer.edges.embedded.airflow import COMMANDS, LocalAirflow
from deployer.edges.embedded.airflow_settings import SETTINGS
from scripts.benchmarks.staging import class_of, dag_id, say

NOT_OURS = frozenset({
    "CORE__EXECUTOR", "CORE__PARALLELISM", "CORE__LOAD_EXAMPLES", "CORE__SIMPLE_AUTH_MANAGER_USERS",
    "API__HOST", "API__WORKERS", "USAGE_DATA_COLLECTION__ENABLED",
})  # fmt: skip
"""Of what the deployer sets, all that has nothing to do with how soon a file is parsed."""


def expected_s(*intervals_s: float) -> tuple[float, float]:
    """Return mean and worst of the wait for one thing after another.

    Each is looked for at an interval of its own, and the push comes at any moment.
    """
    return sum(intervals_s) / 2, sum(intervals_s)


class PolledAirflow(LocalAirflow):
    """An embedded Airflow with Airflow's defaults, over the plain folder `dags`."""

    def __init__(self, state: Path, dags: Path, tuned: Mapping[str, str]) -> None:
        super().__init__(state, root=dags.parent, port=free_port())
        self._dags = dags
        self._tuned = tuned

    def airflow_environment(self) -> dict[str, str]:
        """Return Airflow's environment without what the deployer ships, and with `tuned`."""
        shipped = {"PYTHONPATH", *(f"AIRFLOW__{name}" for name in SETTINGS.keys() - NOT_OURS)}
        bundle = {
            "name": "dags-folder",
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(self._dags)},
        }
        own = {"DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]), **self._tuned}
        kept = {k: v for k, v in super().airflow_environment().items() if k not in shipped}
        return kept | {f"AIRFLOW__{name}": value for name, value in own.items()}

    def command(self, service: str) -> tuple[str, ...]:
        """Return Airflow's own command."""
        return (str(self.python), "-m", "airflow", *COMMANDS[service])


@dataclass(slots=True)
class Pulling:
    """Runs `git pull` in a working copy every `every_s`, the first time after `first_s`."""

    copy: Student
    every_s: float
    first_s: float
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._pull)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _pull(self) -> None:
        due = time.monotonic() + self.first_s
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self.copy.git("pull", "--quiet", "--ff-only", "origin", "main")
            due += self.every_s


class Rest:
    """What Airflow shows of a DAG."""

    def __init__(self, airflow: LocalAirflow) -> None:
        self._client = httpx.Client(base_url=airflow.url, timeout=10)
        login = {"username": airflow.username, "password": airflow.password}
        token = self._client.post("/auth/token", json=login).raise_for_status().json()
        self._client.headers["Authorization"] = f"Bearer {token['access_token']}"

    def shows(self, number: int, edition: int) -> bool:
        """Tell whether that edition of the DAG has been parsed."""
        answer = self._client.get(f"/api/v2/dags/{dag_id(number)}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        return bool(answer.raise_for_status().json()["description"] == str(edition))

    def wait(self, expected: Sequence[tuple[int, int]], *, every_s: float, bound_s: float) -> None:
        """Wait until all these editions, each after its DAG's number, have been parsed.

        Raises:
            TimeoutError
        """
        until = time.monotonic() + bound_s
        waiting = list(expected)
        while waiting := [one for one in waiting if not self.shows(*one)]:
            if time.monotonic() > until:
                raise TimeoutError(f"Airflow does not show {waiting} after {bound_s:g} s")
            time.sleep(every_s)


@dataclass(frozen=True, slots=True)
class Polled:
    """A class of some files that is pulled at intervals, with all of them parsed."""

    student: Student
    rest: Rest


@contextmanager
def polled(
    files: int, *, pull_every_s: float, first_pull_s: float = 0.0, tuned: Mapping[str, str]
) -> Iterator[Polled]:
    """Run git's host, the pulling and Airflow; `tuned` are its settings beside its defaults."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-polled-") as name,
        StandIn(Path(name) / "github", secret="-" * 16, token="-") as hub,  # noqa: S106  # nobody signs
    ):
        folder = Path(name)
        student = Student.clone("student", hub.git_url, folder)
        student.commit("Start", class_of(range(files)))
        student.push()
        copy = Student.clone("cron", hub.git_url, folder)
        airflow = PolledAirflow(folder / "state", copy.copy / "dags", tuned)
        try:
            say("starting Airflow")
            airflow.start()
            airflow.wait_healthy(tuple(COMMANDS))
            rest = Rest(airflow)
            rest.wait([(number, 0) for number in range(files)], every_s=0.5, bound_s=120)
            with Pulling(copy, pull_every_s, first_pull_s):
                yield Polled(student, rest)
        finally:
            airflow.stop()
