"""The running Airflow over its REST API v2.

The official client takes 1.5 s to import, so what does so, `calls` and
`session`, is loaded at the first call: by the worker alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from deployer.core.model import Health, TaskInstance
from deployer.edges.airflow.health import read
from deployer.errors import AirflowError

if TYPE_CHECKING:
    from deployer.edges.airflow.calls import Calls


class AirflowRest:
    """Implements `ports.Airflow`.

    Args:
        url, username, password: as in DEPLOYER_AIRFLOW_…
        timeout_s: for one call; a call that broke off is tried once more.
    """

    def __init__(
        self,
        url: str,
        username: str | None,
        password: str | None,
        *,
        timeout_s: float = 5,
    ) -> None:
        self._url = url.rstrip("/")
        self._login = {"username": username, "password": password}
        self._timeout_s = float(timeout_s)
        self._loaded: Calls | None = None

    def parser_beat(self) -> datetime | None:
        return self.health().beats.get("dag_processor")

    def versions_in_use(self, among: Collection[str]) -> frozenset[str]:
        if not among:
            return frozenset()
        # DAGs first: a run that begins meanwhile has the version of one of them, or is among
        # the runs, which are read after.
        used = {version for version in sorted(among) if self._calls.has_living_dag(version)}
        for run in self._calls.unfinished_runs():
            used.add(run["bundle_version"])
            # Tasks run the version of their own, which may have moved on since the run began.
            used.update(version["bundle_version"] for version in run["dag_versions"])
        return frozenset(used.intersection(among))

    def pools(self) -> Mapping[str, int]:
        return {row["name"]: row["slots"] for row in self._calls.pools()}

    def resize_pool(self, name: str, slots: int) -> None:
        # PostgreSQL makes this wait for a scheduler that is just handing out slots, which holds
        # a lock on the pools (airflow/jobs/scheduler_job_runner.py:600): what that one started
        # is `busy` once this returns. SQLite has no such lock, so there it may come a moment late.
        self._calls.resize_pool(name, slots)

    def busy(self) -> tuple[TaskInstance, ...]:
        # A deferred task is with the triggerer, and needs a slot to go on.
        rows = self._calls.task_instances(["running", "queued", "restarting"])
        return tuple(TaskInstance(row["dag_id"], row["task_id"], row["state"]) for row in rows)

    # -- ports.doctor.AirflowAccount

    def health(self) -> Health:
        found = read(self._calls.health())
        if found is None:
            raise AirflowError(f"{self._url} answered an unknown form of health: is it Airflow 3?")
        return found

    def log_in(self) -> None:
        self._calls.session.log_in()

    def status_of(self, method: str, path: str, body: Mapping[str, object] | None = None) -> int:
        return self._calls.session.status_of(method, path, body)

    @property
    def _calls(self) -> Calls:
        if self._loaded is None:
            from deployer.edges.airflow.calls import Calls  # noqa: PLC0415  # takes 1.5 s
            from deployer.edges.airflow.session import Session  # noqa: PLC0415  # likewise

            session = Session(self._url, self._login, timeout_s=self._timeout_s)
            self._loaded = Calls(session, timeout_s=self._timeout_s)
        return self._loaded
