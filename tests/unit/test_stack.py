"""What Compose prints of the operator's file, as values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deployer.core.stack import PIP_AT_START, Mount, Service, Stack, parse, seconds
from deployer.edges.compose.runner import shared_file
from deployer.errors import ServicesError

FILE = Path("/etc/deployer/docker-compose.yaml")


def stack(**services: dict[str, Any]) -> Stack:
    return parse(FILE, {"name": "x", "services": services})


def test_a_service_is_read_with_all_that_matters_here() -> None:
    read = stack(
        scheduler={
            "image": "class-airflow:current",
            "build": {"context": "/etc/deployer", "args": {"AIRFLOW_IMAGE_NAME": "x:1"}},
            # Compose doubles each $, and has no value for what `.env` does not set.
            "environment": {"A": "a$$b", "AIRFLOW_CONN_AZURE_PG": None},
            "stop_grace_period": "10m0s",
            "command": ["scheduler"],
            "volumes": [
                {"type": "bind", "source": "/srv", "target": "/opt/class", "read_only": True},
                {"type": "tmpfs", "target": "/tmp"},  # noqa: S108 - the container's
            ],
            "healthcheck": {"test": ["CMD", "true"], "interval": "3s"},
        }
    )
    assert read.services["scheduler"] == Service(
        image="class-airflow:current",
        build_args={"AIRFLOW_IMAGE_NAME": "x:1"},
        command=("scheduler",),
        environment={"A": "a$b"},
        mounts=(
            Mount("/srv", "/opt/class", bind=True, read_only=True),
            Mount("", "/tmp", bind=False, read_only=False),  # noqa: S108 - likewise
        ),
        stop_grace_s=600.0,
    )


def test_what_a_service_does_not_say_is_composes_default() -> None:
    assert stack(db={"image": "postgres:16"}).services["db"] == Service(
        image="postgres:16", stop_grace_s=10.0
    )


def test_a_stack_without_services_has_none() -> None:
    assert parse(FILE, {"name": "x"}).services == {}


def test_secrets_of_the_environment_are_not_shown() -> None:
    read = stack(db={"environment": {"POSTGRES_PASSWORD": "swordfish"}})
    assert "swordfish" not in repr(read)


@pytest.mark.parametrize(
    ("duration", "expected"), [("1m0s", 60), ("1h0m10s", 3610), ("1.5s", 1.5), ("500ms", 0.5)]
)
def test_durations_are_read_as_compose_prints_them(duration: str, expected: float) -> None:
    assert seconds(duration) == expected


def test_the_way_is_plain_where_containers_install_packages_themselves() -> None:
    plain = {"environment": {PIP_AT_START: "--requirement x"}}
    empty = {"environment": {PIP_AT_START: "  "}}
    both = stack(scheduler=plain, api=plain, db={})
    assert both.plain(["scheduler", "api"])
    assert not stack(scheduler=empty, api={}).plain(["scheduler", "api"])
    # Only what is recreated counts.
    assert not both.plain(["db"])


def test_both_ways_at_once_are_an_error_that_names_who_goes_which() -> None:
    mixed = stack(scheduler={"environment": {PIP_AT_START: "x"}}, api={})
    with pytest.raises(
        ServicesError, match=r"docker-compose.yaml: scheduler set .* and api do not"
    ):
        mixed.plain(["scheduler", "api"])


def test_what_is_compared_with_the_repository_is_the_file_that_the_plain_way_builds_upon(
    tmp_path: Path,
) -> None:
    plain = tmp_path / "docker-compose.plain.yaml"
    assert shared_file(plain) == plain
    beside = tmp_path / "docker-compose.yaml"
    beside.touch()
    assert shared_file(plain) == beside
    assert shared_file(beside) == beside
