"""Post what is owed: one status at a time, at GitHub's pace, until taken or refused for good."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

import structlog

from deployer.core.access import Link
from deployer.core.model import Closed, Owed, Status
from deployer.core.reporting.pacing import (
    WINDOW,
    WINDOW_S,
    Pace,
    closed_for_s,
    next_to_post,
    overtakes,
    refusal_stands,
    retry_delay_s,
)
from deployer.ports import Accepted, Clock, Journal, Posted, RefusedForGood, RetryLater, StatusBoard

log = structlog.get_logger()

REST_S = 5.0
"""Between two looks at an empty outbox, if nobody says that it is filled."""


class Outbox:
    """The outbox's postman; `post_next` is called by one thread only."""

    def __init__(
        self, journal: Journal, board: StatusBoard, clock: Clock, *, public_url: str | None
    ) -> None:
        self._journal = journal
        self._board = board
        self._clock = clock
        self._public_url = public_url
        self._pace, self._closed_until = self._resumed()
        self._again_at = float("inf")  # monotonic; when a status is due that had to wait
        self._overtook = 0
        self._answers: dict[Owed, Posted] = {}  # that the journal has not taken

    def _resumed(self) -> tuple[Pace, float]:
        """Return the pace and until when GitHub takes nothing, as the last worker left them."""
        now, time = self._clock.monotonic(), self._clock.now()
        writes = self._journal.posted_since(time - timedelta(seconds=WINDOW_S), WINDOW)
        pace = Pace.after((now - (time - at).total_seconds() for at in writes), now=now)
        closed = self._journal.closed()
        ago_s = (time - closed.at).total_seconds() if closed else 0.0
        return pace, now + (closed_for_s(closed, ago_s=ago_s) if closed else 0.0)

    def post_next(self) -> float:
        """Post the next status that is due; return seconds until the next try makes sense."""
        now = self._clock.monotonic()
        open_at = max(self._pace.next_write_at(now), self._closed_until)
        if open_at > now:
            return open_at - now
        time, room_at = self._clock.now(), self._pace.next_write_at(now, keeping=True)
        due = self._journal.due(time)
        owed = next_to_post(due, at=time, overtook=self._overtook, room=room_at <= now)
        if owed is None:
            if self._again_at <= now:  # looked at, and done
                self._again_at = float("inf")
            return min(REST_S, self._again_at - now, room_at - now if due else REST_S)
        self._overtook = self._overtook + 1 if overtakes(owed, due) else 0
        status = owed.status
        page = f"{self._public_url}/commits/{status.sha}" if self._public_url else None
        if owed not in self._answers:
            link = page and f"{page}?token={self._token(status)}"
            self._answers[owed] = RetryLater("it could not be posted: see the worker's log")
            self._answers[owed] = self._board.post(status, link)
            # Dying here posts it once more: GitHub shows the last of two equal ones.
            self._pace = self._pace.wrote(self._clock.monotonic())
        self._record(owed, self._answers[owed], page)
        del self._answers[owed]
        return 0.0

    def _token(self, status: Status) -> str:
        return Link.of_status(status.sha, status.context).token(self._journal.link_key())

    def _record(self, owed: Owed, answer: Posted, page: str | None) -> None:
        status, now = owed.status, self._clock.now()
        said = {
            "deployment": owed.deployment,
            "sha": status.sha,
            "context": status.context,
            "state": str(status.state),
        }
        if isinstance(answer, RefusedForGood):
            stands = refusal_stands(answer.reason, owed.attempts + 1)
            answer = answer if stands else RetryLater(answer.reason)
        match answer:
            case Accepted():
                self._journal.posted(owed.id, at=now, target_url=page)
                log.info("status", **said, description=status.description)
            case RetryLater(reason, after_s):
                delay_s = retry_delay_s(owed.attempts + 1, after_s)
                closed = Closed(now, delay_s) if after_s is not None else None
                if closed:
                    self._closed_until = self._clock.monotonic() + delay_s
                due_at = now + timedelta(seconds=retry_delay_s(owed.attempts + 1))
                self._again_at = min(self._again_at, self._clock.monotonic() + delay_s)
                self._journal.try_again(owed.id, due_at=due_at, error=reason, closed=closed)
                log.warning("status owed", **said, reason=reason, again_in_s=round(delay_s, 1))
            case RefusedForGood(reason):
                self._journal.refused(owed.id, error=reason)
                log.error("status refused", **said, reason=reason)
            case _ as never:
                assert_never(never)
