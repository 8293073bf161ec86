"""Ask a stage's Airflow over its REST API, as its web page does for a student."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar

import httpx

from deployer.edges.embedded.airflow import LocalAirflow

T = TypeVar("T")
Row: TypeAlias = Mapping[str, Any]
BOUND_S = 240.0
LOOK_EVERY_S = 0.1
ASK_AGAIN_S = 5.0


def until(look: Callable[[], T | None], what: str) -> T:
    """Return what `look` finds, as soon as that is true; fail when the bound has passed."""
    end = time.monotonic() + BOUND_S
    while not (found := look()):
        assert time.monotonic() < end, f"never came: {what}"
        time.sleep(LOOK_EVERY_S)
    return found


class AskingAirflow:
    """Logged in; every answer that is not a success is raised."""

    def __init__(self, airflow: LocalAirflow) -> None:
        self._http = httpx.Client(base_url=airflow.url, timeout=30, trust_env=False)
        login = {"username": airflow.username, "password": airflow.password}
        token = self._ask("POST", "/auth/token", login)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        self._http.close()

    def dag(self, dag_id: str) -> Row:
        row: Row = self._ask("GET", f"/api/v2/dags/{dag_id}")
        return row

    def living_dags(self) -> list[Row]:
        return list(self._ask("GET", "/api/v2/dags?exclude_stale=true&limit=1000")["dags"])

    def dag_ids_of(self, version: str) -> set[str]:
        """Return the living DAGs that were parsed of that version."""
        return {dag["dag_id"] for dag in self.living_dags() if dag["bundle_version"] == version}

    def none_is_of(self, version: str) -> bool:
        """Tell whether no living DAG is of that version; have those parsed anew that are."""
        found = self.dag_ids_of(version)
        for dag_id in found:
            self.reparse(dag_id)
        return not found

    def reparse(self, dag_id: str) -> None:
        """Ask for the file of a DAG to be parsed, as the page's button does.

        A conflict is as good: somebody asked, and the dag-processor has not looked yet.
        """
        path = f"/api/v2/parseDagFile/{self.dag(dag_id)['file_token']}"
        self._ask("PUT", path, accept={httpx.codes.CONFLICT})

    def reparse_until(self, begun: Callable[[], bool], *dag_ids: str) -> None:
        """Ask for files to be parsed until that has begun.

        More than once: a file that is being parsed as its request is read is passed over.
        """
        asked = float("-inf")

        def look() -> bool:
            nonlocal asked
            if begun():
                return True
            if time.monotonic() - asked > ASK_AGAIN_S:
                for dag_id in dag_ids:
                    self.reparse(dag_id)
                asked = time.monotonic()
            return False

        until(look, f"a parse of {', '.join(dag_ids)}")

    def trigger(self, dag_id: str) -> str:
        """Start a run; return its id."""
        answer = self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None})
        return str(answer["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def clear(self, dag_id: str, run_id: str) -> None:
        """Have all tasks of a run run again, with the defaults of the page."""
        self._ask(
            "POST",
            f"/api/v2/dags/{dag_id}/clearTaskInstances",
            {"dry_run": False, "dag_run_id": run_id, "only_failed": False, "reset_dag_runs": True},
        )

    def wait_for_end(self, dag_id: str, run_id: str) -> str:
        """Return the state in which a run ends."""
        ends = {"success", "failed"}
        return until(
            lambda: state if (state := self.run_state(dag_id, run_id)) in ends else None,
            f"the end of a run of {dag_id}",
        )

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        accept: Collection[int] = (),
    ) -> Any:  # noqa: ANN401 - whatever JSON is answered
        answer = self._http.request(method, path, json=body)
        told = f"{method} {path}: {answer.status_code} {answer.text[:300]}"
        assert answer.is_success or answer.status_code in accept, told
        return answer.json() if answer.content else None
