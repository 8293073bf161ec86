"""Wait on a condition, never on time alone."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(true: Callable[[], object], within_s: float) -> None:
    """Return as soon as `true` is; fail when the time is over."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)
