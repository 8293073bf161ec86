"""How a commit came out of an older one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Authored:
    """What one commit changed, and the e-mail address of who wrote it."""

    email: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class History:
    """How a commit came out of an older one.

    Attributes:
        since: the older one; None: the repository begins with this commit.
        changed: paths that differ between the two, sorted.
        commits: between the two, newest first, merges left out; none, if there are more
            than are looked into.
    """

    since: str | None
    changed: tuple[str, ...] = ()
    commits: tuple[Authored, ...] = ()
