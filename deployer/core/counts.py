"""Numbers of things, as people say them."""

from __future__ import annotations

from collections.abc import Collection


def counted(things: int | Collection[object], one: str, many: str = "") -> str:
    """Return `1 file`, `2 files`; `many` where an `s` is not enough."""
    number = things if isinstance(things, int) else len(things)
    return f"{number} {one if number == 1 else many or f'{one}s'}"
