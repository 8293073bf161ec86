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
        self._healthy: set[str] = set()
        if self._pid() is None:
            pytest.skip("the Docker engine here is not the one that scripts/docker starts")

    def stop(self) -> None:
        self._healthy = _healthy()
        pid = self._pid()
        assert pid is not None, "the engine ended by itself"
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the engine ends")

    def start(self) -> None:
        """Start it, and wait until what was healthy is so again (`restart: unless-stopped`)."""
        subprocess.run([SCRIPT, "up"], check=True, capture_output=True, timeout=300)
        wait_until(lambda: self._healthy <= _healthy(), "the containers are healthy again")

    def _pid(self) -> int | None:
        try:
            pid = int(self._pidfile.read_text())
            name = Path(f"/proc/{pid}/comm").read_text().strip()
        except (OSError, ValueError):
            return None
        return pid if name == "dockerd" else None


def _healthy() -> set[str]:
    """Return the names of the containers that are healthy."""
    argv = ["docker", "ps", "--filter", "health=healthy", "--format", "{{.Names}}"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())
