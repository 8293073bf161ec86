"""The databases of a stack, dumped and swapped in real containers of PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.edges.backup.databases import Databases
from deployer.edges.compose.runner import ComposeRunner, Project
from tests.compose_stack import POSTGRES_IMAGE, needs_docker

pytestmark = pytest.mark.docker
PROJECT = f"keep-{os.getpid()}"
ASIDE = "before_20260301T120000Z"
STACK = f"""
services:
  airflow-scheduler: &idle
    image: {POSTGRES_IMAGE}
    entrypoint: [sleep, infinity]
    stop_grace_period: 0s
  postgres:
    image: {POSTGRES_IMAGE}
    environment:
      POSTGRES_USER: airflow
      POSTGRES_DB: airflow
      POSTGRES_PASSWORD: ${{PASSWORD}}
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck:
      test: [CMD, pg_isready, --quiet, --host=127.0.0.1, --username=airflow]
      interval: 1s
      retries: 60
volumes:
  data:
"""


class Stack:
    def __init__(self, place: Path) -> None:
        self.file = place / "docker-compose.yaml"
        self.file.write_text(STACK)
        self.password("first")
        log = place / "state" / "compose.log"
        runner = ComposeRunner(Project(PROJECT, self.file), log, environ=os.environ)
        self.databases = Databases(runner)

    def password(self, word: str) -> None:
        (self.file.parent / ".env").write_text(f"PASSWORD={word}\n")

    def compose(self, *args: str) -> str:
        return subprocess.run(
            ["docker", "compose", "--project-name", PROJECT, "--file", str(self.file), *args],
            check=True, capture_output=True, text=True, timeout=300,
        ).stdout  # fmt: skip

    def sql(self, statement: str, password: str = "first", database: str = "airflow") -> str:  # noqa: S107
        return self.compose(
            "exec", "-T", "--env", f"PGPASSWORD={password}", "postgres", "psql", "--no-align",
            "--tuples-only", "--host=postgres", "--username=airflow", f"--dbname={database}",
            "--command", statement,
        ).strip()  # fmt: skip


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    needs_docker()
    made = Stack(tmp_path)
    try:
        made.compose("up", "--detach", "--wait")
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "0")


def test_a_dump_takes_the_place_of_a_database_under_the_password_of_the_settings(
    stack: Stack, tmp_path: Path
) -> None:
    assert stack.databases.names() == ("postgres",)
    stack.sql("CREATE TABLE dag_run AS SELECT 1 AS id")
    stack.databases.dump("postgres", tmp_path / "dump")
    stack.sql("INSERT INTO dag_run VALUES (2)")
    stack.password("second")  # as a backup's settings have it; the server's volume has the first
    stack.databases.stop_others()
    stack.databases.start(("postgres",))
    stack.databases.load("postgres", tmp_path / "dump")
    stack.databases.swap("postgres", ASIDE)
    assert stack.sql("SELECT count(*) FROM dag_run", "second") == "1"
    assert stack.sql("SELECT count(*) FROM dag_run", "second", f"airflow_{ASIDE}") == "2"
    assert stack.compose("ps", "--services", "--status", "running").split() == ["postgres"]
