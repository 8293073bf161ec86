"""What a running Airflow says of its own parts, asked without a token.

A heartbeat counts if it is younger than its process: Airflow goes on calling the one before
healthy for 30 s (`[scheduler] scheduler_health_check_threshold`).
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

import httpx

from deployer.core.model import Health
from deployer.errors import AirflowUnreachable

API_SERVER = "airflow-apiserver"
BEATS = {"airflow-scheduler": "scheduler", "airflow-dag-processor": "dag_processor"}
"""Airflow's own name of a part by that of its service in the class's docker-compose.yaml."""
_ASK_S = 5.0
_FIRST_ASK_S = 60.0


def knows(service: str) -> bool:
    """Tell whether Airflow has a say about this service."""
    return service == API_SERVER or service in BEATS


def unhealthy(url: str, started_at: Mapping[str, datetime]) -> tuple[str, ...]:
    """Return those services that Airflow does not call healthy; what it does not know is passed.

    Args:
        url: the api-server's.
        started_at: when each service was started, by its name.
    """
    asked = {name: at for name, at in started_at.items() if knows(name)}
    if not asked:
        return ()
    try:
        health = _get(f"{url}/api/v2/monitor/health", _ASK_S).raise_for_status().json()
    except (httpx.HTTPError, ValueError, RecursionError):
        return tuple(asked)
    stale = without_beat(health, asked)
    if API_SERVER in asked and API_SERVER not in stale and not _takes_tasks(url):
        return (*stale, API_SERVER)
    return stale


def version(url: str) -> str:
    """Return which Airflow answers.

    Raises:
        AirflowUnreachable
    """
    try:
        answer: str = _get(f"{url}/api/v2/version", _ASK_S).raise_for_status().json()["version"]
    except (httpx.HTTPError, ValueError, RecursionError, KeyError, TypeError) as exc:
        raise AirflowUnreachable(
            f"Airflow does not say at {url} which version it is: {exc}; `deployer doctor` tells"
            " what is wrong"
        ) from exc
    return answer


def without_beat(health: Any, started_at: Mapping[str, datetime]) -> tuple[str, ...]:  # noqa: ANN401 - whatever JSON the URL answers
    """Return those without a heartbeat of their own time; all, if the database is not well."""
    found = read(health)
    if found is None or not found.database:
        return tuple(started_at)
    beats = {name: found.beats.get(part) for name, part in BEATS.items()}
    return tuple(
        name
        for name, at in started_at.items()
        if name in BEATS and not ((beat := beats[name]) and beat >= at)
    )


def read(body: Any) -> Health | None:  # noqa: ANN401 - likewise
    """Return what `/monitor/health` says, None: it is not Airflow's form."""
    try:
        parts = {name: body.get(name) or {} for name in BEATS.values()}
        beats = {name: part.get(f"latest_{name}_heartbeat") for name, part in parts.items()}
        return Health(
            database=body["metadatabase"]["status"] == "healthy",
            beats={name: datetime.fromisoformat(at) for name, at in beats.items() if at},
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _takes_tasks(url: str) -> bool:
    """Ask for the execution API's health, which builds that API if nothing did before.

    Airflow builds it at the first call, 4 s during which its api-server answers nobody:
    better now than when the first task starts.
    """
    try:
        return _get(f"{url}/execution/health", _FIRST_ASK_S).is_success
    except httpx.HTTPError:
        return False


def _get(url: str, timeout_s: float) -> httpx.Response:
    return httpx.get(url, timeout=timeout_s, trust_env=False, verify=_certificates())


@cache
def _certificates() -> ssl.SSLContext:
    """Read those of the machine's authorities, by which `rest` goes too, once.

    75 ms of work at each question of a wait are Airflow's while it starts.
    """
    return ssl.create_default_context()
