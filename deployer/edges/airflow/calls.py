"""Calls of Airflow's REST API v2 with the official client, lists page after page.

Its addresses and parameters are used, its models not: they refuse a whole list for one value
of an enumeration that a newer Airflow added, or one field missing, among dozens nobody here
reads. (Speed is no reason: 1000 rows take them 16 ms, plain JSON 5 ms.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from airflow_client.client.api.dag_api import DAGApi
from airflow_client.client.api.dag_run_api import DagRunApi
from airflow_client.client.api.monitor_api import MonitorApi
from airflow_client.client.api.pool_api import PoolApi
from airflow_client.client.api.task_instance_api import TaskInstanceApi
from airflow_client.client.models.pool_patch_body import PoolPatchBody

from deployer.edges.airflow.session import NOT_FOUND, OK, Session
from deployer.errors import AirflowError

PAGE = 1000
"""Rows asked for; Airflow gives at most its `[api] maximum_page_limit` (100 by default)."""
MOST_ROWS = 20_000
READ_ANEW = 5
"""How often a list is begun that changes while it is read."""
Row: TypeAlias = Mapping[str, Any]


class Calls:
    """What is asked of Airflow, each call bounded by `timeout_s`.

    Every method raises AirflowUnreachable, or AirflowError for an answer not asked for.
    """

    def __init__(self, session: Session, *, timeout_s: float) -> None:
        self.session = session
        self._client = session.client
        self._timeout_s = timeout_s

    def health(self) -> Row:
        _, body = self.session.call(
            "health",
            lambda: MonitorApi(self._client).get_health_without_preload_content(
                _request_timeout=self._timeout_s
            ),
            login=False,
        )
        if not isinstance(body, dict):
            raise AirflowError(f"{self.session.url} is no Airflow: its health is {str(body)[:80]}")
        return body

    def has_living_dag(self, bundle_version: str) -> bool:
        """Tell whether any DAG that is not stale was last parsed from that version."""
        api = DAGApi(self._client)
        _, total = self._page(
            "dags",
            lambda offset: api.get_dags_without_preload_content(
                limit=1,
                offset=offset,
                exclude_stale=True,
                bundle_version=bundle_version,
                _request_timeout=self._timeout_s,
            ),
            0,
        )
        return total > 0

    def unfinished_runs(self) -> Iterator[Row]:
        """Yield every run that has not ended, some of them perhaps twice."""
        api = DagRunApi(self._client)
        return self._every_row(
            "dag_runs",
            lambda offset: api.get_dag_runs_without_preload_content(
                "~",  # of all DAGs
                limit=PAGE,
                offset=offset,
                order_by=["id"],
                state=["queued", "running"],
                _request_timeout=self._timeout_s,
            ),
            key=lambda row: (row["dag_id"], row["dag_run_id"]),
        )

    def pools(self) -> Iterator[Row]:
        api = PoolApi(self._client)
        return self._rows(
            "pools",
            lambda offset: api.get_pools_without_preload_content(
                limit=PAGE, offset=offset, order_by=["id"], _request_timeout=self._timeout_s
            ),
        )

    def resize_pool(self, name: str, slots: int) -> None:
        """Change a pool's slots and nothing else of it; one that is gone is passed over."""
        # All but the default pool are refused without these three, whatever the mask says
        # (airflow/api_fastapi/core_api/services/public/pools.py, `update_orm_from_pydantic`).
        body = PoolPatchBody(pool=name, slots=slots, include_deferred=False)
        self.session.call(
            "pool",
            lambda: PoolApi(self._client).patch_pool_without_preload_content(
                name, body, update_mask=["slots"], _request_timeout=self._timeout_s
            ),
            accept={OK, NOT_FOUND},
        )

    def task_instances(self, states: list[str]) -> Iterator[Row]:
        api = TaskInstanceApi(self._client)
        return self._rows(
            "task_instances",
            lambda offset: api.get_task_instances_without_preload_content(
                "~",  # of all DAGs
                "~",  # and all runs
                limit=PAGE,
                offset=offset,
                order_by=["id"],
                state=states,
                _request_timeout=self._timeout_s,
            ),
        )

    def _rows(self, kind: str, page: Callable[[int], Any]) -> Iterator[Row]:
        """Yield a list's rows, page after page."""
        got = 0
        while got < MOST_ROWS:
            rows, total = self._page(kind, page, got)
            yield from rows
            got += len(rows)
            if not rows or got >= total:
                return
        raise self._too_long(kind)

    def _every_row(
        self, kind: str, page: Callable[[int], Any], *, key: Callable[[Row], object]
    ) -> Iterator[Row]:
        """Yield all rows of a list, though others leave it meanwhile; some perhaps twice.

        A row that leaves pulls all later ones forward, and one of them may slip from the page
        that comes next into the one that was read. So each page begins with the last row of
        the one before, and if that has moved, reading begins anew.
        """
        for _ in range(READ_ANEW):
            end, last = 0, None
            while end < MOST_ROWS:
                rows, total = self._page(kind, page, max(end - 1, 0))
                if end and (len(rows) < 2 or key(rows[0]) != last):  # noqa: PLR2004  # it and one more
                    break
                yield from rows
                end = max(end - 1, 0) + len(rows)
                if not rows or end >= total:
                    return
                last = key(rows[-1])
            else:
                raise self._too_long(kind)
        raise AirflowError(f"{self.session.url}'s list of {kind} changes while it is read")

    def _page(self, kind: str, page: Callable[[int], Any], offset: int) -> tuple[list[Row], int]:
        """Return the rows of a list from `offset` on, as many as Airflow gives, and its length."""
        _, body = self.session.call(kind, lambda: page(offset))
        try:
            return list(body[kind]), int(body["total_entries"])
        except (KeyError, TypeError, ValueError) as exc:
            raise AirflowError(f"{self.session.url} answered an unknown list of {kind}") from exc

    def _too_long(self, kind: str) -> AirflowError:
        return AirflowError(f"{self.session.url} holds more than {MOST_ROWS} {kind}")
