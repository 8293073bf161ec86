"""`.env` and database, kept while another Airflow is put in. A stand-in plays `docker`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployer.edges.backup.databases import Databases
from deployer.edges.compose.other_airflow import FITS, ComposeOtherAirflow
from deployer.edges.compose.runner import ComposeRunner, Project
from deployer.errors import AirflowKept

SERVICES = ("airflow-scheduler", "airflow-apiserver")
# Reads `.env` as Compose does; a dump is what `database` holds, a restored one takes its place.
DOCKER = """#!/bin/sh
here=$(dirname "$0")
case "$*" in
*" config "*)
    base=$(sed -n 's/^AIRFLOW_IMAGE_NAME=//p' "$here/../.env" | tail -n 1)
    sed "s|@BASE@|${base:-apache/airflow:3.3.2}|" "$here/config.json"; exit ;;
*pg_dump*) exec cat "$here/database" ;;
*pg_restore*) exec cat >"$here/loaded" ;;
*RENAME*) mv "$here/loaded" "$here/database" ;;
*" run "*) echo 3.3.3 >"$here/database" ;;
esac
echo "$*" | sed 's/.*docker-compose.yaml //; s/ sh -c.*/ …/' | head -n 1 >>"$here/did"
"""
CONFIG = """{"services": {
"airflow-scheduler": {"image": "class:current",
    "environment": {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://a:b@HOST/airflow"}},
"airflow-apiserver": {"image": "class:current"},
"airflow-init": {"image": "class:current",
    "build": {"context": ".", "args": {"AIRFLOW_IMAGE_NAME": "@BASE@"}}},
"postgres": {"image": "postgres:16", "environment": {"POSTGRES_DB": "airflow"}}}}
"""
ENV = "# ours\nPOSTGRES_PASSWORD=word\n"


class Place:
    """An operator's directory, with its stack and programs."""

    def __init__(self, etc: Path) -> None:
        self.env, self.programs, self.kept = etc / ".env", etc / "bin", etc / "state" / "kept"
        (etc / "docker-compose.yaml").write_text("services: {}\n")
        self.env.write_text(ENV)
        self.env.chmod(0o640)
        self.programs.mkdir()
        (self.programs / "docker").write_text(DOCKER)
        (self.programs / "docker").chmod(0o755)
        (self.programs / "database").write_text("3.3.2\n")
        self.config()

    def config(self, before: str = "HOST", now: str = "postgres") -> None:
        """Write what Compose says of the file, changed in one place."""
        text = CONFIG.replace(before, now).replace("HOST", "postgres")
        (self.programs / "config.json").write_text(text)

    def other(self) -> ComposeOtherAirflow:
        environ = {**os.environ, "PATH": f"{self.programs}:/usr/bin:/bin"}
        project = Project("class", self.env.with_name("docker-compose.yaml"))
        runner = ComposeRunner(project, self.kept.with_name("compose.log"), environ=environ)
        return ComposeOtherAirflow(
            runner,
            Databases(runner),
            services=SERVICES,
            airflow_url="http://127.0.0.1:1",
            kept=self.kept,
        )

    @property
    def database(self) -> str:
        return (self.programs / "database").read_text()

    def did(self) -> list[str]:
        return (self.programs / "did").read_text().splitlines()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_env_file_names_the_version_and_its_password_stays_closed(place: Place) -> None:
    place.other().name("3.3.3")
    assert place.env.read_text() == f"{ENV}AIRFLOW_IMAGE_NAME=apache/airflow:3.3.3\n"
    assert place.env.stat().st_mode & 0o777 == 0o640
    assert place.kept.stat().st_mode & 0o777 == 0o700
    assert place.other().begun() == "3.3.3"


def test_one_that_died_before_it_began_is_no_hindrance(place: Place) -> None:
    place.kept.mkdir(parents=True)
    assert place.other().begun() is None
    place.other().name("3.3.3")
    assert place.other().begun() == "3.3.3"


def test_another_process_puts_file_and_database_back(place: Place) -> None:
    other = place.other()
    other.name("3.3.3")
    other.keep_database()
    other.migrate()
    assert place.database == "3.3.3\n"
    place.other().take_back()
    assert place.database == "3.3.2\n"
    assert place.env.read_text() == ENV
    stop = "stop --timeout 30 -- airflow-scheduler airflow-apiserver"
    once = "run --rm --no-deps -T airflow-init"
    fits = f"{once} {' '.join(FITS)}"
    assert place.did() == [stop, fits, once, stop, "exec -T postgres …"]
    place.other().forget()
    assert not place.kept.exists()
    assert place.other().begun() is None


def test_what_was_not_stopped_yet_runs_on_when_it_is_put_back(place: Place) -> None:
    other = place.other()
    other.name("3.3.3")
    other.take_back()
    assert place.env.read_text() == ENV
    assert not (place.programs / "did").exists()


@pytest.mark.parametrize(
    ("before", "now", "why"),
    [
        ("HOST", "db.example.org", "it can't be backed up from here"),
        ("@BASE@", "apache/airflow:latest", "name that image by its version"),
        ("airflow-init", "setup", "has no service airflow-init"),
    ],
)
def test_a_stack_that_has_no_place_for_it_is_left_alone(
    place: Place, before: str, now: str, why: str
) -> None:
    place.config(before, now)
    with pytest.raises(AirflowKept, match=why):
        place.other().name("3.3.3")
    assert place.env.read_text() == ENV
    assert place.other().begun() is None


def test_a_stack_that_names_its_airflow_itself_is_told_what_to_change(place: Place) -> None:
    place.config("@BASE@", "apache/airflow:3.3.2")
    with pytest.raises(AirflowKept, match="does not build of the AIRFLOW_IMAGE_NAME"):
        place.other().name("3.3.3")
    place.other().take_back()
    assert place.env.read_text() == ENV
