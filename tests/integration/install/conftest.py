"""One VM for all tests of this folder, which run in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.demo.github import StandIn
from tests.compose_stack import POSTGRES_IMAGE, needs_docker
from tests.github.watched import watched
from tests.integration.install.vm import AIRFLOW, NAME, PROJECT, REPO, Vm

STUDENTS = "amy\nbob   # who comes later\n"


@pytest.fixture(scope="session")
def caches() -> Path:
    needs_docker()
    caches = Path.home() / ".cache/class-deployer/installers"
    caches.mkdir(parents=True, exist_ok=True)
    return caches


@pytest.fixture(scope="session")
def vm(caches: Path) -> Iterator[Vm]:
    """Nothing is installed in it yet."""
    with Vm(caches) as vm:
        yield vm


@pytest.fixture(scope="session")
def github(vm: Vm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A stand-in that the VM reaches."""
    root = tmp_path_factory.mktemp("github")
    github = StandIn(root, repo=REPO, secret="s" * 32, token="a-token", host=vm.gateway)
    with github, watched(github):
        yield github


@pytest.fixture(scope="session")
def flags(vm: Vm, github: StandIn) -> list[str]:
    return told(vm, github, STUDENTS)


def told(vm: Vm, github: StandIn, students: str) -> list[str]:
    """All that the installer has to be told, in a file as a teacher may write it."""
    lines = [
        f"--repo={REPO}",
        f"--name={NAME}",
        f"--airflow-name={AIRFLOW}",
        "--students=/root/students",
        "--token-file=/root/token",
        "--tls=internal",
        "--without-services",
        f"--setting=DEPLOYER_GITHUB_API_URL={github.url}",
        f"--setting=DEPLOYER_REPO_URL={github.git_url}",
        f"--setting=DEPLOYER_COMPOSE_PROJECT={PROJECT}",
        f"--setting=POSTGRES_IMAGE={POSTGRES_IMAGE}",
        "--setting=HEALTH_INTERVAL=1s",
    ]
    vm.root(f"printf '{students}' >/root/students; echo a-token >/root/token")
    vm.root(f"printf '%s\\n' {' '.join(lines)} >/root/class.conf")
    return ["@/root/class.conf"]


@pytest.fixture(scope="session")
def installed(vm: Vm, flags: list[str]) -> Vm:
    """The VM, with the deployer on it."""
    vm.install(*flags)
    return vm
