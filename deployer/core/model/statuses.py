"""Commit statuses, owed and posted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class StatusState(StrEnum):
    """GitHub's four."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Status:
    """A commit status to be posted: `description` is at most 140 characters."""

    sha: str
    context: str
    state: StatusState
    description: str


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """A status in the outbox.

    Attributes:
        target_url: page behind it, None without PUBLIC_URL.
        posted_at: when GitHub took it, None: still owed, or refused for good (see `error`).
        attempts: tries so far.
        error: what the last try was answered.
    """

    status: Status
    target_url: str | None = None
    posted_at: datetime | None = None
    attempts: int = 0
    error: str | None = None
