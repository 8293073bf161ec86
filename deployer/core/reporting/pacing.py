"""Decide when the next write may go to GitHub, and when a failed one is tried again.

GitHub's secondary limits on requests that create content: 80 a minute, 500 an
hour, and "at least one second between" them for whoever sends many (GitHub's
best practices for the REST API). A push with its handful of statuses should not
wait for those seconds, so a short burst goes back to back and is paid off
afterwards. Nor should anybody wait for the rest of an hour whose 500 are spent:
many writes in a row slow down long before.

Pure: all times are seconds on one clock of the caller's, best a monotonic one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from deployer.core.model import Closed


@dataclass(frozen=True, slots=True)
class Bucket:
    """Holds `writes` after a rest; one comes back every `refill_s`.

    No span of so many seconds sees more than `writes` and one for each `refill_s` of it.

    Attributes:
        kept: of them, for what somebody waits for.
    """

    writes: int
    refill_s: float
    kept: int

    @property
    def rest_s(self) -> float:
        """After so long it is full again, whatever was before."""
        return self.writes * self.refill_s


BUCKETS = (Bucket(18, 1.0, kept=4), Bucket(200, 12.0, kept=60))
"""At most 78 writes in a minute and 500 in an hour; kept are the verdicts of one push, and those of
a class of thirty."""
LOOK_BACK_S = max(bucket.rest_s for bucket in BUCKETS)
"""Writes before that change nothing."""
LOOK_BACK = max(2 * bucket.writes for bucket in BUCKETS)
"""No more than so many go in that time."""

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 300.0
TRIES_WHEN_NEW = 5
NEW_S = 60.0
_DOUBLINGS = math.ceil(math.log2(LAST_RETRY_S / FIRST_RETRY_S))


@dataclass(frozen=True, slots=True)
class Pace:
    """What past writes leave room for. `Pace()`: there were none.

    Attributes:
        full_at: when each of BUCKETS is full again.
    """

    full_at: tuple[float, ...] = (-math.inf,) * len(BUCKETS)

    @classmethod
    def after(cls, writes: Iterable[float], *, now: float) -> Pace:
        """Return the pace after writes that another clock may have timed, oldest first.

        Wherever that clock stood, no bucket is emptier than empty: the wait is one refill.
        """
        pace = cls()
        for at in writes:
            pace = pace.wrote(at)
        return Pace(
            tuple(
                min(full_at, now + bucket.rest_s)
                for bucket, full_at in zip(BUCKETS, pace.full_at, strict=True)
            )
        )

    def next_write_at(self, now: float, *, keeping: bool = False) -> float:
        """Return when the next write may go: `now`, or the moment to wait for.

        `keeping`: and leave in each bucket what it keeps.
        """
        return max(
            now,
            *(
                full_at - (bucket.writes - 1 - (bucket.kept if keeping else 0)) * bucket.refill_s
                for bucket, full_at in zip(BUCKETS, self.full_at, strict=True)
            ),
        )

    def wrote(self, at: float) -> Pace:
        """Return the pace after a write at `at`, whatever GitHub answered to it."""
        return Pace(
            tuple(
                max(full_at, at) + bucket.refill_s
                for bucket, full_at in zip(BUCKETS, self.full_at, strict=True)
            )
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
