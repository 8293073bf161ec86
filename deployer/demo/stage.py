"""Everything the main job needs, on this machine: GitHub's stand-in, Airflow, web, worker.

The demo, the end-to-end tests and the benchmarks all play on the same stage.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import httpx

from deployer import config
from deployer.app.airflow import local_airflow
from deployer.config import Settings
from deployer.demo.github import StandIn
from deployer.demo.student import Student
from deployer.errors import ServicesError

if TYPE_CHECKING:
    from deployer.edges.embedded.airflow import LocalAirflow

REPO = "class/airflow-class"
START_BOUND_S = 60.0
ANSWER_BOUND_S = 30.0
STOP_BOUND_S = 20.0
LOOK_EVERY_S = 0.05
FIRST_PORT, LAST_PORT = 20_000, 32_000
"""Below those that Linux hands out by itself (ip_local_port_range, from 32768), to servers on
port 0 and to connections: nobody gets one of these unasked, however long it is until it is used."""


def free_port() -> int:
    """Return a port of loopback on which nobody listens."""
    while True:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


@dataclass(slots=True)
class Part:
    """One process of the deployer: `web` or `worker`, which `module` is run as."""

    name: str
    environment: Mapping[str, str]
    log: Path
    module: str
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self) -> None:
        """Start it, or start it again."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self.module, self.name],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def stop(self) -> None:
        """Ask it to stop, and make it after a while."""
        self.process.terminate()
        try:
            self.process.wait(STOP_BOUND_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.kill()
        self.process.wait()


@dataclass(slots=True)
class Stage:
    """Use it as a context manager; `folder` is its own and may be removed afterwards.

    Attributes:
        say: told what takes longer than a moment.
        more: further settings for web and worker, `DEPLOYER_…`.
        module: what web and worker are run as.
    """

    module: ClassVar[str] = "deployer"

    folder: Path
    say: Callable[[str], None]
    more: Mapping[str, str] = field(default_factory=dict)
    hub: StandIn = field(init=False)
    settings: Settings = field(init=False)
    airflow: LocalAirflow = field(init=False)
    web: Part = field(init=False)
    worker: Part = field(init=False)
    _client: httpx.Client = field(init=False)
    _ending: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        with self._ending as ending:
            self._start()
            self._ending = ending.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    @property
    def web_url(self) -> str:
        return f"http://{self.settings.bind}"

    def student(self, name: str) -> Student:
        """Return the student of that name, with a clone of the class repository."""
        return Student.clone(name, self.hub.git_url, self.folder / "students")

    def get(self, path: str) -> httpx.Response:
        """Ask the deployer's web process."""
        return self._client.get(path)

    def make_airflow(self) -> LocalAirflow:
        """Return the Airflow that plays, which does not run yet."""
        return local_airflow(self.settings, progress=self.say)

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        secret, token = secrets.token_hex(20), secrets.token_hex(20)
        self.hub = self._ending.enter_context(
            StandIn(self.folder / "github", repo=REPO, secret=secret, token=token)
        )
        environment = self._environment(secret, token)
        self.settings = config.load(environment)
        self.hub.webhook.url = f"{self.web_url}/webhook"
        self._client = httpx.Client(
            base_url=self.web_url,
            timeout=ANSWER_BOUND_S,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),  # web may be killed at any time
        )
        self._ending.callback(self._client.close)

        self.airflow = self.make_airflow()
        self._ending.callback(self.airflow.stop)
        self.say("starting Airflow")
        self.airflow.start()
        for name in ("web", "worker"):
            part = Part(name, environment, self.folder / f"{name}.log", self.module)
            setattr(self, name, part)
            part.start()
            self._ending.callback(part.stop)
        self._wait_for_web()
        self.airflow.wait_healthy(self.settings.recreate_services)
        if not self.worker.lives:
            raise ServicesError(f"the demo's worker ended by itself; see {self.worker.log}")

    def _environment(self, secret: str, token: str) -> dict[str, str]:
        """Return what web and worker see: nothing of the caller's own settings."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(config.PREFIX)}
        web, airflow = free_port(), free_port()
        return ours | {
            "DEPLOYER_GITHUB_REPO": REPO,
            "DEPLOYER_REPO_URL": self.hub.git_url,
            "DEPLOYER_GITHUB_API_URL": self.hub.url,
            "DEPLOYER_GITHUB_TOKEN": token,
            "DEPLOYER_WEBHOOK_SECRET": secret,
            "DEPLOYER_STATE_DIR": str(self.folder / "state"),
            "DEPLOYER_CHECKOUT_DIR": str(self.folder / "class"),
            "DEPLOYER_AIRFLOW_URL": f"http://127.0.0.1:{airflow}",
            "DEPLOYER_SERVICES": "local",
            "DEPLOYER_BIND": f"127.0.0.1:{web}",
            "DEPLOYER_PUBLIC_URL": f"http://127.0.0.1:{web}",
            **self.more,
        }

    def _wait_for_web(self) -> None:
        until = time.monotonic() + START_BOUND_S
        while time.monotonic() < until:
            try:
                if self.get("/healthz").is_success:
                    return
            except httpx.TransportError:
                pass
            if not self.web.lives:
                break
            time.sleep(LOOK_EVERY_S)
        raise ServicesError(f"the demo's web process does not answer; see {self.web.log}")
