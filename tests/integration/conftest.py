"""A real Airflow, started once for all tests that need one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from deployer.demo.stage import free_port
from deployer.edges.airflow.parse_feed import PLACE, ParseFeedListener
from deployer.edges.airflow.rest import AirflowRest
from deployer.edges.embedded import airflow_settings
from deployer.edges.embedded.airflow import COMMANDS, LocalAirflow
from deployer.edges.embedded.environment import BaseEnvironment
from tests.integration import postgres
from tests.integration.airflow_world import (
    API_TIMEOUT_S,
    FIRST_DAG_ID,
    FIRST_FILES,
    HandMadeReleases,
    Hearing,
    World,
)

hypothesis.settings.register_profile("deployer", deadline=None, database=None)
hypothesis.settings.load_profile("deployer")


@pytest.fixture(scope="session")
def airflow_python() -> Path:
    """The interpreter of Airflow's own environment, made once and kept outside the repository."""
    base = BaseEnvironment()
    base.ensure(print)
    return base.python


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A database in which the tests may make schemas: TEST_POSTGRES_URL, or a server of our own."""
    if named := os.environ.get("TEST_POSTGRES_URL"):
        yield named
        return
    programs = postgres.binaries()
    if programs is None:
        reason = "PostgreSQL is not installed; scripts/test does so as root on Debian"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with postgres.server(programs) as url:
        yield url


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running embedded Airflow that has parsed its first DAG.

    It refreshes its bundle once an hour: what it notices within a test, the feed told it.
    """
    base = tmp_path_factory.mktemp("airflow")
    releases = HandMadeReleases(base / "srv")
    local = LocalAirflow(
        base / "state",
        root=releases.root,
        port=free_port(),
        repo_url="https://github.com/class/airflow-class",
    )
    airflow = AirflowRest(local.url, local.username, local.password, timeout_s=API_TIMEOUT_S)
    feed = ParseFeedListener(releases.root / PLACE)
    made = World(local, airflow, releases, Hearing(feed))
    unasked = {**airflow_settings.SETTINGS, "DAG_PROCESSOR__REFRESH_INTERVAL": "3600"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(airflow_settings, "SETTINGS", unasked)
        try:
            first = made.publish(FIRST_FILES)
            local.start()
            local.wait_healthy(tuple(COMMANDS))
            made.dag_from(first, FIRST_DAG_ID)
            yield made
        finally:
            local.stop()
            feed.close()
