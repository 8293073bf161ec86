"""Calls of Airflow's REST API v2 with the official client: log in, page, tell errors apart.

Its addresses and parameters are used, its models not: they refuse a whole list for one value
of an enumeration that a newer Airflow added, or one field missing, among dozens nobody here
reads. (Speed is no reason: 1000 rows take them 16 ms, plain JSON 5 ms.)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeAlias

import urllib3
from airflow_client.client import Configuration
from airflow_client.client.api.dag_api import DAGApi
from airflow_client.client.api.dag_parsing_api import DAGParsingApi
from airflow_client.client.api.dag_run_api import DagRunApi
from airflow_client.client.api.import_error_api import ImportErrorApi
from airflow_client.client.api.monitor_api import MonitorApi
from airflow_client.client.api_client import ApiClient

from deployer.errors import AirflowError, AirflowUnreachable

PAGE = 1000
"""Rows asked for; Airflow gives at most its `[api] maximum_page_limit` (100 by default)."""
MOST_ROWS = 20_000
MOST_ERRORS = 1000
OK, CREATED, NOT_FOUND, CONFLICT = 200, 201, 404, 409
NOT_LOGGED_IN = {401, 403}
"""A token that ran out is a 401; one signed with a key of before, a 403, like a missing right
(airflow/api_fastapi/core_api/security.py)."""

Row: TypeAlias = Mapping[str, Any]


class Calls:
    """One logged-in client; each call is bounded by `timeout_s` and tried once more if it broke.

    Every method raises AirflowUnreachable, or AirflowError for an answer not asked for.
    """

    def __init__(
        self,
        url: str,
        login: Mapping[str, str | None],
        *,
        bundle: str,
        timeout_s: float,
        on_call: Callable[[str, float], None],
    ) -> None:
        self._url = url
        self._login = login
        self._bundle = bundle
        self._timeout_s = timeout_s
        self._on_call = on_call
        self._logged_in = False
        once_more = urllib3.Retry(total=1, redirect=0, status=0, allowed_methods=None)
        # Airflow is the operator's own: never asked through the proxy to the world.
        self._client = ApiClient(Configuration(host=url, retries=once_more, no_proxy="*"))

    def file_token(self, dag_id: str) -> str | None:
        """Return the token of a DAG's file, None if Airflow has no such DAG."""
        status, body = self._call(
            "dag",
            lambda: DAGApi(self._client).get_dag_details_without_preload_content(
                dag_id, _request_timeout=self._timeout_s
            ),
            accept={OK, NOT_FOUND},
        )
        return str(body["file_token"]) if status == OK else None

    def reparse(self, token: str) -> bool:
        """Ask for a file to be parsed; return whether Airflow knows it (still)."""
        status, _ = self._call(
            "parseDagFile",
            lambda: DAGParsingApi(self._client).reparse_dag_file_without_preload_content(
                token, _request_timeout=self._timeout_s
            ),
            accept={CREATED, NOT_FOUND, CONFLICT},  # 409: asked for before and still pending
        )
        return status != NOT_FOUND

    def health(self) -> Row:
        _, body = self._call(
            "health",
            lambda: MonitorApi(self._client).get_health_without_preload_content(
                _request_timeout=self._timeout_s
            ),
            login=False,
        )
        if not isinstance(body, dict):
            raise AirflowError(f"{self._url} is no Airflow: its health is {str(body)[:80]}")
        return body

    def dags(
        self,
        *,
        bundle_version: str | None = None,
        dag_id_prefix: str | None = None,
        exclude_stale: bool = False,
    ) -> Iterator[Row]:
        api = DAGApi(self._client)
        return self._rows(
            "dags",
            lambda offset: api.get_dags_without_preload_content(
                limit=PAGE,
                offset=offset,
                order_by=["dag_id"],
                exclude_stale=exclude_stale,
                bundle_name=self._bundle,
                bundle_version=bundle_version,
                dag_id_prefix_pattern=dag_id_prefix,
                _request_timeout=self._timeout_s,
            ),
        )

    def errors(self) -> Iterator[Row]:
        """Yield the newest import errors; those beyond the bound are of long ago."""
        api = ImportErrorApi(self._client)
        return self._rows(
            "import_errors",
            lambda offset: api.get_import_errors_without_preload_content(
                limit=PAGE,
                offset=offset,
                order_by=["-timestamp"],
                bundle_name=self._bundle,
                _request_timeout=self._timeout_s,
            ),
            enough=MOST_ERRORS,
        )

    def unfinished_runs(self) -> Iterator[Row]:
        api = DagRunApi(self._client)
        return self._rows(
            "dag_runs",
            lambda offset: api.get_dag_runs_without_preload_content(
                "~",  # of all DAGs
                limit=PAGE,
                offset=offset,
                order_by=["id"],
                state=["queued", "running"],
                _request_timeout=self._timeout_s,
            ),
        )

    def _rows(
        self, kind: str, page: Callable[[int], Any], *, enough: int | None = None
    ) -> Iterator[Row]:
        """Yield a list's rows, page after page: all of them, or the first `enough`."""
        got = 0
        while got < (enough or MOST_ROWS):
            _, body = self._call(kind, lambda offset=got: page(offset))  # type: ignore[misc]  # a default binds this turn's value
            try:
                rows, total = body[kind], body["total_entries"]
            except (KeyError, TypeError) as exc:
                raise AirflowError(f"{self._url} answered an unknown list of {kind}") from exc
            yield from rows
            got += len(rows)
            if not rows or got >= total:
                return
        if enough is None:
            raise AirflowError(f"{self._url} holds more than {MOST_ROWS} {kind}")

    def _call(
        self,
        name: str,
        send: Callable[[], Any],
        *,
        accept: Collection[int] = (OK,),
        login: bool = True,
    ) -> tuple[int, Any]:
        """Return status and body of one call, logged in, and once more if that was not enough."""
        if login and not self._logged_in:
            self._log_in()
        status, body = self._send(name, send)
        if login and status in NOT_LOGGED_IN:
            self._log_in()
            status, body = self._send(name, send)
        if status not in accept:
            raise AirflowError(f"{self._url} answered {status} to {name}: {_detail(body)}")
        return status, body

    def _log_in(self) -> None:
        """Get a day's token; there is no way to renew one but to log in again."""
        self._logged_in = False
        self._client.default_headers.pop("Authorization", None)
        status, body = self._send(
            "token",
            lambda: (
                self._client.call_api(
                    "POST",
                    f"{self._url}/auth/token",
                    header_params={"Content-Type": "application/json"},
                    body=self._login,
                    _request_timeout=self._timeout_s,
                ).response
            ),
        )
        if status != CREATED:
            raise AirflowError(
                f"{self._url} does not let {self._login['username']} in ({status}): "
                "see DEPLOYER_AIRFLOW_USERNAME and DEPLOYER_AIRFLOW_PASSWORD"
            )
        self._client.default_headers["Authorization"] = f"Bearer {body['access_token']}"
        self._logged_in = True

    def _send(self, name: str, send: Callable[[], Any]) -> tuple[int, Any]:
        began = time.monotonic()
        try:
            response = send()
            data = response.data
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            # Students read this: what urllib3 says of its pools and retries is in the cause.
            raise AirflowUnreachable(
                f"Airflow does not answer at {self._url}; see that its api-server runs"
            ) from exc
        finally:
            self._on_call(name, time.monotonic() - began)
        try:
            return response.status, json.loads(data) if data else None
        except ValueError:
            return response.status, data[:200].decode(errors="replace")


def _detail(body: object) -> str:
    """Return the sentence in FastAPI's error body, cut to what fits a line."""
    return str(body.get("detail") if isinstance(body, dict) else body)[:200]
