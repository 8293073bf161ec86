"""A clock that only its sleepers move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


class FakeClock:
    """Implements `ports.Clock`; `sleep` returns at once, and time has passed."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self._set_by = timedelta(0)

    def jump(self, seconds: float) -> None:
        """Have somebody set the time of day; no time passes."""
        self._set_by += timedelta(seconds=seconds)

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed_s) + self._set_by

    def monotonic(self) -> float:
        return self.elapsed_s

    def sleep(self, seconds: float) -> None:
        self.elapsed_s += seconds
