"""Version numbers as tools print them."""

from __future__ import annotations

import re


def numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers, e.g. (20, 10, 24) of `20.10.24+dfsg1`; none: empty."""
    leading = re.match(r"v?(\d+(?:\.\d+)*)", version.strip())
    return tuple(map(int, leading[1].split("."))) if leading else ()
