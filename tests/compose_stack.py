"""The class's Airflow in Docker Compose, as a teacher sets it up: the repository's own files,
copied to a directory like /etc/deployer, with an `.env` of random secrets.

    stack = ClassStack(tmp_path, "a-mine")          # lays files out; starts nothing
    stack.up()                                      # builds the image, starts, waits until healthy
    stack.compose("exec", "-T", "postgres", "true")
    stack.down()                                    # containers, volumes, images

`scripts/docker up` makes the two images that stand in for Airflow's and PostgreSQL's own.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from dotenv import dotenv_values

from deployer.demo.stage import free_port

Way: TypeAlias = Literal["image", "plain"]

ROOT = Path(__file__).parent.parent
AIRFLOW_IMAGE = "class-deployer/airflow:test"
POSTGRES_IMAGE = "class-deployer/postgres:test"
STUDENTS = {"amy": "amy-and-her-cat", "bob": "bob:likes:colons"}
"""Names and passwords in the class's list."""
UP_TIMEOUT_S = 600
COMPOSE_TIMEOUT_S = 300
WAITING = """
SELECT pid, client_addr, state, now() - xact_start AS since, pg_blocking_pids(pid) AS blocked_by,
       left(query, 200) AS query
FROM pg_stat_activity WHERE datname = 'airflow' AND state <> 'idle' ORDER BY xact_start
"""
FILES = ("docker-compose.yaml", "docker-compose.plain.yaml", "Dockerfile", ".dockerignore")


@functools.cache
def _missing() -> str | None:
    """Return what the tests on the engine lack, None: nothing."""
    for argv in (["info"], ["compose", "version"], ["image", "inspect", AIRFLOW_IMAGE]):
        try:
            done = subprocess.run(
                ["docker", *argv],
                capture_output=True,
                text=True,
                timeout=COMPOSE_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError:
            return "there is no docker here; `scripts/docker up` installs it as root on Debian"
        if done.returncode:
            return f"`docker {' '.join(argv)}` fails; try `scripts/docker up`: {done.stderr[-300:]}"
    return None


def needs_docker() -> None:
    """Skip the test, with the reason, where no engine can run it; fail it if CI=true."""
    if reason := _missing():
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


class ClassStack:
    """One class's stack on the real engine.

    Attributes:
        project: Compose's project name; also that of its images, `<project>:current`.
        compose_file: what DEPLOYER_COMPOSE_FILE would name.
        checkout: CHECKOUT_DIR, empty at first (the plain way: with an empty list of packages).
        url: of Airflow's REST API, on a free port of loopback.
        admin_password, deployer_password: of these accounts; STUDENTS has the students'.
    """

    def __init__(
        self,
        folder: Path,
        project: str,
        *,
        way: Way = "image",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """Lay the files out in `<folder>/etc` and `<folder>/class`.

        Args:
            folder: kept until `down`; what lies in it already stays.
            project: lower-case letters, digits and dashes; nobody else's on this engine.
            way: how packages get into the containers.
            settings: further lines of `.env`.
        """
        needs_docker()
        self.project = project
        self._way = way
        self._etc, self.checkout = folder / "etc", folder / "class"
        name = "docker-compose.yaml" if way == "image" else "docker-compose.plain.yaml"
        self.compose_file = self._etc / name
        fresh = not (self._etc / ".env").exists()
        self._lay_out({
            "CLASS_CHECKOUT_DIR": str(self.checkout),
            "CLASS_IMAGE": f"{project}:current",
            "AIRFLOW_IMAGE_NAME": AIRFLOW_IMAGE,
            "POSTGRES_IMAGE": POSTGRES_IMAGE,
            "AIRFLOW_BIND": f"127.0.0.1:{free_port()}",
            "COMPOSE_FILE": name,
            # Each look starts a process in a container, which costs more than the look itself.
            "HEALTH_INTERVAL": "6s",
            # Their health is what a test waits for; two cores are few for 30 students' tasks.
            "AIRFLOW_PARALLELISM": "4",
            **(settings or {}),
        })  # fmt: skip
        # Read back, for a second ClassStack of the same folder is the same stack.
        env = dotenv_values(self._etc / ".env", interpolate=False)
        self.url = f"http://{env['AIRFLOW_BIND']}"
        self.admin_password = env["AIRFLOW_ADMIN_PASSWORD"] or ""
        self.deployer_password = env["DEPLOYER_AIRFLOW_PASSWORD"] or ""
        if fresh:
            # What a killed run left has a database of other passwords.
            self.down()

    def up(self) -> None:
        """Build the image if it is that way, start all services, wait until they are healthy."""
        if self._way == "image":
            self.compose("build", "--quiet", timeout_s=UP_TIMEOUT_S)
        self.compose("up", "--detach", "--wait", "--no-build", timeout_s=UP_TIMEOUT_S)

    def down(self) -> None:
        """Remove containers, networks, volumes and images of this project; safe to repeat."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "1")
        argv = ["docker", "image", "ls", "--quiet", self.project]
        images = subprocess.run(
            [*argv, "--format", "{{.Repository}}:{{.Tag}}"],
            capture_output=True, text=True, timeout=COMPOSE_TIMEOUT_S, check=True,
        ).stdout.split()  # fmt: skip
        if images:
            # Their layers stay, for the next build to be a matter of a second. By force: the same
            # layers may be what a container of another project runs on; only the name goes.
            subprocess.run(
                ["docker", "image", "rm", "--no-prune", "--force", *images],
                capture_output=True, timeout=COMPOSE_TIMEOUT_S, check=True,
            )  # fmt: skip

    def compose(
        self, *args: str, timeout_s: float = COMPOSE_TIMEOUT_S, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `docker compose ARGS` on this stack; `check`: its failure is the test's."""
        argv = ["docker", "compose", "--project-name", self.project]
        done = subprocess.run(
            [*argv, "--file", str(self.compose_file), *args],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            # Without buildx, Compose builds with the classic builder if it is told to.
            env={**os.environ, "DOCKER_BUILDKIT": "0"},
            check=False,
        )
        if check and done.returncode:
            pytest.fail(
                f"docker compose {' '.join(args)}: status {done.returncode}\n"
                f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            )
        return done

    def container_id(self, service: str) -> str:
        """Return the id of a service's container, running or not; fail if there is none."""
        found = self.compose("ps", "--all", "--quiet", service).stdout.split()
        assert len(found) == 1, f"{service} has {len(found)} containers"
        return found[0]

    def healthy(self) -> set[str]:
        """Return the services that Docker calls healthy right now."""
        return {name for name, health in self._health().items() if health == "healthy"}

    def _health(self, *more: str) -> dict[str, str]:
        rows = map(json.loads, self.compose("ps", *more, "--format", "json").stdout.splitlines())
        return {row["Service"]: row["Health"] for row in rows}

    def state(self) -> str:
        """Return how its services are, and the last words of those that are not healthy."""
        unwell = [name for name, said in self._health("--all").items() if said != "healthy"]
        argv = ["logs", "--no-color", "--tail=40", *unwell]
        said = [self.compose("ps", "--all", check=False).stdout]
        said += [self.compose(*argv, check=False).stdout] if unwell else []
        # What waits for a lock in the database, and for whom.
        psql = ["psql", "--host=/tmp", "--username=airflow", "--command", WAITING]
        said += [self.compose("exec", "-T", "postgres", *psql, check=False).stdout]
        return "\n".join(said)

    def logs(self, service: str) -> str:
        """Return what a service's container wrote, both streams."""
        return self.compose("logs", "--no-color", "--no-log-prefix", service).stdout

    def _lay_out(self, settings: Mapping[str, str]) -> None:
        self._etc.mkdir(parents=True, exist_ok=True)
        self.checkout.mkdir(exist_ok=True)
        for name in FILES:
            shutil.copyfile(ROOT / name, self._etc / name)
        # The class's own file may name packages by the time this is read.
        (self._etc / "requirements.txt").write_text("# nothing yet\n")
        ignore = shutil.ignore_patterns("__pycache__")
        files = self._etc / "include" / "airflow"
        shutil.copytree(ROOT / "include" / "airflow", files, dirs_exist_ok=True, ignore=ignore)
        students = "".join(f"{name}:{password}\n" for name, password in STUDENTS.items())
        _write_for_group_0(self._etc / "students", f"# name:password\n{students}")
        if not (self._etc / ".env").exists():
            example = (ROOT / "airflow.env.example").read_text()
            lines = "".join(f"{name}={value}\n" for name, value in settings.items())
            _write_for_group_0(self._etc / ".env", filled(example) + lines)
        packages = self.checkout / "packages"
        if self._way == "plain" and not packages.exists():
            (packages / "1").mkdir(parents=True)
            for name in ("requirements.in", "requirements.txt"):
                (packages / "1" / name).touch()
            (packages / "current").symlink_to("1")


def filled(example: str) -> str:
    """Return the example of an `.env` with each empty value random (docs/operations.md does so)."""

    def secret(name: str) -> str:
        # https://github.com/fernet/spec: 32 bytes exactly
        size = 32 if name == "AIRFLOW_FERNET_KEY" else 48
        return base64.urlsafe_b64encode(secrets.token_bytes(size)).decode()

    return re.sub(r"(?m)^(\w+)=$", lambda line: f"{line[1]}={secret(line[1])}", example)


def _write_for_group_0(file: Path, text: str) -> None:
    """Write a file as docs/operations.md has it: containers are of group 0, others are not."""
    file.touch()
    os.chown(file, -1, 0)
    file.chmod(0o640)
    file.write_text(text)
