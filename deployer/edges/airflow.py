"""The running Airflow over its REST API v2.

The official client takes 1.5 s to import, so what does so, `airflow_calls` and
`airflow_session`, is loaded at the first call: by the worker alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from deployer.core.model import (
    CANARY_DAG_ID,
    DAGS,
    AirflowHealth,
    Busy,
    Observation,
    SeenDag,
    SeenError,
)
from deployer.errors import AirflowError

if TYPE_CHECKING:
    from deployer.edges.airflow_calls import Calls

IDS_A_CALL = 50
"""DAG ids in one address, which stays under 8 KB for ids of 150 characters."""
FILES_A_POKE = 10
"""Files that are asked for by name, two calls each; others follow when these have settled, and
Airflow comes to them by itself each half a minute."""
_PLACE = re.compile(r"/(?:releases/[^/]+|current|tracking_repo)/dags/(?P<path>.*)")
"""Where DAG files lie: in a release; behind the link to it; in GitDagBundle's own clone
(airflow/providers/git/bundles/git.py)."""


class AirflowRest:
    """Implements `ports.Airflow`.

    Args:
        url, username, password: as in DEPLOYER_AIRFLOW_…
        timeout_s: for one call; a call that broke off is tried once more.
        on_call: told the name of each call and the seconds it took.
    """

    def __init__(
        self,
        url: str,
        username: str | None,
        password: str | None,
        *,
        timeout_s: float = 5,
        on_call: Callable[[str, float], None] = lambda _name, _seconds: None,
    ) -> None:
        self._url = url.rstrip("/")
        self._login = {"username": username, "password": password}
        self._timeout_s = float(timeout_s)
        self._on_call = on_call
        self._loaded: Calls | None = None
        self._canary_token: str | None = None

    def poke(self, dag_ids: Collection[str] = ()) -> None:
        token = self._canary_token or self._calls.file_token(CANARY_DAG_ID)
        # Airflow then refreshes the whole bundle on its next tick
        # (airflow/dag_processing/manager.py:638, 654).
        known = token is not None and self._calls.reparse(token)
        # Kept while it works: it is the signed bundle and file name. With another secret key,
        # or an emptied database, it has to be asked for again.
        self._canary_token = token if known else None
        files: set[str] = set()
        for dag_id in sorted(dag_ids):
            if len(files) == FILES_A_POKE:
                break
            if token := self._calls.file_token(dag_id):
                files.add(token)
        for token in sorted(files):
            self._calls.reparse(token)

    def observe(self, release: str, dag_ids: Collection[str]) -> Observation:
        rows = {row["dag_id"]: row for row in self._calls.dags(bundle_version=release)}
        missing = sorted(set(dag_ids) - rows.keys())
        for start in range(0, len(missing), IDS_A_CALL):
            some = missing[start : start + IDS_A_CALL]
            # There is no filter by ids, and a prefix matches more than the id itself.
            for row in self._calls.dags(dag_id_prefix="|".join(some)):
                if row["dag_id"] in some:
                    rows[row["dag_id"]] = row
        # Another bundle may have an error of a file with the same name. Which one reads the
        # release its canary tells; until it does, no error is evidence but by its trace.
        canary = rows.get(CANARY_DAG_ID, {})
        reads = release in {canary.get("bundle_version"), canary.get("description")}
        errors = self._calls.errors(canary["bundle_name"] if reads else None)
        return Observation(
            dags=tuple(_seen_dag(row) for row in rows.values() if row["relative_fileloc"]),
            errors=tuple(map(_seen_error, errors)),
        )

    def health(self) -> AirflowHealth:
        body = self._calls.health()
        try:
            return AirflowHealth(
                scheduler=_heartbeat(body, "scheduler"),
                dag_processor=_heartbeat(body, "dag_processor"),
                database_ok=body["metadatabase"]["status"] == "healthy",
            )
        except (KeyError, TypeError, ValueError) as exc:
            raise AirflowError(f"{self._url} answered an unknown form of health: {exc!r}") from exc

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

    def busy(self) -> tuple[Busy, ...]:
        # A deferred task is with the triggerer, and needs a slot to go on.
        rows = self._calls.task_instances(["running", "queued", "restarting"])
        return tuple(Busy(row["dag_id"], row["task_id"], row["state"]) for row in rows)

    @property
    def _calls(self) -> Calls:
        if self._loaded is None:
            from deployer.edges.airflow_calls import Calls  # noqa: PLC0415  # takes 1.5 s
            from deployer.edges.airflow_session import Session  # noqa: PLC0415  # likewise

            session = Session(
                self._url, self._login, timeout_s=self._timeout_s, on_call=self._on_call
            )
            self._loaded = Calls(session, timeout_s=self._timeout_s)
        return self._loaded


def _seen_dag(row: Mapping[str, Any]) -> SeenDag:
    return SeenDag(
        dag_id=row["dag_id"],
        path=repo_path(row["relative_fileloc"]),
        fileloc=row["fileloc"],
        stamp=row["last_parsed_time"] or "",
        stale=row["is_stale"],
        version=row["bundle_version"],
        description=row["description"] or "",
    )


def _seen_error(row: Mapping[str, Any]) -> SeenError:
    return SeenError(repo_path(row["filename"]), row["stack_trace"] or "", row["timestamp"])


def repo_path(filename: str) -> str:
    """Return a DAG file's path in the repository; a broken zip is named absolutely by Airflow."""
    if filename.startswith("/") and (place := _PLACE.search(filename)):
        filename = place["path"]
    return DAGS + filename


def _heartbeat(body: Mapping[str, Any], part: str) -> datetime | None:
    beat = (body[part] or {}).get(f"latest_{part}_heartbeat")
    return datetime.fromisoformat(beat) if beat else None
