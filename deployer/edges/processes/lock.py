"""One worker on one state and one checkout, one teller, one change of Airflow.

The locks die with their process.
"""

from __future__ import annotations

import fcntl
import io
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from deployer.errors import OperatorError, WorkerRunning

NAME = "worker.lock"
TELLER = "notify.lock"
AIRFLOW_VERSION = "airflow-version.lock"


@contextmanager
def only_worker(state_dir: Path, checkout_dir: Path) -> Iterator[None]:
    """Hold the worker's locks, in both directories.

    Raises:
        WorkerRunning: another process holds one; the message names it.
        OperatorError: a lock's file can't be written or locked.
    """
    with _lock(state_dir / NAME, "DEPLOYER_STATE_DIR"), ExitStack() as stack:
        if checkout_dir.resolve() != state_dir.resolve():
            stack.enter_context(_lock(checkout_dir / NAME, "DEPLOYER_CHECKOUT_DIR", mode=0o755))
        yield


@contextmanager
def only_teller(state_dir: Path) -> Iterator[None]:
    """Hold the lock of `deployer notify`; go on without it where it can't be had.

    That the disk can't be written is what the teacher is to hear of.

    Raises:
        OperatorError: another one is at work.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(_lock(state_dir / TELLER, "DEPLOYER_STATE_DIR"))
        except WorkerRunning as exc:
            raise OperatorError("another `deployer notify` is at work, and tells the same") from exc
        except OperatorError:
            pass
        yield


@contextmanager
def only_airflow_version(state_dir: Path) -> Iterator[None]:
    """Hold the lock of `deployer airflow-version`.

    Raises:
        OperatorError: another one is at work, the message names it; or its file can't be written
            or locked.
    """
    path = state_dir / AIRFLOW_VERSION
    with ExitStack() as stack:
        try:
            stack.enter_context(_lock(path, "DEPLOYER_STATE_DIR"))
        except WorkerRunning as exc:
            with path.open("rb", buffering=0) as file:
                holder = _holder(file)
            raise OperatorError(
                f"another `deployer airflow-version` is at work: {holder}; let it end, then again."
                " Nothing was changed"
            ) from exc
        yield


@contextmanager
def _lock(path: Path, setting: str, *, mode: int | None = None) -> Iterator[None]:
    """Hold one; `mode`: of its directory, whatever the umask, if it has to be made."""
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True, exist_ok=True)
            if mode is not None:
                path.parent.chmod(mode)
        file = path.open("a+b", buffering=0)
    except OSError as exc:
        raise OperatorError(f"{path} can't be written: {exc.strerror}; see {setting}") from exc
    with file:
        try:
            # The kernel drops it with the process, kill -9 included (man 2 flock).
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise WorkerRunning(
                f"another worker holds {path}: {_holder(file)};"
                f" stop that one first, or give this one a {setting} of its own"
            ) from exc
        except OSError as exc:  # a file system without locks
            raise OperatorError(f"{path} can't be locked: {exc.strerror}; see {setting}") from exc
        with suppress(OSError):  # it is held; on a full disk it just can't say by whom
            file.truncate(0)
            file.write(f"pid {os.getpid()} on {socket.gethostname()}".encode())
        yield


def _holder(file: io.FileIO) -> str:
    file.seek(0)
    return file.read(200).decode(errors="replace").strip() or "it is just starting"
