"""What the deployer costs while nobody pushes, extrapolated to an hour from some minutes.

A class of thirty files is live. CPU seconds and memory (proportional set size) of web and
worker; of the worker, its warm parser apart; requests to Airflow and to git's host.
"""

from __future__ import annotations

import time

from deployer.demo.stage import Stage
from scripts.benchmarks.access_log import AccessLog
from scripts.benchmarks.machine import cpu_s, memory_bytes
from scripts.benchmarks.staging import FOLDERS, Figures, class_of, say, staged, start_class

WINDOW_S = 120.0
"""Two looks at the branch's tip, of which there is one a minute."""
HOUR_S = 3600.0


def run() -> Figures:
    """Return the cost an hour."""
    with staged("idle") as stage:
        start_class(stage, class_of(range(FOLDERS)))
        log = AccessLog(stage)
        log.calls_once_quiet()
        pids = {"web": stage.web.pid, "worker": stage.worker.pid}
        before = {name: cpu_s(pid) for name, pid in pids.items()}
        asked = stage.hub.requests
        log.mark()
        say(f"watching for {WINDOW_S:g} s")
        time.sleep(WINDOW_S)
        after = {name: cpu_s(pid) for name, pid in pids.items()}
        calls, asked = log.calls().total(), stage.hub.requests - asked
        memory = _memory(stage)
    hours = WINDOW_S / HOUR_S
    return {
        "window_s": WINDOW_S,
        "cpu_an_hour_s": {name: round((after[name] - before[name]) / hours, 1) for name in pids},
        "memory_bytes": memory,
        "rest_calls_an_hour": round(calls / hours),
        "git_host_requests_an_hour": round(asked / hours),
    }


def _memory(stage: Stage) -> dict[str, int]:
    worker, own = memory_bytes(stage.worker.pid), memory_bytes(stage.worker.pid, alone=True)
    return {
        "web": memory_bytes(stage.web.pid),
        "worker": own,
        "worker_s_parser": worker - own,
    }
