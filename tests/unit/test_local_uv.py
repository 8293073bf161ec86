"""How the embedded Airflow runs uv."""

from __future__ import annotations

from pathlib import Path

from deployer.edges.embedded.uv import install_args, uv_environment


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
