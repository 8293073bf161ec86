"""What is kept of an error's text, which may be as long as its author likes."""

from __future__ import annotations

MOST = 20_000
"""Characters of one, in which traceback and message stand."""


def kept(text: str) -> str:
    """Return a text that is no longer than that: its middle is left out.

    The first half has the frames and what a long message begins with, the last half the error at
    the end of a long chain. What stands between looks like a line of a frame.
    """
    half = MOST // 2 - 10
    return text if len(text) <= MOST else f"{text[:half]}\n    …\n{text[-half:]}"
