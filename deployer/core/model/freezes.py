"""A freeze: what is live stays, whatever is pushed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Freeze:
    """Somebody's word that nothing is deployed, from `since` on.

    Attributes:
        why, by: in words for the commits; who said so.
        until: when it ends by itself, None: `deployer unfreeze` ends it.
        sha: the commit that is live meanwhile, None: whatever was; of a rollback.
    """

    why: str
    by: str
    since: datetime
    until: datetime | None = None
    sha: str | None = None

    def holds(self, now: datetime) -> bool:
        return self.until is None or now < self.until

    @property
    def words(self) -> str:
        """Why, and until when, for a person."""
        parts = [f"rolled back to {self.sha[:7]}"] if self.sha else []
        end = f", until {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.until else ""
        return ": ".join([*parts, *([self.why] if self.why else [])]) + end
