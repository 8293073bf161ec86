"""The embedded Airflow's environment and secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deployer.edges.disk import airflow_files
from deployer.edges.embedded.airflow_settings import Layout, Secrets, environment


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(
        tmp_path, Path("/srv/class-airflow"), 8123, "https://github.com/o/n", Path("/files")
    )


def test_processes_that_run_students_code_see_no_secret_of_the_deployer(layout: Layout) -> None:
    outer = {"DEPLOYER_WEBHOOK_SECRET": "s" * 16, "DEPLOYER_GITHUB_TOKEN": "t", "PATH": "/bin"}
    env = environment(layout, Secrets.load(layout), outer)
    assert env["PATH"] == "/bin"
    assert not [name for name in env if name.startswith("DEPLOYER_")]


def test_the_bundle_is_the_deployers_own_and_reads_the_releases(layout: Layout) -> None:
    env = environment(layout, Secrets.load(layout), {})
    (bundle,) = json.loads(env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"])
    assert bundle["classpath"] == "class_bundle.ClassBundle"
    assert bundle["kwargs"] == {"root": "/srv/class-airflow", "repo_url": "https://github.com/o/n"}
    assert env["PYTHONPATH"] == "/files"


def test_airflow_listens_on_loopback_alone(layout: Layout) -> None:
    env = environment(layout, Secrets.load(layout), {})
    assert env["AIRFLOW__API__HOST"] == "127.0.0.1"
    assert env["AIRFLOW__API__PORT"] == "8123"
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:8123/execution/"


def test_secrets_are_made_once_and_kept(layout: Layout) -> None:
    first = Secrets.load(layout)
    assert Secrets.load(layout) == first
    assert json.loads(layout.passwords.read_text()) == {"admin": first.password}


def test_secrets_do_not_show_in_their_repr(layout: Layout) -> None:
    made = Secrets.load(layout)
    for secret in (made.jwt, made.api, made.fernet, made.password):
        assert secret not in repr(made)


def test_secrets_belong_to_their_owner_alone(layout: Layout) -> None:
    Secrets.load(layout)
    for file in (layout.state / "secrets.json", layout.passwords):
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_files_for_airflow_are_found_in_a_checkout() -> None:
    assert (airflow_files() / "class_bundle.py").is_file()
