"""The engine that `scripts/docker` started, to be stopped and started by a test."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.compose.classroom import wait_until

SCRIPT = Path(__file__).parents[3] / "scripts" / "docker"


class Engine:
    """Stops and starts it; only ever the one that is ours."""

    def __init__(self) -> None:
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        self._pidfile = Path(cache) / "class-deployer" / "docker" / "dockerd.pid"
        if self._pid() is None:
            pytest.skip("the Docker engine here is not the one that scripts/docker starts")

    def stop(self) -> None:
        pid = self._pid()
        assert pid is not None, "the engine ended by itself"
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the engine ends")

    def start(self) -> None:
        subprocess.run([SCRIPT, "up"], check=True, capture_output=True, timeout=300)

    def _pid(self) -> int | None:
        try:
            pid = int(self._pidfile.read_text())
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except (OSError, ValueError):
            return None
        return pid if name == "dockerd" else None
