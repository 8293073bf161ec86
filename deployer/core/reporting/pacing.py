"""Decide when the next write may go to GitHub, and when a failed one is tried again.

GitHub's secondary limits on requests that create content: 80 a minute, 500 an
hour, and "at least one second between" them for whoever sends many (GitHub's
best practices for the REST API). A push with its handful of statuses should not
wait for those seconds, so a short burst goes back to back and is paid off
afterwards. Of both a part is kept for what somebody waits for: a backlog, and
what is `pending`, never take the last of it.

Pure: all times are seconds on one clock of the caller's, best a monotonic one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from deployer.core.model import Closed

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
TRIES_WHEN_NEW = 5
NEW_S = 60.0
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
        return max(now, rested_at, self._slid_at(keeping=keeping))

    def _slid_at(self, *, keeping: bool) -> float:
        slid_at = self._open_at()
        return slid_at if keeping else min(slid_at, self.kept_at - (AT_ONCE - 1) * SLOW_S)

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


def retry_delay_s(attempts: int, after_s: float | None = None, *, jitter: float = 0.0) -> float:
    """Return how long to wait after the `attempts`-th failure in a row, in seconds.

    Doubles from one second to five minutes. GitHub's own word `after_s` is always
    waited for, and the doubling comes on top: its "at least a minute, growing".
    `jitter` stretches the doubling, 0.1 by a tenth.
    """
    doublings = min(max(attempts - 1, 0), _DOUBLINGS)
    backoff_s = min(FIRST_RETRY_S * 2.0**doublings, LAST_RETRY_S)
    return (after_s or 0.0) + backoff_s * (1.0 + jitter)


def refusal_stands(attempts: int, age_s: float) -> bool:
    """Tell whether GitHub's refusal of a status is its last word, at the `attempts`-th try.

    It refuses a commit that was pushed seconds ago and is not known everywhere yet as it
    refuses one that is not there.
    """
    return attempts >= TRIES_WHEN_NEW or age_s >= NEW_S
