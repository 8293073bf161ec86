"""What the demo prints when its acts are over."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from deployer.demo import play

ANSWERS = {
    "/api/v1/deployments?limit=100": {"deployments": [{"id": 2}, {"id": 1}]},
    "/api/v1/deployments/2": {"id": 2, "trace": "whole"},
    "/api/v1/deployments/1": {"id": 1},
}


def test_programs_are_given_each_deployment_as_it_is_told_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stage: Any = SimpleNamespace(get=lambda path: SimpleNamespace(json=lambda: ANSWERS[path]))
    play._close(stage, Console(stderr=True), [], as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "deployments": [{"id": 2, "trace": "whole"}, {"id": 1}]
    }
