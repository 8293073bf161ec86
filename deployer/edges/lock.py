"""One worker on one state: a lock that dies with its process."""

from __future__ import annotations

import fcntl
import io
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deployer.errors import OperatorError, WorkerRunning

NAME = "worker.lock"


@contextmanager
def only_worker(state_dir: Path) -> Iterator[None]:
    """Hold the worker's lock.

    Raises:
        WorkerRunning: another process holds it; the message names it.
        OperatorError: the lock's file can't be written or locked.
    """
    path = state_dir / NAME
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
    except OSError as exc:
        raise OperatorError(
            f"{path} can't be written: {exc.strerror}; see DEPLOYER_STATE_DIR"
        ) from exc
    with file:
        try:
            # The kernel drops it with the process, kill -9 included (man 2 flock).
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise WorkerRunning(
                f"another worker holds {path}: {_holder(file)};"
                " stop that one first, or give this one a DEPLOYER_STATE_DIR of its own"
            ) from exc
        except OSError as exc:  # a file system without locks
            raise OperatorError(
                f"{path} can't be locked: {exc.strerror}; see DEPLOYER_STATE_DIR"
            ) from exc
        with suppress(OSError):  # it is held; on a full disk it just can't say by whom
            file.truncate(0)
            file.write(f"pid {os.getpid()} on {socket.gethostname()}".encode())
        yield


def _holder(file: io.FileIO) -> str:
    file.seek(0)
    return file.read(200).decode(errors="replace").strip() or "it is just starting"
