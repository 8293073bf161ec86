"""Numbers of things and spans of time, as people say them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta


def counted(things: int | Collection[object], one: str, many: str = "") -> str:
    """Return `1 file`, `2 files`; `many` where an `s` is not enough."""
    number = things if isinstance(things, int) else len(things)
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def lasting(span: timedelta) -> str:
    """Return `40 s`, `11 min`, `5 h`, `3 days`, a unit from two of it on; below 0 is `0 s`."""
    seconds = max(int(span.total_seconds()), 0)
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
