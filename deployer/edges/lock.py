"""One worker on one state: a lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployer.errors import OperatorError, WorkerRunning

NAME = "worker.lock"


@contextmanager
def only_worker(state_dir: Path) -> Iterator[None]:
    """Hold the worker's lock.

    Raises:
        WorkerRunning: another process holds it; the message names it.
        OperatorError: the state directory can't be written.
    """
    path = state_dir / NAME
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as exc:
        raise OperatorError(f"{path} can't be written: {exc}; see DEPLOYER_STATE_DIR") from exc
    with file:
        try:
            # The kernel drops it with the process, kill -9 included (man 2 flock).
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            file.seek(0)
            raise WorkerRunning(
                f"another worker holds {path}: {file.read().strip() or 'it is just starting'};"
                " stop that one first, or give this one a DEPLOYER_STATE_DIR of its own"
            ) from exc
        file.truncate(0)
        file.write(f"pid {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
