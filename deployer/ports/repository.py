"""The mirror of the class repository."""

from __future__ import annotations

from typing import Protocol

from deployer.core.model import History, Tree


class Repository(Protocol):
    """A mirror of the class repository."""

    def fetch(self) -> str:
        """Bring the mirror up to date and return the branch's tip (40 hex digits).

        Raises:
            GitError: the host is out of reach, refuses, or has no such branch.
        """

    def tree(self, sha: str) -> Tree:
        """Return the commit's tree; costs what changed since the tree read before.

        Raises:
            UnknownCommit: the mirror does not hold it.
        """

    def contains(self, tip: str, sha: str) -> bool:
        """Tell whether `sha` is `tip` or an ancestor of it.

        Raises:
            UnknownCommit: the mirror does not hold `sha`.
        """

    def history(self, old: str | None, new: str) -> History:
        """Return how `new` came out of `old`: what differs, and who wrote it.

        `old` None or unknown to the mirror: since `new`'s first parent; a root commit
        differs in all its paths. Of more commits than a person pushes at once, none is named.

        Raises:
            UnknownCommit: the mirror does not hold `new`.
        """
