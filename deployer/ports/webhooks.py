"""The webhooks of the class repository on GitHub, and how their deliveries went."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from deployer.core.hooks import Delivery, Hook


class Webhooks(Protocol):
    """All methods raise MayNot, and OperatorError: no answer, or none that does."""

    def all(self) -> tuple[Hook, ...]: ...

    def make(self, body: Mapping[str, Any]) -> int:
        """Make one and return its number."""

    def mend(self, hook: int, body: Mapping[str, Any]) -> None: ...

    def deliveries(self, hook: int, since: datetime) -> tuple[Delivery, ...]:
        """Return the tries since then; of many the newest."""

    def ask_again(self, hook: int, delivery: int) -> None: ...
