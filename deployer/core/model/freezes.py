"""A freeze: what is live stays, whatever is pushed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Freeze:
    """Somebody's word that nothing is deployed, from `since` on.

    Attributes:
        until: when it ends by itself, None: `deployer unfreeze` ends it.
    """

    why: str
    by: str
    since: datetime
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return self.until is None or now < self.until

    @property
    def words(self) -> str:
        """Why, and until when, for a person."""
        end = f", until {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.until else ""
        return f"{self.why}{end}"
