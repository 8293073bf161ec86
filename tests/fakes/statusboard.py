"""GitHub's commit statuses in memory."""

from __future__ import annotations

import re
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
        cap: how many statuses of one commit and context are taken.
    """

    def __init__(self) -> None:
        self.posted: list[tuple[Status, str | None]] = []
        self.tries = 0
        self.unknown: set[str] = set()
        self.answers: deque[Posted] = deque()
        self.down: str | None = None
        self.cap = 1000

    def post(self, status: Status, target_url: str | None) -> Posted:
        self.tries += 1
        answer = self._judge(status, target_url)
        if isinstance(answer, Accepted):
            self.posted.append((status, target_url))
        return answer

    def of(self, sha: str) -> dict[str, Status]:
        """Return the newest status of each context of a commit."""
        newest = {
            status.context.casefold(): status for status, _ in self.posted if status.sha == sha
        }
        return {status.context: status for status in newest.values()}

    def _judge(self, status: Status, target_url: str | None) -> Posted:
        if self.down is not None:
            return RetryLater(self.down)
        if self.answers:
            return self.answers.popleft()
        why = self._refusal(status, target_url)
        return Accepted() if why is None else RefusedForGood(why)

    def _refusal(self, status: Status, target_url: str | None) -> str | None:
        key = (status.sha, status.context.casefold())
        said = [(s.sha, s.context.casefold()) for s, _ in self.posted].count(key)
        reasons = {
            "sha must be a 40 character SHA1": not re.fullmatch(r"[0-9a-f]{40}", status.sha),
            f"No commit found for SHA: {status.sha}": status.sha in self.unknown,
            "Target url must use http(s) scheme": (
                target_url is not None and not target_url.startswith(("http://", "https://"))
            ),
            "This SHA and context has reached the maximum number of statuses.": said >= self.cap,
        }
        texts = (("description", status.description, 140), ("context", status.context, 255))
        for name, text, most in texts:
            reasons[f"{name} is too long (maximum is {most} characters)"] = len(text) > most
            reasons[f"{name} doesn't accept 4-byte Unicode"] = any(c > "\uffff" for c in text)
        return next((reason for reason, holds in reasons.items() if holds), None)
