"""What the pieces of the Flask app share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import request

from deployer.demo.github.contract import Json
from deployer.demo.github.repository import BareRepository
from deployer.demo.github.statuses import Statuses
from deployer.demo.github.webhook import Webhook


@dataclass(frozen=True, slots=True)
class Parts:
    """The stand-in's state.

    Attributes:
        full_name: `owner/name`.
        token: the only one that may write.
        violations: all that was not as GitHub describes it; the demo and the tests fail on it.
    """

    full_name: str
    token: str
    repository: BareRepository
    webhook: Webhook
    violations: list[str]
    statuses: Statuses = field(default_factory=Statuses)

    def is_here(self, owner: str, name: str) -> bool:
        return f"{owner}/{name}".casefold() == self.full_name.casefold()


def base_url() -> str:
    """Return the stand-in's address as the client of this request sees it."""
    return request.host_url.rstrip("/")


def error(status: int, message: str, errors: Sequence[Json] = ()) -> Json:
    said: Json = {
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    }
    return said | ({"errors": list(errors)} if errors else {})
