"""What the journal must hold at any moment, whoever died before: worker and doctor look at it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from deployer.core.counts import counted

LATELY = timedelta(days=1)
"""Within which an announced commit is known to have been told something: no status is so old that
it was pruned."""
MOST_OWED = 5_000
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Audit:
    """What is not as it must be.

    Attributes:
        stranded: commits that were told `pending` last in some context, or were announced lately
            and told nothing, while no deployment is to answer them.
        unjudged: what is said to be live and judged, and no deployment has judged.
        owed: statuses.
        dangling: tables with a row that names one that is not there.
    """

    stranded: tuple[str, ...] = ()
    unjudged: str | None = None
    owed: int = 0
    dangling: tuple[str, ...] = ()


def violations(found: Audit) -> Iterator[str]:
    """Yield what does not hold, a sentence each; the first two are mended by the worker."""
    if found.stranded:
        some, more = found.stranded[:_NAMED], found.stranded[_NAMED:]
        names = ", ".join(sha[:7] for sha in some) + (f" and {len(more)} more" if more else "")
        yield f"{counted(found.stranded, 'commit')} without an end, and nobody works on it: {names}"
    if found.unjudged:
        yield f"{found.unjudged[:7]} is said to be live and judged, and no deployment has judged it"
    if found.owed > MOST_OWED:
        yield f"{found.owed:,} statuses are owed; GitHub takes 500 an hour"
    if found.dangling:
        yield f"rows of {', '.join(found.dangling)} name rows that are not there"
