"""Commit statuses as GitHub keeps them, and waiting for one without polling."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

MOST_PER_CONTEXT = 1000
"""GitHub's cap for one commit and context."""


@dataclass(frozen=True, slots=True)
class PostedStatus:
    """One status as it was posted.

    Attributes:
        received_at: when the request had been read.
        received_s: the same moment on `time.monotonic`, to measure from a push to here.
    """

    id: int
    sha: str
    context: str
    state: str
    description: str | None
    target_url: str | None
    received_at: datetime
    received_s: float


class Statuses:
    """All statuses of the repository; safe to use from several threads."""

    def __init__(self) -> None:
        self._posted: dict[str, list[PostedStatus]] = {}
        self._count = 0
        self._changed = threading.Condition()

    def add(
        self,
        sha: str,
        *,
        context: str,
        state: str,
        description: str | None,
        target_url: str | None,
    ) -> PostedStatus | None:
        """Keep a status. None: the cap for its commit and context is reached."""
        with self._changed:
            posted = self._posted.setdefault(sha, [])
            same = [status for status in posted if _same(status.context, context)]
            if len(same) >= MOST_PER_CONTEXT:
                return None
            self._count += 1
            status = PostedStatus(
                id=self._count,
                sha=sha,
                context=context,
                state=state,
                description=description,
                target_url=target_url,
                received_at=datetime.now(UTC),
                received_s=time.monotonic(),
            )
            posted.append(status)
            self._changed.notify_all()
            return status

    def of(self, sha: str) -> tuple[PostedStatus, ...]:
        """Return all statuses of a commit, oldest first."""
        with self._changed:
            return tuple(self._posted.get(sha, ()))

    def latest(self, sha: str) -> tuple[PostedStatus, ...]:
        """Return the newest status of each context, contexts in order of their first status."""
        by_context = {status.context.casefold(): status for status in self.of(sha)}
        return tuple(by_context.values())

    def wait_for(
        self, sha: str, context: str, states: Collection[str], bound_s: float
    ) -> PostedStatus:
        """Return the newest status of `sha` and `context` in one of `states`, once there is one.

        Raises:
            TimeoutError: there was none within `bound_s`; says which there are.
        """
        with self._changed:
            found: PostedStatus | None = self._changed.wait_for(
                lambda: self._find(sha, context, states), bound_s
            )
            if found is not None:
                return found
            seen = [f"{status.context}={status.state}" for status in self._posted.get(sha, ())]
        raise TimeoutError(
            f"no status {context} {'|'.join(states)} on {sha} within {bound_s:g} s; seen: {seen}"
        )

    def _find(self, sha: str, context: str, states: Collection[str]) -> PostedStatus | None:
        matching = (
            status
            for status in reversed(self._posted.get(sha, ()))
            if _same(status.context, context) and status.state in states
        )
        return next(matching, None)


def combined_state(latest: Collection[PostedStatus]) -> str:
    """Return what GitHub makes of the newest status of each context.

    https://docs.github.com/rest/commits/statuses#get-the-combined-status-for-a-specific-reference
    """
    states = {status.state for status in latest}
    if states & {"error", "failure"}:
        return "failure"
    return "success" if states == {"success"} else "pending"


def _same(context: str, other: str) -> bool:
    return context.casefold() == other.casefold()  # GitHub: contexts are case-insensitive
