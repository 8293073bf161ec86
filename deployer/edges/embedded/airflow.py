"""The embedded Airflow: api-server, scheduler and dag-processor as processes of this user.

For the trial (`deployer demo`) and the tests. SQLite, LocalExecutor, one admin; loopback
only. It runs students' code with the rights of whoever started it: not for a class.

What a push contains is never run by the deployer itself: `requirements.txt` is resolved and
installed by uv from wheels alone, into an environment that only Airflow's processes use,
and new packages are imported for the first time in a process of that environment.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from deployer.core.model import Vitals
from deployer.core.verdicts import trace
from deployer.edges.airflow import health
from deployer.edges.disk import airflow_files
from deployer.edges.embedded.airflow_settings import USERNAME, Layout, Secrets, environment
from deployer.edges.embedded.environment import BaseEnvironment, Environments, resolve
from deployer.edges.embedded.processes import Processes, StartedProcess
from deployer.edges.packages.installer_output import listed
from deployer.edges.packages.slots import Slot
from deployer.errors import NotHealthy, ServicesError

COMMANDS = {
    "airflow-scheduler": ("scheduler", "--skip-serve-logs"),
    "airflow-apiserver": ("api-server",),
    "airflow-dag-processor": ("dag-processor",),
}
"""Airflow's command by the name its service has in the class's docker-compose.yaml."""
_LOOK_S = 0.1
_STOP_S = 30.0


class LocalAirflow:
    """One embedded Airflow; implements `ports.Services`.

    Args:
        state: its directory; a second instance on it takes over what the first one started.
        root: CHECKOUT_DIR, whose releases it reads.
        port: of its api-server.
        repo_url: the class repository's page, for links out of Airflow.
        progress: told in a few words what takes longer than a moment.
    """

    username = USERNAME

    def __init__(
        self,
        state: Path,
        *,
        root: Path,
        port: int,
        repo_url: str | None = None,
        resolve_timeout_s: float = 120,
        health_timeout_s: float = 180,
        progress: Callable[[str], None] = lambda _: None,
    ) -> None:
        files = airflow_files()
        self._resolve_timeout_s = resolve_timeout_s
        self._health_timeout_s = health_timeout_s
        self._progress = progress
        self._base = BaseEnvironment()
        # A new lock file begins anew: what an older Airflow wrote is not migrated.
        own = state.absolute() / self._base.key
        self.layout = Layout(own, root.absolute(), port, repo_url, files)
        self.url = self.layout.url
        self._environments = Environments(own / "env", self._base, files)
        self._processes = Processes(state.absolute() / "run", state.absolute() / "logs")

    # -- for the demo, which owns it

    def start(self) -> None:
        """Make what is missing and start what does not run; does not wait for health.

        What runs already, on the environment that is current, is taken over.

        Raises:
            ServicesError, DiskError
        """
        self._base.ensure(self._progress)
        self._environments.ensure_current()
        self._ensure_database()
        mine = str(self.python)
        others = [name for name, process in self._running().items() if process.program != mine]
        self._processes.stop(others, within_s=_STOP_S)
        self._start(tuple(COMMANDS))

    def stop(self) -> None:
        """Stop everything that this place runs, whoever started it."""
        self._processes.stop(tuple(COMMANDS), within_s=_STOP_S)

    def pids(self) -> dict[str, int]:
        """Return the process id of each service that lives."""
        return {name: process.pid for name, process in self._running().items()}

    @property
    def password(self) -> str:
        return Secrets.load(self.layout).password

    @property
    def python(self) -> Path:
        """Interpreter of the environment that runs now; moves with each `recreate`."""
        return self._environments.python()

    @property
    def built_python(self) -> Path:
        """Interpreter of the last `build`, until `recreate` makes it the one that runs."""
        return self._environments.python(Slot.NEXT)

    def airflow_environment(self) -> dict[str, str]:
        """Return the environment variables of Airflow's processes."""
        return environment(self.layout, Secrets.load(self.layout), os.environ)

    def command(self, service: str) -> tuple[str, ...]:
        """Return program and arguments of a service."""
        return (str(self.python), str(self.layout.files / "start.py"), *COMMANDS[service])

    # -- ports.Services

    def tidy(self) -> None:
        self._environments.slots.drop(Slot.NEXT)  # the next build removes what no link names

    def own_stack(self) -> str | None:
        return None

    def installed(self) -> str | None:
        in_use = self._in_use()
        if in_use and in_use != {self.python.parent.parent}:
            return None  # died between moving the packages and restarting all of it
        return self._environments.text()

    def resolve(self, text: str) -> str:
        self._base.ensure(self._progress)
        new = resolve(
            self._base,
            text,
            scratch=self.layout.state / "resolve",
            within_s=self._resolve_timeout_s,
        )
        return f"resolves: {listed(new)}"

    def build(self, text: str) -> str:
        self._base.ensure(self._progress)
        new = self._environments.build(text, self.airflow_environment(), in_use=self._in_use())
        return f"built: {listed(new)}"

    def recreate(self, services: Sequence[str]) -> str:
        return self._restart(services, self._environments.slots.advance)

    def put_back(self, services: Sequence[str], *, keep: bool = False) -> str:
        return self._restart(services, partial(self._environments.slots.go_back, keep=keep))

    def wait_healthy(self, services: Sequence[str]) -> str:
        began = time.monotonic()
        names = _known(services)
        waiting = list(names)
        while waiting:
            running = self._running()
            for name in waiting:
                if name not in running:
                    raise self._failed(name, "ended")
            silent = health.unhealthy(
                self.url, {name: running[name].started_at for name in waiting}
            )
            waiting = [name for name in waiting if name in silent]
            if waiting and time.monotonic() - began > self._health_timeout_s:
                name = waiting[0]
                raise self._failed(name, f"is not healthy after {self._health_timeout_s:g} s")
            if waiting:
                time.sleep(_LOOK_S)
        self._environments.slots.confirm()
        return f"{', '.join(names)} healthy after {time.monotonic() - began:.1f} s"

    def vitals(self, service: str) -> Vitals:
        (name,) = _known([service])
        process = self._processes.running(name)
        if process is None:
            return Vitals(None, steady=False, words="does not run")
        return Vitals(f"{process.pid} born {process.born}", steady=True, words="runs")

    def revive(self, service: str) -> None:
        self._start(_known([service]))

    # -- inside

    def _restart(self, services: Sequence[str], move: Callable[[], object]) -> str:
        """Stop, move `current`, start; dying anywhere, the same call again ends the same."""
        began = time.monotonic()
        names = _known(services)
        self._processes.stop(names, within_s=_STOP_S)
        try:
            move()
        finally:  # on what they had, where the disk is full
            self._start(names)
        return f"{', '.join(names)} restarted in {time.monotonic() - began:.1f} s"

    def _failed(self, name: str, what: str) -> NotHealthy:
        return NotHealthy(trace.ended(f"{name} {what}", self._processes.last_lines(name)))

    def _start(self, names: Sequence[str]) -> None:
        env = self.airflow_environment()
        for name in names:
            self._processes.start(name, self.command(name), env=env, cwd=self.layout.home)

    def _ensure_database(self) -> None:
        """Copy the migrated database into place, whole or not at all."""
        if self.layout.database.exists():
            return
        self.layout.home.mkdir(parents=True, exist_ok=True)
        new = self.layout.database.with_suffix(".new")
        shutil.copyfile(self._base.database, new)
        new.replace(self.layout.database)

    def _running(self) -> dict[str, StartedProcess]:
        found = {name: self._processes.running(name) for name in COMMANDS}
        return {name: process for name, process in found.items() if process}

    def _in_use(self) -> set[Path]:
        return {Path(process.program).parent.parent for process in self._running().values()}


def _known(services: Sequence[str]) -> tuple[str, ...]:
    unknown = sorted(set(services) - set(COMMANDS))
    if unknown:
        raise ServicesError(
            f"the embedded Airflow has no {', '.join(unknown)}: set DEPLOYER_RECREATE_SERVICES "
            f"to some of {', '.join(COMMANDS)}"
        )
    return tuple(services)
