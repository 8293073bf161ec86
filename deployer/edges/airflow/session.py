"""A session with Airflow's REST API: log in, send a call, tell errors apart."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

import urllib3
from airflow_client.client import Configuration
from airflow_client.client.api_client import ApiClient

from deployer.errors import AirflowError, AirflowUnreachable

OK, CREATED, FORBIDDEN, NOT_FOUND = 200, 201, 403, 404
NOT_LOGGED_IN = {401, FORBIDDEN}
"""A token that ran out is a 401; one signed with a key of before, a 403, like a missing right
(airflow/api_fastapi/core_api/security.py)."""
NOT_NOW = {429, 500, 502, 503, 504}
"""What the same question may mend a moment later: an embedded Airflow answers 500 while SQLite's
database is locked, a proxy 502 to 504 while the api-server starts."""
FIRST_PAUSE_S = 0.1
"""Before such a question is asked again; each further pause is twice as long."""
WRONG_LOGIN = {400, 401, 403, 422}
"""400 and 422: no name or password at all, to FAB's auth manager and to the simple one."""
RIGHTS = {
    "dags": "can read on DAGs",
    "dag_runs": "can read on DAGs and on DAG Runs",
    "pools": "can read on Pools",
    "pool": "can edit on Pools",
    "task_instances": "can read on DAGs, on DAG Runs and on Task Instances",
}
"""What a role needs for each call, in the words of FAB's auth manager
(airflow/providers/fab/auth_manager/fab_auth_manager.py, `is_authorized_…`)."""


class _NotNow(Exception):
    """An answer that may be another one in a moment; its text says which."""


class Session:
    """One logged-in client, whose calls must all be ones that may be made twice.

    Each try is bounded by `timeout_s`. One that can't connect is tried once more; one that is
    answered "not now", or whose answer breaks off, as often as there is time within `timeout_s`.
    Where none of that helps it raises AirflowUnreachable, for a refusal AirflowError.

    Attributes:
        url: of the api-server.
        client: what the official client's API classes are made of.
    """

    def __init__(self, url: str, login: Mapping[str, str | None], *, timeout_s: float) -> None:
        self.url = url
        self._login = login
        self._timeout_s = timeout_s
        self._logged_in = False
        once_more = urllib3.Retry(
            total=1,
            redirect=0,
            status=0,
            allowed_methods=None,
            respect_retry_after_header=False,  # `_send` asks again, within a bound of ours
        )
        # Airflow is the operator's own: never asked through the proxy to the world.
        self.client = ApiClient(Configuration(host=url, retries=once_more, no_proxy="*"))

    def call(
        self,
        name: str,
        send: Callable[[], Any],
        *,
        accept: Collection[int] = (OK,),
        login: bool = True,
    ) -> tuple[int, Any]:
        """Return status and body of one call, logged in, and once more if that was not enough."""
        if login and not self._logged_in:
            self.log_in()
        status, body = self._send(name, send)
        if login and status in NOT_LOGGED_IN:
            self.log_in()
            status, body = self._send(name, send)
            if status == FORBIDDEN:
                raise AirflowError(
                    f"{self.url} knows {self._login['username']} but refuses it {name}: its role "
                    f'needs "{RIGHTS[name]}"; see the role Deployer in docs/operations.md'
                )
        if status not in accept:
            raise AirflowError(f"{self.url} answered {status} to {name}: {_detail(body)}")
        return status, body

    def status_of(self, method: str, path: str, body: Mapping[str, object] | None = None) -> int:
        """Return the status of one call by its path, logged in; a missing right is one, too."""
        if not self._logged_in:
            self.log_in()
        return self._send(path, lambda: self._sent(method, f"/api/v2{path}", body))[0]

    def _sent(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:  # noqa: ANN401 - the client's
        return self.client.call_api(
            method,
            f"{self.url}{path}",
            header_params={**self.client.default_headers, "Content-Type": "application/json"},
            body=body,
            _request_timeout=self._timeout_s,
        ).response

    def log_in(self) -> None:
        """Get a day's token; there is no way to renew one but to log in again."""
        self._logged_in = False
        self.client.default_headers.pop("Authorization", None)
        status, body = self._send("token", lambda: self._sent("POST", "/auth/token", self._login))
        if status in WRONG_LOGIN:
            raise AirflowError(
                f"{self.url} does not let {self._login['username']} in ({status}): "
                "see DEPLOYER_AIRFLOW_USERNAME and DEPLOYER_AIRFLOW_PASSWORD"
            )
        if status != CREATED:
            raise AirflowError(f"{self.url} answered {status} to token: {_detail(body)}")
        if not isinstance(body, dict) or "access_token" not in body:  # not shown: it may be one
            raise AirflowError(f"{self.url} answered {status} to token, without one")
        self.client.default_headers["Authorization"] = f"Bearer {body['access_token']}"
        self._logged_in = True

    def _send(self, name: str, send: Callable[[], Any]) -> tuple[int, Any]:
        until = time.monotonic() + self._timeout_s
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return self._try(name, send)
            except _NotNow as exc:
                if time.monotonic() + pause_s > until:
                    raise AirflowUnreachable(f"{self.url} {exc}") from exc
            time.sleep(pause_s)
            pause_s *= 2

    def _try(self, name: str, send: Callable[[], Any]) -> tuple[int, Any]:
        try:
            response = send()
            body = _read(name, response)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            # Students read this: what urllib3 says of its pools and retries is in the cause.
            raise AirflowUnreachable(
                f"Airflow does not answer at {self.url}; see that its api-server runs"
            ) from exc
        if response.status in NOT_NOW:
            raise _NotNow(f"answered {response.status} to {name}: {_detail(body)}")
        return response.status, body


def _read(name: str, response: Any) -> Any:  # noqa: ANN401 - JSON
    """Return the body of an answer; what is no JSON, as the beginning of its text."""
    try:
        data = response.data
    except urllib3.exceptions.ProtocolError as exc:
        raise _NotNow(f"broke off its answer to {name}") from exc
    try:
        return json.loads(data) if data else None
    except (ValueError, RecursionError):
        return data[:200].decode(errors="replace")


def _detail(body: object) -> str:
    """Return the sentence in FastAPI's error body, cut to what fits a line."""
    return str(body.get("detail") if isinstance(body, dict) else body)[:200]
