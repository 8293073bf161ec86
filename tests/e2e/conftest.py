"""The whole product on one stage: stand-in for GitHub, a real Airflow, web and worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployer.app import sample_class
from deployer.demo.stage import Stage
from tests.e2e.watching import verdicts
from tests.github.watched import watched

POLL_INTERVAL_S = 5


@pytest.fixture(scope="package")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A class whose first deployment is over."""
    folder = tmp_path_factory.mktemp("stage")
    more = {"DEPLOYER_POLL_INTERVAL_S": str(POLL_INTERVAL_S), "DEPLOYER_PARSE_TIMEOUT_S": "120"}
    with Stage(folder, print, more) as stage, watched(stage.hub):
        teacher = stage.student("teacher")
        teacher.commit("Start the class repository", sample_class())
        first = verdicts(stage, teacher.push(), "class_demo", "lasse", "maria")
        assert {state for state, _ in first.values()} == {"success"}, first
        yield stage
