"""How one who waits for examinations hears of them, and of what is more urgent."""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition


class News:
    """Wakes those who wait for examinations. For several threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._nudges = 0
        self._told = 0

    def spread(self) -> None:
        """Have those who wait look again."""
        with self._changed:
            self._changed.notify_all()

    def nudge(self) -> None:
        """Have all who wait return; if none does, then the next one."""
        with self._changed:
            self._nudges += 1
            self._changed.notify_all()

    def wait(self, over: Callable[[], bool], timeout_s: float) -> None:
        """Return when it is over, after a nudge or that time.

        A nudge is only used up by a wait that it ended: who got what they waited for goes on
        with that, and does not look up.
        """
        with self._changed:
            told = self._told
            self._changed.wait_for(lambda: over() or self._nudges > told, timeout_s)
            if not over():
                self._told = self._nudges
