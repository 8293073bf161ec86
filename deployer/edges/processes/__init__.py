"""What our own processes need of the machine: its clock, here, and web server, lock, doorbell.

server    gunicorn
lock      one worker for a state and a checkout
doorbell  web wakes the worker; Unix sockets by their place in the file system, however deep
"""

from __future__ import annotations

import time
from datetime import UTC, datetime


class SystemClock:
    """Implements `ports.Clock`."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
