"""GitHub's commit statuses in memory."""

from __future__ import annotations

from collections import deque

from deployer.core.model import Status
from deployer.ports import Accepted, Posted, RefusedForGood, RetryLater


class FakeStatusBoard:
    """A `StatusBoard` that takes what GitHub would take.

    Attributes:
        posted: what was accepted, in order, each with its `target_url`.
        tries: how many posts there were, whatever became of them.
        unknown: commits that GitHub does not have.
        answers: given to the next posts instead of judging them.
        down: why nothing gets through, None: all is well.
    """

    def __init__(self) -> None:
        self.posted: list[tuple[Status, str | None]] = []
        self.tries = 0
        self.unknown: set[str] = set()
        self.answers: deque[Posted] = deque()
        self.down: str | None = None

    def post(self, status: Status, target_url: str | None) -> Posted:
        self.tries += 1
        answer = self._judge(status, target_url)
        if isinstance(answer, Accepted):
            self.posted.append((status, target_url))
        return answer

    def of(self, sha: str) -> dict[str, Status]:
        """Return the newest status of each context of a commit."""
        return {status.context: status for status, _ in self.posted if status.sha == sha}

    def _judge(self, status: Status, target_url: str | None) -> Posted:
        if self.down is not None:
            return RetryLater(self.down)
        if self.answers:
            return self.answers.popleft()
        if status.sha in self.unknown:
            return RefusedForGood(f"No commit found for SHA: {status.sha}")
        if len(status.description) > 140:
            return RefusedForGood("description is too long (maximum is 140 characters)")
        if target_url is not None and not target_url.startswith(("http://", "https://")):
            return RefusedForGood("Target url must use http(s) scheme")
        return Accepted()
