"""Where commit statuses go, and what is answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from deployer.core.model import Status


@dataclass(frozen=True, slots=True)
class Accepted:
    """GitHub took it."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Not now. `after_s`: GitHub's own word on when, None if it said nothing."""

    reason: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class RefusedForGood:
    """Never: the same request would be refused again."""

    reason: str


Posted = Accepted | RetryLater | RefusedForGood


class StatusBoard(Protocol):
    """Where commit statuses go."""

    def post(self, status: Status, target_url: str | None) -> Posted:
        """Post one status."""
