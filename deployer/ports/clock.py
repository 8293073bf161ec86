"""Time, and what cuts a wait short."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time, so that a test need not wait."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def sleep(self, seconds: float) -> None: ...


class Bell(Protocol):
    """Wakes the worker; ringing a bell that nobody hears is no error."""

    def ring(self) -> None: ...


class Listener(Protocol):
    """The other end of the bell."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody rang or the time is over; several rings count once."""
