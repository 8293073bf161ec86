"""The class repository: the mirror of it, and a working copy that `deployer check` looks at."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deployer.core.model import History, Tree, Verdict


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


class WorkingCopy(Protocol):
    """The class repository as it lies on somebody's disk."""

    def tree(self) -> Tree:
        """Return what the commit of all that is there would be.

        Raises:
            DiskError
        """

    def mention(self, tree: Tree, paths: Collection[str], words: Collection[str]) -> list[str]:
        """Return those of `paths` in whose bytes one of `words` occurs.

        Raises:
            DiskError
        """


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went.

    Attributes:
        verdict: on `requirements.txt`.
        python: the interpreter that has the packages, None: they were refused.
        added: what they add to Airflow's own, as `name==version`.
    """

    verdict: Verdict
    python: Path | None = None
    added: tuple[str, ...] = ()
