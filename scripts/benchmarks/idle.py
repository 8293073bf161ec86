"""What the deployer costs while nobody pushes, extrapolated to an hour from some minutes.

A class of thirty files is live. CPU seconds and memory (proportional set size) of web, worker and
dag-processor, and of Airflow's own in its place; of the worker, its warm parser apart; requests to
Airflow and to git's host.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deployer.app.airflow import local_airflow
from deployer.core.model import DAG_PROCESSOR
from deployer.demo.github import StandIn
from deployer.demo.stage import Stage
from scripts.benchmarks.access_log import AccessLog
from scripts.benchmarks.machine import cpu_s, memory_bytes
from scripts.benchmarks.staging import FOLDERS, Figures, class_of, say, staged, start_class

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

WINDOW_S = 120.0
"""Two looks at the branch's tip, of which there is one a minute."""
HOUR_S = 3600.0
SETTLED_S = 30.0


def run() -> Figures:
    """Return the cost an hour."""
    with staged("idle") as stage:
        start_class(stage, class_of(range(FOLDERS)))
        log = AccessLog(stage)
        log.calls_once_quiet()
        pids = {
            "web": stage.web.process.pid,
            "worker": stage.worker.process.pid,
            "dag_processor": stage.airflow.pids()[DAG_PROCESSOR],
        }
        asked = Counted(stage.hub)
        log.mark()
        cpu = _cpu_an_hour(pids)
        calls, requests = log.calls().total(), asked.requests
        memory = {
            **{name: memory_bytes(pid) for name, pid in pids.items()},
            "worker": memory_bytes(pids["worker"], alone=True),
        }
        memory["worker_s_parser"] = memory_bytes(pids["worker"]) - memory["worker"]
        with _airflow_s_own(stage) as pid:
            own = {"airflow_s_own_dag_processor": pid}
            cpu |= _cpu_an_hour(own)
            memory |= {name: memory_bytes(pid) for name, pid in own.items()}
    hours = WINDOW_S / HOUR_S
    return {
        "window_s": WINDOW_S,
        "cpu_an_hour_s": cpu,
        "memory_bytes": memory,
        "rest_calls_an_hour": round(calls / hours),
        "git_host_requests_an_hour": round(requests / hours),
    }


class Counted:
    """Counts the requests to a stand-in for GitHub, git's among them."""

    def __init__(self, stand_in: StandIn) -> None:
        self.requests = 0
        self._app, stand_in.server.app = stand_in.server.app, self

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        self.requests += 1
        return self._app(environ, start)


def _cpu_an_hour(pids: Mapping[str, int]) -> dict[str, float]:
    say(f"watching {', '.join(pids)} for {WINDOW_S:g} s")
    before = {name: cpu_s(pid) for name, pid in pids.items()}
    time.sleep(WINDOW_S)
    return {
        name: round((cpu_s(pid) - before[name]) * HOUR_S / WINDOW_S, 1)
        for name, pid in pids.items()
    }


@contextmanager
def _airflow_s_own(stage: Stage) -> Iterator[int]:
    """Run Airflow's own dag-processor in place of the class's, with the same settings."""
    os.kill(stage.airflow.pids()[DAG_PROCESSOR], signal.SIGTERM)  # nobody starts it again
    airflow = local_airflow(stage.settings)
    argv = [str(airflow.python), "-m", "airflow", "dag-processor"]
    with subprocess.Popen(
        argv,
        env=airflow.airflow_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            time.sleep(SETTLED_S)  # it parses the whole class first
            yield process.pid
        finally:
            process.terminate()
