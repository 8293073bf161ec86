"""Who is told: the git host (statuses; its webhooks with their deliveries), and the teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from deployer.core.hooks import Delivery, Hook
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


class Webhooks(Protocol):
    """All methods raise MayNot, and OperatorError: no answer, or one that says no."""

    def all(self) -> tuple[Hook, ...]: ...

    def make(self, body: Mapping[str, Any]) -> int:
        """Make one and return its number."""

    def mend(self, hook: int, body: Mapping[str, Any]) -> None: ...

    def deliveries(self, hook: int, since: datetime) -> tuple[Delivery, ...]:
        """Return the tries since then; of many the newest."""

    def ask_again(self, hook: int, delivery: int) -> None: ...


class Messenger(Protocol):
    """Mail, chat: several addresses, so that one may be out of order."""

    def send(self, title: str, text: str) -> tuple[str, ...]:
        """Tell the teacher; return of each address that took nothing why.

        Raises:
            OperatorError: none of them took it.
        """
