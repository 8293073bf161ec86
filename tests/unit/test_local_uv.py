"""How the embedded Airflow runs uv."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from deployer.core.requirements.blame import CommandEnd, Ended
from deployer.edges.embedded.environment import install_args, run, uv_environment
from deployer.errors import ServicesError


def test_only_wheels_are_installed_and_airflows_pins_hold() -> None:
    args = install_args(Path("/env/bin/python"), Path("/r.txt"), Path("/pins.txt"), dry_run=True)
    assert args == (
        *("pip", "install", "--python", "/env/bin/python"),
        *("--only-binary", ":all:", "--constraint", "/pins.txt"),
        *("--dry-run", "--requirement", "/r.txt"),
    )


def test_uv_sees_no_secret_of_the_deployer() -> None:
    outer = {"DEPLOYER_GITHUB_TOKEN": "t", "PATH": "/bin", "UV_OFFLINE": "1", "AWS_SECRET": "s"}
    assert uv_environment(outer) == {"PATH": "/bin", "UV_OFFLINE": "1"}


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT])
def test_a_program_that_crashes_has_ended_by_itself(number: signal.Signals, tmp_path: Path) -> None:
    script = f"echo x: crashes when it is imported; kill -{number} $$"
    ended = run(["sh", "-c", script], within_s=60, cwd=tmp_path)
    assert ended == Ended(CommandEnd.EXITED, -number, "x: crashes when it is imported\n")


def test_a_program_that_somebody_ended_says_nothing_of_packages(tmp_path: Path) -> None:
    with pytest.raises(ServicesError, match="was ended by signal 9"):
        run(["sh", "-c", "kill -9 $$"], within_s=60, cwd=tmp_path)
