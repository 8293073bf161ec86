"""Every command line of Compose."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.edges.compose.runner import CONFIG, Project, argv, run, script, start, stop, up
from deployer.errors import ServicesError

PROJECT = Project("class-airflow", Path("/etc/deployer/docker-compose.yaml"))
BEGINS = (
    *("docker", "compose", "--ansi", "never", "--progress", "plain"),
    *("--project-name", "class-airflow", "--file", "/etc/deployer/docker-compose.yaml"),
)


def test_a_service_is_recreated_alone_from_what_is_here_already_in_its_own_time() -> None:
    line = argv(PROJECT, up("airflow-scheduler"))
    assert line == (
        *(*BEGINS, "up", "--detach", "--no-deps", "--no-build", "--force-recreate"),
        *("--pull", "never", "--", "airflow-scheduler"),
    )
    # Compose would then end running tasks before the file's stop_grace_period is over.
    assert "--timeout" not in line


def test_the_file_is_read_as_compose_understands_it() -> None:
    assert argv(PROJECT, CONFIG) == (*BEGINS, "config", "--format", "json")


def test_services_are_started_alone_and_waited_for() -> None:
    assert argv(PROJECT, start(("postgres", "warehouse"))) == (
        *(*BEGINS, "up", "--detach", "--wait", "--no-deps", "--", "postgres", "warehouse"),
    )


def test_services_are_stopped_within_a_bound() -> None:
    assert argv(PROJECT, stop(("airflow-scheduler",), 30)) == (
        *(*BEGINS, "stop", "--timeout", "30", "--", "airflow-scheduler"),
    )


def test_a_script_runs_in_a_container_without_a_terminal() -> None:
    assert argv(PROJECT, script("postgres", "exec true")) == (
        *(*BEGINS, "exec", "-T", "postgres", "sh", "-c", "exec true"),
    )


@pytest.mark.parametrize("command", [(), ("airflow", "version")])
def test_a_command_runs_to_its_end_in_a_container_for_that_alone(command: tuple[str, ...]) -> None:
    assert argv(PROJECT, run("airflow-init", *command)) == (
        *(*BEGINS, "run", "--rm", "--no-deps", "-T", "airflow-init", *command),
    )


@pytest.mark.parametrize("name", ["", "a b", "--all\n", "$(id)", "a;b"])
def test_a_name_that_is_no_services_is_refused(name: str) -> None:
    with pytest.raises(ServicesError, match="DEPLOYER_RECREATE_SERVICES"):
        up(name)
