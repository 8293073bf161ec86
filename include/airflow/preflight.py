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

    {"ready": true}

A request: `root` is laid out as a release, `paths` lie under its `dags/`, `id` is a number that
all answers to it carry:

    {"id": 1, "root": "/…", "paths": ["dags/a/x.py"], "parallel": 2,
     "limits": {"wall_s": 25, "memory_bytes": 1073741824, "more_processes": 64}}

`more_processes` (than the user has now, while one file is parsed) is null where a container
bounds them. Another request may come at any time; `preflight_queue` says whose files are parsed
first. Two answers a file, when it starts and as it ends, then one that all are done:

    {"id": 1, "started": "dags/a/x.py"}
    {"id": 1, "path": "dags/a/x.py", "ended": "reported", "code": null, "dag_ids": ["a"],
     "brought": {"a": "dags/a/made_in.py"}, "assets": [["trips", "s3://a/trips"]],
     "errors": {"a/x.py": "Traceback …"}, "advice": ["DAG 'a' has no owner: …"],
     "run_s": 0.06}
    {"id": 1, "done": true}

`{"cancel": 1}` ends what runs of a request and drops the rest; it is done once nothing runs.

`ended` is `reported`; `harmful` (Airflow would choke on it, as `what` says);
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
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from preflight_queue import Request, next_to_start
from preflight_warden import (
    PR_SET_CHILD_SUBREAPER,
    REAP_S,
    Limits,
    Parser,
    Task,
    children,
    prctl,
    read_report,
    reap,
    watch_over,
)

MARGIN_S = 10.0
"""What a warden may take beyond the bound of its parser, or to end it when it is told to."""


def main() -> None:
    """Serve requests until standard input ends."""
    requests, answers = _take_standard_streams()
    gc.disable()  # nothing of this is garbage; to look for it takes an eighth of the time
    import preflight_parser  # noqa: PLC0415  # Airflow, once its output can do no harm

    preflight_parser.warm_up()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # A collection in a fork would touch, and so copy, every page of Airflow.
    gc.collect()
    gc.freeze()
    gc.enable()

    def answer(value: dict[str, Any]) -> None:
        os.write(answers, json.dumps(value).encode() + b"\n")

    answer({"ready": True})
    Server(requests, answer, preflight_parser.run).serve()


def _take_standard_streams() -> tuple[int, int]:
    """Return private copies of stdin and stdout; what prints goes to stderr from now on."""
    private = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return private


@dataclass(slots=True)
class Job:
    """A file being parsed, seen from the server."""

    request: Request
    task: Task
    pid: int
    result: int  # memory file
    give_up_at: float


class Server:
    """Parses the files of several requests at a time, and answers as each ends.

    Args:
        client: where requests come from; ends with whoever holds its other end.
    """

    def __init__(
        self, client: int, answer: Callable[[dict[str, Any]], None], parser: Parser
    ) -> None:
        self._client = client
        self._answer = answer
        self._parser = parser
        self._unread = b""
        self._requests: dict[int, Request] = {}  # in the order they came
        self._running: dict[int, Job] = {}  # by the descriptor of the warden's process

    def serve(self) -> None:
        """Serve until nobody holds the other end of `client`; all that runs ends with this."""
        while True:
            while request := next_to_start(tuple(self._requests.values())):
                self._start(request)
            self._see_what_is_done()
            for descriptor in self._events():
                if descriptor != self._client:
                    self._collect(descriptor)
                elif not self._listen():
                    return

    def _start(self, request: Request) -> None:
        path = request.waiting.popleft()
        # Said before it can do harm: if it ends this process, then it is among those that ran.
        self._answer({"id": request.number, "started": path})
        try:
            pid, job = self._fork(request, path)
        except OSError as exc:
            why = {"ended": "setup", "what": repr(exc)}
            self._answer({"id": request.number, "path": path, **why})
        else:
            self._running[pid] = job
            request.running += 1

    def _fork(self, request: Request, path: str) -> tuple[int, Job]:
        limits = request.limits
        task = Task(request.root, path, tempfile.mkdtemp(prefix="parse-"), limits)
        result = os.memfd_create("result")
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            watch_over(task, self._parser, result, server=server)
        # The warden keeps to `wall_s` by itself; this is for one that was stopped.
        give_up_at = time.monotonic() + limits.wall_s + MARGIN_S
        return os.pidfd_open(pid), Job(request, task, pid, result, give_up_at)

    def _events(self) -> list[int]:
        """Wait; return the descriptors of which there is news: the client's, or wardens'."""
        poller = select.poll()
        for descriptor in (self._client, *self._running):
            poller.register(descriptor, select.POLLIN)
        patience_ms = None
        if self._running:
            until = min(job.give_up_at for job in self._running.values())
            patience_ms = max(until - time.monotonic(), 0) * 1000
        found = [descriptor for descriptor, _ in poller.poll(patience_ms)]
        now = time.monotonic()
        return found or [pidfd for pidfd, job in self._running.items() if job.give_up_at <= now]

    def _listen(self) -> bool:
        """Take what the client says; return whether it is still there."""
        data = os.read(self._client, 1 << 16)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "cancel" in said:
                self._cancel(said["cancel"])
            else:
                self._requests[said["id"]] = Request(
                    said["id"],
                    said["root"],
                    said["parallel"],
                    Limits(**said["limits"]),
                    deque(said["paths"]),
                )
        return bool(data)

    def _cancel(self, number: int) -> None:
        request = self._requests.get(number)
        if request is None:  # its last answer and this crossed
            return
        request.cancelled = True
        request.waiting.clear()
        for job in self._running.values():
            if job.request is request:
                # The warden ends its parser, and all that this one started, and cleans up.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(job.pid, signal.SIGTERM)
                job.give_up_at = min(job.give_up_at, time.monotonic() + MARGIN_S)

    def _collect(self, pidfd: int) -> None:
        """Answer for a file whose warden ended, or must."""
        job = self._running.pop(pidfd)
        job.request.running -= 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(job.pid, signal.SIGKILL)
        os.waitpid(job.pid, 0)
        report = read_report(job.result)
        os.close(pidfd)
        os.close(job.result)
        # The warden did that, if it was left to.
        shutil.rmtree(job.task.scratch, ignore_errors=True)
        if report is None:
            self._end_strays()
        if not job.request.cancelled:
            report = report or {"ended": "warden"}
            self._answer({"id": job.request.number, "path": job.task.path, **report})

    def _see_what_is_done(self) -> None:
        done = [request.number for request in self._requests.values() if request.done]
        if done:
            self._end_strays()
        for number in done:
            del self._requests[number]
            self._answer({"id": number, "done": True})

    def _end_strays(self) -> None:
        """End what a file left behind that ended its own warden: it has come to us."""
        if not self._running:
            reap(grace_s=0)
            return
        wardens = {job.pid for job in self._running.values()}
        until = time.monotonic() + REAP_S
        while time.monotonic() < until and (strays := set(children()) - wardens):
            for pid in strays:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                with contextlib.suppress(ChildProcessError):
                    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
            time.sleep(0.005)


if __name__ == "__main__":
    main()
