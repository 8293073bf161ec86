"""Decide which owed status goes to GitHub next.

GitHub takes few writes (see `pacing`), so there is a backlog whenever many pushes come at once.
Who looks is the author of the newest push: its statuses overtake those of older ones, which go
in the gaps. Pure: a choice over what is owed; the time is a parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from deployer.core.model import Owed, StatusState
from deployer.core.reporting.contexts import DEPLOY

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
