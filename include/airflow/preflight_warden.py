"""Watch over one parser: end it at its bounds, and all that it started with it.

The warden is a fork of the server, one a file, and imports nothing of Airflow.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

GRACE_S = 2.0
"""How long a helper process that is about to end may outlive the parse: a copy of the parser itself
ends with it, but on a busy machine not within a tick."""
REAP_S = 5.0
WATCH_MS = 50
MAX_REPORT_BYTES = 8 << 20
MAX_WHAT = 400
MAX_FILE_BYTES = 256 << 20
PAGE_BYTES = resource.getpagesize()

# <linux/prctl.h>
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
prctl = ctypes.CDLL(None, use_errno=True).prctl


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one parse.

    Attributes:
        memory_bytes: on top of Airflow's own.
        more_processes: than this user has now; None: the container bounds them.
    """

    wall_s: float
    memory_bytes: int
    more_processes: int | None


@dataclass(frozen=True, slots=True)
class Task:
    """One file to be parsed: `path` lies in the release `root`; `scratch` is to work in."""

    root: str
    path: str
    scratch: str
    limits: Limits


Parser = Callable[[Task, int], NoReturn]
"""`(task, report)`, run in a fork of the warden; `report` is a memory file."""


def say(memory_file: int, report: dict[str, Any]) -> None:
    os.write(memory_file, json.dumps(report).encode())


def read_report(memory_file: int) -> dict[str, Any] | None:
    """Return what was written, None if it is not whole."""
    try:
        report = json.loads(os.pread(memory_file, MAX_REPORT_BYTES, 0))
    except ValueError:
        return None
    return report if isinstance(report, dict) else None


def watch_over(task: Task, parser: Parser, result: int, *, server: int) -> NoReturn:
    """Be the warden of one parser: write what became of it into `result`, and end."""
    try:
        # The server may die: then the parser must not live on. SIGTERM runs the `finally`.
        signal.signal(signal.SIGTERM, _end)
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        try:
            # Parsers inherit it, so what goes wrong here is never a file's fault.
            _move_to(task.scratch)
            _limit(task.limits)
            os.scandir(task.root).close()
            if os.getppid() == server:
                say(result, _watch(task, parser))
        finally:
            reap(grace_s=0)
            shutil.rmtree(task.scratch, ignore_errors=True)
    except (OSError, ValueError) as exc:
        say(result, {"ended": "setup", "what": repr(exc)})
    finally:
        os._exit(0)


def _end(*_: object) -> NoReturn:
    # Told twice (the server dies as well) it would leave the `finally` with the parser alive.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(1)


def _move_to(scratch: str) -> None:
    os.chdir(scratch)
    os.environ["HOME"] = os.environ["TMPDIR"] = scratch
    tempfile.tempdir = None
    sys.dont_write_bytecode = True


def _limit(limits: Limits) -> None:
    """Set what the kernel enforces by itself; the warden enforces time and real memory."""
    _set(resource.RLIMIT_CORE, 0)
    _set(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
    # Several threads may use more than a second in a second: a net for a warden that is gone.
    _set(resource.RLIMIT_CPU, int(limits.wall_s * (os.cpu_count() or 1)) + 5)
    # Private writable memory. Not RLIMIT_AS: libraries reserve address space freely. Above the
    # warden's bound, so that a file which survives its MemoryError has been seen to break that.
    _set(resource.RLIMIT_DATA, _data_bytes() + limits.memory_bytes * 5 // 4)
    # Counts all processes of a user, those of other containers too, which can't be seen from
    # within one; root is exempt (man 2 getrlimit).
    if limits.more_processes is not None and os.getuid() != 0:
        _set(resource.RLIMIT_NPROC, _tasks_of_this_user() + limits.more_processes)


def _set(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _data_bytes() -> int:
    # size resident shared text lib data dt, in pages (man 5 proc); data includes the stack
    return int(Path("/proc/self/statm").read_bytes().split()[5]) * PAGE_BYTES


def _tasks_of_this_user() -> int:
    me = os.getuid()
    tasks = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == me:
                tasks += sum(1 for _ in (process / "task").iterdir())
    return tasks


def _watch(task: Task, parser: Parser) -> dict[str, Any]:
    report = os.memfd_create("report")
    began = time.monotonic()
    # At a fork Python drops what a signal's handler raises: `logging` takes part in each.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    pid = os.fork()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    if pid == 0:
        parser(task, report)
    most_rss = _rss_bytes(os.getpid()) + task.limits.memory_bytes
    cut = _wait(pid, until=began + task.limits.wall_s, most_rss=most_rss)
    if cut:
        _kill_group(pid)
    _, status, usage = os.wait4(pid, 0)
    run_s = time.monotonic() - began
    left = reap(grace_s=0 if cut else GRACE_S, group=pid)
    max_rss = usage.ru_maxrss * 1024  # KiB, man 2 getrusage
    # A parser that grew between two looks and ended by itself.
    cut = cut or ("memory" if max_rss > most_rss else None)
    return {
        **_how_it_ended(cut, status, _believed(read_report(report)), left=left),
        "run_s": round(run_s, 3),
    }


def _believed(report: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a report if it has the shape that parsers give it: a file may write one itself."""
    match report:
        case {
            "ended": "reported",
            "dag_ids": list(dag_ids),
            "brought": dict(brought),
            "assets": list(assets),
            "errors": dict(errors),
            "advice": list(advice),
        } if all(isinstance(pair, list) and len(pair) == 2 for pair in assets):  # noqa: PLR2004
            named = (text for pair in assets for text in pair)
            texts = (*dag_ids, *brought.values(), *named, *errors.values(), *advice)
            return report if all(isinstance(text, str) for text in texts) else None
        case {"ended": "raised" | "harmful" as ended, "what": str(what)}:
            return {"ended": ended, "what": " ".join(what.split())[:MAX_WHAT]}
    return None


def _wait(pid: int, *, until: float, most_rss: int) -> str | None:
    """Wait until the parser ends, or return the bound that it broke."""
    poller = select.poll()
    poller.register(os.pidfd_open(pid), select.POLLIN)
    while not poller.poll(WATCH_MS):
        if time.monotonic() > until:
            return "timeout"
        if _rss_bytes(pid) > most_rss:
            return "memory"
    return None


def _how_it_ended(
    cut: str | None, status: int, report: dict[str, Any] | None, *, left: bool
) -> dict[str, Any]:
    if cut:
        return {"ended": cut}
    if report is not None and left:
        return {"ended": "left"}
    if report is not None:
        return report
    if os.WIFSIGNALED(status):
        return {"ended": "signal", "code": os.WTERMSIG(status)}
    return {"ended": "exit", "code": os.waitstatus_to_exitcode(status)}


def reap(*, grace_s: float, group: int | None = None) -> bool:
    """Wait for all children, adopted ones too; tell whether some had to be killed.

    `group`: of processes, killed as one. It takes those that fork faster than they can be counted.
    """
    now = time.monotonic()
    patient_until, give_up_at = now + grace_s, now + grace_s + REAP_S
    killed = False
    while time.monotonic() < give_up_at:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            break
        if ended is not None:
            continue
        if time.monotonic() >= patient_until:
            killed = True
            if group is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(group, signal.SIGKILL)
            for pid in children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    return killed


def children() -> list[int]:
    """Return the processes that are this one's own, adopted ones too."""
    me = str(os.getpid())
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # pid (name) state ppid …; the name may hold anything (man 5 proc)
            if stat.read_bytes().rpartition(b")")[2].split()[1].decode() == me:
                found.append(int(stat.parent.name))
    return found


def _kill_group(pid: int) -> None:
    """Kill the parser and its group; early on it may not have one yet."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
