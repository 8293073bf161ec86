"""Long-running processes that outlive the one who started them.

Each leads a session of its own. What is known of it is a small file: its pid and when that
pid was born, so that another process which later got the same number is never signalled,
and a worker that comes back after a crash finds what runs instead of starting it twice.
Linux only: reads `/proc` (proc(5)).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from deployer.errors import ServicesError

_LOOK_S = 0.05
_KILL_S = 5.0
_LAST_LINES = 15  # of a log


@dataclass(frozen=True, slots=True)
class StartedProcess:
    """A started process.

    Attributes:
        pid: also its session's and process group's id.
        born: field 22 of `/proc/<pid>/stat`, in clock ticks since boot.
        since: when it was started, seconds since the epoch.
        program: what was run, an absolute path.
    """

    pid: int
    born: int
    since: float
    program: str

    @property
    def started_at(self) -> datetime:
        return datetime.fromtimestamp(self.since, UTC)


class Processes:
    """Named processes, their pids under `run` and their output under `logs`."""

    _children: ClassVar[list[subprocess.Popen[bytes]]] = []
    """What this process started through any instance: a parent has to ask how its child ended."""

    def __init__(self, run: Path, logs: Path) -> None:
        self._run = run
        self._logs = logs

    def running(self, name: str) -> StartedProcess | None:
        """Return the process called `name`, None if it does not run (any more)."""
        known = self._known(name)
        return known if known and _born(known.pid) == known.born else None

    def _known(self, name: str) -> StartedProcess | None:
        try:
            return StartedProcess(**json.loads((self._run / f"{name}.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def start(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path
    ) -> StartedProcess:
        """Start `argv` as `name`, unless that runs already.

        Raises:
            ServicesError: the program can't be run.
        """
        if already := self.running(name):
            return already
        self._run.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        since = time.time()
        try:
            with (self._logs / f"{name}.log").open("ab") as log:
                child = subprocess.Popen(
                    argv,
                    env=dict(env),
                    cwd=cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as exc:
            raise ServicesError(f"{name} can't be started: {exc}") from exc
        self._children[:] = [one for one in (*self._children, child) if one.poll() is None]
        # Dying right here leaves a process nobody knows of: seen as "address in use" later.
        started = StartedProcess(child.pid, _born(child.pid) or 0, since, argv[0])
        new = self._run / f"{name}.json.new"
        new.write_text(json.dumps(asdict(started)))
        new.replace(self._run / f"{name}.json")
        return started

    def stop(self, names: Sequence[str], *, within_s: float) -> None:
        """End `names`: SIGTERM to each leader, then SIGKILL to what is left of its session.

        Only the leader is asked: Airflow's scheduler then waits for its tasks, which a signal
        to the group would fail.
        """
        leaders = {name: known for name in names if (known := self._known(name))}
        for name, leader in leaders.items():
            if self.running(name):
                _signal(leader.pid, signal.SIGTERM)
        _wait(lambda: not any(map(self.running, leaders)), within_s)
        for leader in leaders.values():
            for pid in _session(leader):
                _signal(pid, signal.SIGKILL)
        _wait(lambda: not any(any(_session(leader)) for leader in leaders.values()), _KILL_S)
        for name in names:
            (self._run / f"{name}.json").unlink(missing_ok=True)
        self._children[:] = [child for child in self._children if child.poll() is None]

    def last_lines(self, name: str) -> str:
        """Return the end of the process's log."""
        try:
            with (self._logs / f"{name}.log").open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 16_384))
                return "\n".join(log.read().decode(errors="replace").splitlines()[-_LAST_LINES:])
        except FileNotFoundError:
            return ""


def _wait(over: Callable[[], bool], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not over() and time.monotonic() < end:
        time.sleep(_LOOK_S)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _stat(pid: int) -> list[str] | None:
    """Return the fields of `/proc/<pid>/stat` after the name, None for a dead or no process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in {"Z", "X"} else fields


def _born(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def _session(leader: StartedProcess) -> Iterator[int]:
    """Yield the living processes of the session that `leader` led.

    Tasks make groups of their own, so the group alone would miss them. The kernel does not
    give a leader's number away while its session has members; where the number lives with
    another birth, the session is another's.
    """
    if _born(leader.pid) not in {None, leader.born}:
        return
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields and int(fields[3]) == leader.pid:
            yield int(entry.name)
