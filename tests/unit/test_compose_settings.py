"""The two stacks of the class, embedded and in Compose, run Airflow with the same settings."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from deployer.edges.embedded.airflow_settings import SETTINGS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
IN_COMPOSE = dict(re.findall(r'(?m)^ +AIRFLOW__(\w+): "?(.*?)"?$', TEXT))
OF_THE_EMBEDDED_ALONE = {
    # another auth manager
    "CORE__SIMPLE_AUTH_MANAGER_USERS",
    # a container listens on all of its own addresses; which are published is another matter
    "API__HOST",
    # a class needs more than a trial: AIRFLOW_PARALLELISM
    "CORE__PARALLELISM",
}


def test_what_the_embedded_airflow_sets_compose_sets_to_the_same() -> None:
    shared = {name: value for name, value in SETTINGS.items() if name not in OF_THE_EMBEDDED_ALONE}
    assert {name: IN_COMPOSE.get(name) for name in shared} == shared


def test_no_exception_is_left_over() -> None:
    assert SETTINGS.keys() >= OF_THE_EMBEDDED_ALONE
    assert not [name for name in OF_THE_EMBEDDED_ALONE if IN_COMPOSE.get(name) == SETTINGS[name]]


def test_every_variable_of_the_compose_files_is_in_the_example_of_an_env_file() -> None:
    """Also those with a default, with that same default."""
    plain = (ROOT / "docker-compose.plain.yaml").read_text()
    used = dict(re.findall(r"\$\{(\w+)(?::[-?]([^}]*))?\}", TEXT + plain))
    example = (ROOT / "airflow.env.example").read_text()
    given = dict(re.findall(r"(?m)^#?([A-Z_]+)=(.*)$", example))
    assert used.keys() <= given.keys()
    defaults = {name: value for name, value in used.items() if not value.startswith("see ")}
    assert {name: given[name] for name, value in defaults.items() if value} == {
        name: value for name, value in defaults.items() if value
    }


def test_secrets_have_no_default() -> None:
    secrets = re.findall(r"(?m)^(\w+)=$", (ROOT / "airflow.env.example").read_text())
    assert len(secrets) == 6
    for name in secrets:
        uses = re.findall(rf"\$\{{{name}[^}}]*\}}", TEXT)
        assert uses
        assert set(uses) == {f"${{{name}:?see airflow.env.example}}"}


@pytest.mark.parametrize(
    ("migrated", "accounts", "status", "said"),
    [
        (0, 0, 0, ""),
        (0, 3, 0, "passed over: the accounts, which failed with status 3"),
        (2, 0, 2, ""),
    ],
)
def test_airflow_starts_without_its_accounts_and_not_without_its_migration(
    tmp_path: Path, migrated: int, accounts: int, status: int, said: str
) -> None:
    command = yaml.safe_load(TEXT)["services"]["airflow-init"]["command"]
    for name, ends in (("airflow", migrated), ("python", accounts)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {ends}\n")
        (tmp_path / name).chmod(0o755)
    ended = subprocess.run(
        [word.replace("$$", "$") for word in command],
        env={"PATH": f"{tmp_path}:{os.defpath}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == status
    assert ended.stderr.startswith(said)
