"""Decide when the next write may go to GitHub, which one, and when a failed one is tried again.

GitHub's secondary limits on requests that create content: 80 a minute, 500 an
hour, and "at least one second between" them for whoever sends many (GitHub's
best practices for the REST API). A push with its handful of statuses should not
wait for those seconds, so a short burst goes back to back and is paid off
afterwards. Of both a part is kept for what somebody waits for: a backlog, and
what is `pending`, never take the last of it.

So there is a backlog whenever many pushes come at once. Who looks is the author of the newest
push: its statuses overtake those of older ones, which go in the gaps.

Pure: the time is a parameter; seconds are those of one clock of the caller's, best a monotonic one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from deployer.core.model import Closed, Owed, StatusState
from deployer.core.reporting.contexts import DEPLOY

BURST = 18
"""Writes that may go back to back after a rest; one comes back every `REFILL_S`."""
REFILL_S = 1.0
BURST_KEPT = 4
"""Of them, for what somebody waits for: the verdicts of one push."""
WINDOW_S = 3600.0
WINDOW = 500
"""Writes that may lie in any such span."""
WINDOW_KEPT = 60
"""Of them, for what somebody waits for."""
AT_ONCE = WINDOW_KEPT // 2
"""Of those, back to back: the verdicts of fifteen pushes; one comes back every `SLOW_S`."""
SLOW_S = WINDOW_S / AT_ONCE
"""So nobody waits for the rest of an hour in which too much went."""

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 300.0
TRIES_IF_UNKNOWN = 12
"""In 19 minutes. The teacher is told of what is owed for ten, by `deployer notify`: all statuses
are refused so where DEPLOYER_GITHUB_REPO names another repository by now."""
UNKNOWN = "No commit found"
"""So begins what GitHub says with 422 of a commit that it does not know."""
_DOUBLINGS = math.ceil(math.log2(LAST_RETRY_S / FIRST_RETRY_S))


@dataclass(frozen=True, slots=True)
class Pace:
    """What past writes leave room for. `Pace()`: there were none.

    Attributes:
        writes: when they went, oldest first; no more than a decision needs.
        rested_at: from then on a whole burst is allowed again.
        kept_at: from then on all that the window keeps may go at once again.
    """

    writes: tuple[float, ...] = ()
    rested_at: float = -math.inf
    kept_at: float = -math.inf

    @classmethod
    def after(cls, writes: Iterable[float], *, now: float) -> Pace:
        """Return the pace after writes that another clock may have timed, oldest first.

        What would be still to come was timed by a clock that was set since: it is left out.
        """
        pace = cls()
        for at in writes:
            if at <= now:
                pace = pace.wrote(at)
        return pace

    def next_write_at(self, now: float, *, keeping: bool = False) -> float:
        """Return when the next write may go: `now`, or the moment to wait for.

        `keeping`: and leave what is kept for those who wait.
        """
        burst = BURST - BURST_KEPT if keeping else BURST
        rested_at = self.rested_at - (burst - 1) * REFILL_S
        kept_at = math.inf if keeping else self.kept_at - (AT_ONCE - 1) * SLOW_S
        return max(now, rested_at, min(self._open_at(), kept_at))

    def _open_at(self) -> float:
        """Return when the window has more room than what it keeps."""
        most = WINDOW - WINDOW_KEPT
        return self.writes[-most] + WINDOW_S if len(self.writes) >= most else -math.inf

    def wrote(self, at: float) -> Pace:
        """Return the pace after a write at `at`, whatever GitHub answered to it."""
        takes_of_kept = at < self._open_at()
        return Pace(
            (*self.writes, at)[-WINDOW:],
            max(self.rested_at, at) + REFILL_S,
            max(self.kept_at, at) + SLOW_S if takes_of_kept else self.kept_at,
        )


def closed_for_s(closed: Closed, *, ago_s: float) -> float:
    """Return for how long GitHub's word is still to be waited for.

    Never for longer than it said, also if the clock was set back since.
    """
    return max(0.0, min(closed.for_s, closed.for_s - ago_s))


def retry_delay_s(attempts: int, after_s: float | None = None) -> float:
    """Return how long to wait after the `attempts`-th failure in a row, in seconds.

    Doubles from one second to five minutes. GitHub's own word `after_s` is always
    waited for, and the doubling comes on top: its "at least a minute, growing".
    """
    doublings = min(max(attempts - 1, 0), _DOUBLINGS)
    return (after_s or 0.0) + min(FIRST_RETRY_S * 2.0**doublings, LAST_RETRY_S)


def refusal_stands(reason: str, attempts: int) -> bool:
    """Tell whether GitHub's refusal of a status is its last word, at the `attempts`-th try.

    It refuses a commit that was pushed seconds ago and is not known everywhere yet as it refuses
    one that is not there. How old a commit is is not asked: a clock may be set just then.
    """
    return UNKNOWN not in reason or attempts >= TRIES_IF_UNKNOWN


OVERTAKINGS = 3
"""So many writes in a row may overtake the oldest commit's; the next is one of that."""
WAITED_FOR = timedelta(seconds=60)
"""What is owed for longer is backlog."""
RED = frozenset({StatusState.FAILURE, StatusState.ERROR})


def urgency(owed: Owed) -> tuple[object, ...]:
    """Return the place in the line: a verdict before any `pending`, the newest tip's first."""
    return (_is_pending(owed), -owed.tip, *_rank(owed))


def patience(owed: Owed) -> tuple[object, ...]:
    """Return the place in the other line, that of the oldest tip."""
    return (_is_pending(owed), owed.tip, *_rank(owed))


def next_to_post(due: Sequence[Owed], *, at: datetime, overtook: int, room: bool) -> Owed | None:
    """Return the status that goes next; None: what there is can wait until there is room.

    A `pending` that has to wait is mostly replaced by its verdict before its turn comes, which
    is a write less; and a backlog that waits leaves the next push its burst.

    Args:
        due: what may be tried; the first by `urgency` and by `patience` are enough.
        at: the time now.
        overtook: how many writes in a row overtook an older commit's.
        room: beside this write there is one for each that may come and be waited for.
    """
    if not due:
        return None
    oldest_turn = overtook >= OVERTAKINGS
    first = min(due, key=patience if oldest_turn else urgency)
    if room:
        return first
    waited_for = at - first.owed_since <= WAITED_FOR
    return first if (oldest_turn or waited_for) and not _is_pending(first) else None


def overtakes(owed: Owed, due: Sequence[Owed]) -> bool:
    """Tell whether `owed` goes before an older commit's."""
    return min(due, key=patience).tip < owed.tip


def _is_pending(owed: Owed) -> bool:
    return owed.status.state is StatusState.PENDING


def _rank(owed: Owed) -> tuple[bool, bool, int]:
    """Return the place among the statuses of one commit: `airflow/deploy` first, red first."""
    status = owed.status
    return (status.context.lower() != DEPLOY, status.state not in RED, owed.place)
