"""The command that runs the isolated parser in a container: read, not run."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock

import docker
import pytest
from docker.errors import APIError

from deployer.edges.parser import container
from deployer.edges.parser.container import ContainerParser, ContainerPlace, run_argv
from deployer.errors import PreflightError

PLACE = ContainerPlace(
    "class-airflow:current",
    "class",
    Path("/srv/class"),
    files=Path("/opt/files"),
    env={"AIRFLOW__A__B": "c"},
)
PLAIN = replace(
    PLACE,
    image="apache/airflow:3.3.2",
    pip_requirements="--requirement /opt/class/packages/current/requirements.txt",
)


def options(argv: tuple[str, ...], name: str) -> list[str]:
    joined = [word.partition("=")[2] for word in argv if word.startswith(f"{name}=")]
    return joined or [value for option, value in pairwise(argv) if option == name]


def test_the_container_ends_with_the_child_process_and_leaves_nothing() -> None:
    argv = run_argv(PLACE, "class-preflight-1")

    assert argv[:2] == ("docker", "run")
    assert {"--rm", "--interactive"} <= set(argv)
    assert options(argv, "--name") == ["class-preflight-1"]
    assert options(argv, "--label") == ["class-deployer.parser=class"]
    assert options(argv, "--log-driver") == ["none"]
    assert not {"--detach", "--tty", "--restart"} & set(argv)


def test_the_images_own_parser_is_its_first_process() -> None:
    argv = run_argv(PLACE, "n")

    assert options(argv, "--entrypoint") == ["python"]
    assert argv[-2:] == ("class-airflow:current", "/opt/deployer/airflow/preflight.py")
    assert options(argv, "--pull") == ["never"]


def test_it_is_cut_off_and_bounded() -> None:
    argv = run_argv(PLACE, "n")

    assert options(argv, "--network") == ["none"]
    assert "--read-only" in argv
    assert "--privileged" not in argv
    assert options(argv, "--cap-drop") == ["ALL"]
    assert options(argv, "--security-opt") == ["no-new-privileges"]
    assert options(argv, "--user") == ["50000:0"]
    assert options(argv, "--memory") == options(argv, "--memory-swap") == ["6912m"]
    assert options(argv, "--pids-limit") == ["256"]


@pytest.mark.parametrize(("cores", "may_use"), [(8, "2"), (1, "1")])
def test_it_is_given_no_more_cores_than_there_are(
    monkeypatch: pytest.MonkeyPatch, cores: int, may_use: str
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert options(run_argv(PLACE, "n"), "--cpus") == [may_use]


def test_releases_are_mounted_where_they_are_and_nothing_can_be_written() -> None:
    assert options(run_argv(PLACE, "n"), "--mount") == [
        "type=bind,source=/srv/class,target=/srv/class,readonly",
        "type=bind,source=/opt/files,target=/opt/deployer/airflow,readonly",
    ]


def test_it_is_told_how_to_parse_and_no_more() -> None:
    told = dict(value.split("=", 1) for value in options(run_argv(PLACE, "n"), "--env"))

    assert told["AIRFLOW__A__B"] == "c"
    assert told["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] == "sqlite://"
    assert told["HOME"] == told["AIRFLOW_HOME"] == "/tmp"  # noqa: S108  # the container's
    assert told["CLASS_RULES"] == "advice"
    assert all(
        name.startswith("AIRFLOW__")
        for name in told.keys() - {"HOME", "AIRFLOW_HOME", "PYTHONPATH", "CLASS_RULES"}
    )


def test_in_the_plain_way_the_entrypoint_installs_the_packages_first() -> None:
    argv = run_argv(PLAIN, "n")

    assert "--entrypoint" not in argv
    assert argv[-3:] == ("apache/airflow:3.3.2", "python", "/opt/deployer/airflow/preflight.py")
    assert f"_PIP_ADDITIONAL_REQUIREMENTS={PLAIN.pip_requirements}" in options(argv, "--env")
    assert options(argv, "--network") == ["bridge"]
    assert "--read-only" not in argv
    assert options(argv, "--mount")[-1] == (
        "type=bind,source=/srv/class/packages,target=/opt/class/packages,readonly"
    )
    assert options(argv, "--cap-drop") == ["ALL"]


def test_before_a_parser_starts_those_of_a_killed_worker_are_removed_and_its_own_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, orphan = Mock(), Mock()
    ours.name = f"class-preflight-{container._OURS}-1"
    orphan.name = "class-preflight-0123abcd"
    orphan.remove.side_effect = APIError("its removal is in progress")
    engine = Mock()
    engine.containers.list.return_value = [ours, orphan]
    monkeypatch.setattr(docker, "from_env", lambda **_: engine)
    monkeypatch.setenv("PATH", "")  # no docker: none starts

    with pytest.raises(PreflightError, match="can't be started"):
        ContainerParser(lambda: PLACE).start()

    asked = engine.containers.list.call_args.kwargs
    assert asked["all"]
    assert asked["filters"] == {"label": "class-deployer.parser=class"}
    orphan.remove.assert_called_once_with(force=True, v=True)
    ours.remove.assert_not_called()
