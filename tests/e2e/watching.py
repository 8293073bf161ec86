"""Wait for what a commit shows in the end, and for what the worker does on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from deployer.config import PREFIX
from deployer.demo.stage import Stage
from deployer.demo.student import Push

BOUND_S = 120.0
ENDS = frozenset({"success", "failure", "error"})


def verdicts(
    stage: Stage, push: Push, *folders: str, bound_s: float = BOUND_S
) -> dict[str, tuple[str, str]]:
    """Return state and description by context, once `airflow/deploy` and `folders` have ended."""
    for context in ("airflow/deploy", *(f"airflow/{folder}" for folder in folders)):
        stage.hub.wait_for_status(push.sha, context, ENDS, bound_s)
    return shown(stage, push.sha)


def shown(stage: Stage, sha: str) -> dict[str, tuple[str, str]]:
    """Return the latest state and description of each context."""
    return {s.context: (s.state, s.description or "") for s in stage.hub.statuses(sha)}


def worker_log(stage: Stage) -> list[str]:
    """Return what the worker has done, as names of steps and events."""
    path = stage.settings.state_dir / "logs" / "worker.jsonl"
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [event.get("step") or event["event"] for event in events]


def wait_until(holds: Callable[[], bool], bound_s: float = BOUND_S) -> None:
    """Return as soon as `holds()`; fail when the bound has passed."""
    until = time.monotonic() + bound_s
    while not holds():
        assert time.monotonic() < until, "it did not come within the bound"
        Event().wait(0.005)


def begin_check(copy: Path, *paths: str) -> subprocess.Popen[str]:
    """Start `deployer check` on `paths` of a clone; its answer is JSON."""
    return subprocess.Popen(
        [sys.executable, "-m", "deployer", "check", *paths, "--json"],
        cwd=copy,
        env={name: text for name, text in os.environ.items() if not name.startswith(PREFIX)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
