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
    """A commit status to be posted.

    Attributes:
        sha: the commit that shows it.
        context: what it is about: `airflow/deploy`, or `airflow/<folder>`.
        description: at most 140 characters.
    """

    sha: str
    context: str
    state: StatusState
    description: str


@dataclass(frozen=True, slots=True)
class Owed:
    """A status in the outbox that is due, and the deployment that says it.

    Attributes:
        attempts: tries so far.
        owed_since: when it was made.
        place: in the order in which something was first owed for its commit and context.
        tip: in the order in which pushes, the poll or the teacher named its commit.
    """

    id: int
    status: Status
    attempts: int
    owed_since: datetime
    deployment: int
    place: int
    tip: int


@dataclass(frozen=True, slots=True)
class Closed:
    """GitHub's own word, given `at`, that nothing may be written for `for_s` seconds."""

    at: datetime
    for_s: float


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
