"""Wait for what a commit shows in the end, and for what the worker does on the way."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from deployer.config import PREFIX
from deployer.demo.stage import Stage
from deployer.demo.student import Push

BOUND_S = 240.0
COMMAND_BOUND_S = 300.0
ENDS = frozenset({"success", "failure", "error"})


def run_deployer(stage: Stage, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the deployer on a stage and wait for its end."""
    return subprocess.run(
        [sys.executable, "-m", "deployer", *args],
        env=dict(stage.worker.environment),
        capture_output=True,
        text=True,
        timeout=COMMAND_BOUND_S,
        check=False,
    )


def verdicts(
    stage: Stage, push: Push, *folders: str, bound_s: float = BOUND_S
) -> dict[str, tuple[str, str]]:
    """Return state and description by context, once `airflow/deploy` and `folders` have ended."""
    for context in ("airflow/deploy", *(f"airflow/{folder}" for folder in folders)):
        stage.hub.wait_for_status(push.sha, context, ENDS, bound_s)
    return shown(stage, push.sha)


def owed_verdicts(
    stage: Stage, push: Push, *folders: str, bound_s: float = BOUND_S
) -> dict[str, tuple[str, str]]:
    """Return the same as the deployer owes it: of many folders GitHub's pace is minutes behind."""
    contexts = {"airflow/deploy", *(f"airflow/{folder}" for folder in folders)}
    said: dict[str, tuple[str, str]] = {}

    def ended() -> bool:
        answer = stage.get(f"/api/v1/commits/{push.sha}")
        statuses = answer.json()["statuses"] if answer.is_success else ()
        mine = [one for one in statuses if one["sha"] == push.sha]
        said.update({one["context"]: (one["state"], one["description"]) for one in mine})
        return all(context in said and said[context][0] in ENDS for context in contexts)

    wait_until(ended, bound_s, look_every_s=0.1)
    return said


def shown(stage: Stage, sha: str) -> dict[str, tuple[str, str]]:
    """Return the latest state and description of each context."""
    return {s.context: (s.state, s.description or "") for s in stage.hub.statuses(sha)}


@dataclass
class _Log:
    """A log that is asked for again and again while it grows: each line is read once."""

    path: Path
    events: list[dict[str, Any]] = field(default_factory=list)
    read: int = 0

    def go_on(self) -> list[dict[str, Any]]:
        with self.path.open("rb") as log:
            log.seek(self.read)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]  # of the last line a part may be there so far
        self.read += len(whole)
        self.events += map(json.loads, whole.splitlines())
        return self.events


_log = functools.cache(_Log)


def worker_events(stage: Stage) -> Sequence[dict[str, Any]]:
    """Return the lines of the worker's log; more are added to what is returned."""
    return _log(stage.settings.state_dir / "logs" / "worker.jsonl").go_on()


def worker_log(stage: Stage) -> list[str]:
    """Return what the worker has done, as names of steps and events."""
    return [event.get("step") or event["event"] for event in worker_events(stage)]


def wait_until_announced(stage: Stage, *pushes: Push) -> None:
    """Wait until the deliveries of these pushes have been answered: each comes after its push."""
    shas = {push.sha for push in pushes}
    wait_until(lambda: shas <= {one.payload.get("after") for one in stage.hub.webhook.deliveries})


def stop_between_writes(pid: int) -> None:
    """Send SIGSTOP to a process that writes into no database just then.

    Else whoever writes into the same one would wait for it, and the test be about that.
    """

    def stopped() -> bool:
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(state == "T" for state in _thread_states(pid)))
        if not _writes(pid):
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    wait_until(stopped)


def _thread_states(pid: int) -> list[str]:
    """Return the letter of each thread's state (proc(5))."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that ends just then
            found.append(file.read_text().rpartition(")")[2].split()[0])
    return found


def _writes(pid: int) -> bool:
    """Tell whether a process holds a lock as SQLite's writers do (proc_locks(5))."""
    lines = (line.split() for line in Path("/proc/locks").read_text().splitlines())
    return any(line[1::2][:2] == ["POSIX", "WRITE"] and line[4] == str(pid) for line in lines)


def wait_until(
    holds: Callable[[], bool], bound_s: float = BOUND_S, *, look_every_s: float = 0.005
) -> None:
    """Return as soon as `holds()`; fail when the bound has passed."""
    until = time.monotonic() + bound_s
    while not holds():
        assert time.monotonic() < until, "it did not come within the bound"
        Event().wait(look_every_s)


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
