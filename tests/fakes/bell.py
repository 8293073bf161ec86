"""A doorbell in memory: both ends in one object."""

from __future__ import annotations

import threading


class FakeBell:
    """What `Doorbell` and `DoorbellListener` are together.

    Attributes:
        rings: how often it was rung.
    """

    def __init__(self) -> None:
        self.rings = 0
        self._rung = threading.Event()

    def ring(self) -> None:
        self.rings += 1
        self._rung.set()

    def wait(self, timeout_s: float) -> bool:
        heard = self._rung.wait(max(timeout_s, 0))
        self._rung.clear()
        return heard
