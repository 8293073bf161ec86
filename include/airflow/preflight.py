"""The isolated parser: one process a DAG file, and none of them can hurt the next.

Runs on Airflow's Python (3.3, Linux >= 5.9) and imports nothing of the deployer. Airflow is
imported once, which takes seconds; every file is then parsed in a fork, which takes some
hundredths.

    client --JSON lines on stdin--> server --fork--> warden --fork--> parser (student's code)

- The *server* never runs a student's code. It lives until its stdin ends, so it needs no
  socket, no port and no rights, and dies with its client, in the middle of a request too: the
  same protocol serves a subprocess and `docker run --interactive`. Its own standard output
  is moved out of reach first, so that nothing printed can mix with the answers.
- A *warden*, one a file, adopts all that its parser starts (PR_SET_CHILD_SUBREAPER), so a
  process that detached itself is found and ended too. It ends the parser at its bounds.
- The *parser* has a session, a scratch directory and resource limits of its own, sees
  /dev/null as its standard streams, and reports through a memory file that it alone shares
  with its warden. What it reports can be forged by the file it parses: the gate protects
  against accidents, the container around it against malice.

Protocol. First line out, once Airflow is imported:

    {"ready": true, "protocol": 3, "airflow": "3.3.2", "import_s": 4.6}

A request: `root` is laid out as a release, `paths` lie under its `dags/`:

    {"root": "/…", "paths": ["dags/a/x.py"], "parallel": 2,
     "limits": {"wall_s": 25, "memory_bytes": 1073741824, "more_processes": 64}}

`more_processes` (than the user has now, while one file is parsed) is null where a container
bounds them. An answer a file, in the order in which they end, then `{"done": true}`:

    {"path": "dags/a/x.py", "ended": "reported", "code": null, "dag_ids": ["a"],
     "errors": {"a/x.py": "Traceback …"}, "advice": ["DAG 'a' has no owner: …"],
     "run_s": 0.06, "max_rss_bytes": 141000000}

`ended` is `reported`; `unstorable` (Airflow's database would choke on it, as `what` says);
`raised` (something that Airflow does not catch, named in `what`);
`exit` or `signal` with its number in `code`; `timeout`; `memory`; `left` (a process outlived
the parse); `warden` (the file ended the process that watches it); `setup` (the parser could
not be made, for the reason in `what`; says nothing about the file).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from preflight_warden import (
    PR_SET_CHILD_SUBREAPER,
    Limits,
    Parser,
    Task,
    prctl,
    read_report,
    reap,
    watch_over,
)

PROTOCOL = 3
MARGIN_S = 10.0
"""What a warden may take beyond the bound of its parser."""


def main() -> None:
    """Serve requests until standard input ends."""
    requests, answers = _take_standard_streams()
    began = time.monotonic()
    import preflight_parser  # noqa: PLC0415  # Airflow, once its output can do no harm

    preflight_parser.warm_up()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # A collection in a fork would touch, and so copy, every page of Airflow.
    gc.collect()
    gc.freeze()

    def answer(value: dict[str, Any]) -> None:
        os.write(answers, json.dumps(value).encode() + b"\n")

    answer(
        {
            "ready": True,
            "protocol": PROTOCOL,
            "airflow": preflight_parser.AIRFLOW_VERSION,
            "import_s": round(time.monotonic() - began, 3),
        }
    )
    with os.fdopen(requests, encoding="utf-8") as lines:
        for line in lines:
            serve(json.loads(line), answer, preflight_parser.run, client=requests)
            answer({"done": True})


def _take_standard_streams() -> tuple[int, int]:
    """Return private copies of stdin and stdout; what prints goes to stderr from now on."""
    private = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return private


@dataclass(frozen=True, slots=True)
class Job:
    """A file being parsed, seen from the server."""

    task: Task
    pid: int
    pidfd: int
    result: int  # memory file
    give_up_at: float


def serve(
    request: dict[str, Any],
    answer: Callable[[dict[str, Any]], None],
    parser: Parser,
    *,
    client: int,
) -> None:
    """Parse the files of one request, some at a time, and answer as each ends.

    Ends this process, and so all of them, once nobody holds the other end of `client`.
    """
    limits = Limits(**request["limits"])
    waiting = deque(request["paths"])
    running: dict[int, Job] = {}
    while waiting or running:
        while waiting and len(running) < request["parallel"]:
            path = waiting.popleft()
            try:
                job = _start(request["root"], path, limits, parser)
            except OSError as exc:
                answer({"path": path, "ended": "setup", "what": repr(exc)})
            else:
                running[job.pidfd] = job
        for pidfd in _first_to_end(running, client) if running else ():
            job = running.pop(pidfd)
            answer({"path": job.task.path, **_collect(job)})
    # What a file left behind that ended its own warden has come to us.
    reap(grace_s=0)


def _start(root: str, path: str, limits: Limits, parser: Parser) -> Job:
    task = Task(root, path, tempfile.mkdtemp(prefix="parse-"), limits)
    result = os.memfd_create("result")
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        watch_over(task, parser, result, server=server)
    # The warden keeps to `wall_s` by itself; this is for one that was stopped.
    give_up_at = time.monotonic() + limits.wall_s + MARGIN_S
    return Job(task, pid, os.pidfd_open(pid), result, give_up_at)


def _first_to_end(running: dict[int, Job], client: int) -> list[int]:
    poller = select.poll()
    poller.register(client, 0)  # POLLHUP comes unasked (man 2 poll)
    for pidfd in running:
        poller.register(pidfd, select.POLLIN)
    patience_s = min(job.give_up_at for job in running.values()) - time.monotonic()
    ended = [pidfd for pidfd, _ in poller.poll(max(patience_s, 0) * 1000)]
    if client in ended:
        sys.exit("nobody waits for the answers any more")
    now = time.monotonic()
    return ended or [pidfd for pidfd, job in running.items() if job.give_up_at <= now]


def _collect(job: Job) -> dict[str, Any]:
    with contextlib.suppress(ProcessLookupError):
        os.kill(job.pid, signal.SIGKILL)
    os.waitpid(job.pid, 0)
    result = read_report(job.result)
    os.close(job.pidfd)
    os.close(job.result)
    # The warden did that, if it was left to.
    shutil.rmtree(job.task.scratch, ignore_errors=True)
    return result or {"ended": "warden"}


if __name__ == "__main__":
    main()
