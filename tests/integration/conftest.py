"""A real Airflow, started once for all tests that need one."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from deployer.core.model import CANARY_DAG_ID
from deployer.edges.airflow import AirflowRest
from deployer.edges.local import COMMANDS, LocalAirflow
from tests.integration.airflow_world import CANARY_FILES, HandMadeReleases, World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running embedded Airflow that has parsed its canary."""
    base = tmp_path_factory.mktemp("airflow")
    releases = HandMadeReleases(base / "srv")
    first = releases.publish(CANARY_FILES)
    local = LocalAirflow(
        base / "state",
        root=releases.root,
        port=free_port(),
        repo_url="https://github.com/class/airflow-class",
    )
    calls: list[tuple[str, float]] = []
    airflow = AirflowRest(
        local.url, local.username, local.password, on_call=lambda *call: calls.append(call)
    )
    try:
        local.start()
        local.wait_healthy(tuple(COMMANDS))
        made = World(local, airflow, releases, calls)
        made.dag_from(first, CANARY_DAG_ID)
        yield made
    finally:
        local.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
