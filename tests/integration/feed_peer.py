"""Dag-processors made by hand, at the other end of a `ParseFeedListener`."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Self

from deployer.edges.disk import airflow_files
from deployer.edges.processes.doorbell import address_of

BOUND_S = 60.0
LISTED = {"listed": {"release": "r1", "files": ["a/x.py", "a/y.py"]}}


def hello(life: str, **more: object) -> dict[str, object]:
    return {"feed": 1, "airflow": "3.3.2", "life": life, "release": None, "unfit": None, **more}


def result(file: str, **more: object) -> dict[str, Any]:
    """Return the line of a file of release r1 that was parsed and held nothing."""
    parsed = {
        "release": "r1",
        "file": file,
        "ended": "parsed",
        "dag_ids": [],
        "errors": {},
        "warnings": [],
        "seconds": 0.25,
        "code": None,
        "words": "",
    }
    return {"result": {**parsed, **more}}


def theirs() -> ModuleType:
    """Return a fresh copy of `include/airflow/parse_feed.py`, which is no package's."""
    path = airflow_files() / "parse_feed.py"
    spec = importlib.util.spec_from_file_location("their_parse_feed", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Peer:
    """A connection of this process's, which says what a test has it say."""

    def __init__(self, path: Path, life: str | None = None) -> None:
        """Connect; `life`: say hello at once."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(BOUND_S)
        try:
            with address_of(path) as address:
                self._socket.connect(address)
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")
        if life is not None:
            self.say(hello(life))

    def say(self, message: object) -> None:
        self.say_bytes(json.dumps(message).encode() + b"\n")

    def say_bytes(self, line: bytes) -> None:
        self._socket.sendall(line)

    def hear(self) -> dict[str, Any] | None:
        """Return the next line, None if the other end has closed."""
        try:
            line = self._lines.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        found: dict[str, Any] = json.loads(line)
        return found

    def is_dropped(self) -> bool:
        """Wait until the other end closes; whatever it says before is passed over."""
        while self.hear() is not None:
            pass
        return True

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Process:
    """A process that runs `code` with the path of the socket as its argument.

    What it prints is read line by line; what it reads comes from `go`.
    """

    def __init__(self, code: str, path: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            cwd=airflow_files(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()

    def go(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write("go\n")
        self._child.stdin.flush()

    def wait(self) -> int:
        return self._child.wait(BOUND_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        with self._child:
            pass
