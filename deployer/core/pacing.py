"""Decide when the next write may go to GitHub, and when a failed one is tried again.

GitHub's secondary limits on requests that create content: 80 a minute, 500 an
hour, and "at least one second between" them for whoever sends many (GitHub's
best practices for the REST API). A push with its handful of statuses should not
wait for those seconds, so a short burst goes back to back and is paid off
afterwards.

Pure: all times are seconds on one clock of the caller's, best a monotonic one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

BURST = 10
"""Writes that may go back to back after a rest."""
REFILL_S = 1.0
"""Each write uses up the burst for this long."""
WINDOWS = ((60.0, 80), (3600.0, 500))
"""Seconds, and how many writes may lie in any such span."""

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
    """

    writes: tuple[float, ...] = ()
    rested_at: float = -math.inf

    def next_write_at(self, now: float) -> float:
        """Return when the next write may go: `now`, or the moment to wait for."""
        return max(
            now,
            self.rested_at - (BURST - 1) * REFILL_S,
            *(self.writes[-most] + span for span, most in WINDOWS if len(self.writes) >= most),
        )

    def room(self, now: float) -> int:
        """Return how many writes the burst would still take back to back, 0 to BURST."""
        return BURST - math.ceil(max(0.0, self.rested_at - now) / REFILL_S)

    def wrote(self, at: float) -> Pace:
        """Return the pace after a write at `at`, whatever GitHub answered to it."""
        kept = max(most for _, most in WINDOWS)
        return Pace(
            writes=(*self.writes, at)[-kept:],
            rested_at=max(self.rested_at, at) + REFILL_S,
        )


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
