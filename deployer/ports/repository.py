"""The class repository: the mirror of it, where its releases are published, a working copy.

The last is what `deployer check` looks at, and `Trial` what came of installing its packages.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deployer.core.model import History, Tree, Verdict


class Repository(Protocol):
    """A mirror of the class repository.

    What reads it raises GitError where that can't be done, UnknownCommit among others.
    """

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

    def blobs(self, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each blob's id and content.

        Raises:
            UnknownCommit: the mirror does not hold one of them.
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


@dataclass(frozen=True, slots=True)
class Release:
    """A published tree.

    Attributes:
        name: `<sha>`, or `<sha>-<n>` where the same commit is published again with
            other contents: one name never means two contents.
        sha: the commit it was made of.
        written: files that did not come by hard link from the release before.
    """

    name: str
    sha: str
    written: int = 0


@dataclass(frozen=True, slots=True)
class Edits:
    """What is live is not what was published: somebody changed it by hand.

    Attributes:
        words: what was found, and where it is kept.
        paths: files that are not as published; the next `publish` writes them anew. None: of
            what is live nothing is known any more.
    """

    words: str
    paths: frozenset[str] | None = None


class Releases(Protocol):
    """Release directories and the `current` link."""

    def live(self) -> Release | None:
        """Return the release that `current` names, None before the first."""

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        """Write `tree` beside the live release and swap `current` by one rename.

        For a path in `held` the live release's version is kept, or the path is left out
        if it is not live. Files whose contents equal the live release's are hard links to
        it (inode and mtime kept), unless they are in `touch`: those get a new modification
        time just before the swap. What was changed by hand is kept aside and no link's source.

        Raises:
            DiskError: nothing was swapped.
            GitError: nor was it; the mirror can't be read, or does not hold the tree's commit.
        """

    def edits(self) -> Edits | None:
        """Compare what is live with what was published; None: it is the same.

        A `current` that leads elsewhere is led back at once. Cheap: for each poll.

        Raises:
            DiskError: it can't be led back.
        """

    def restore(self, name: str | None) -> None:
        """Point `current` back at the release `name`; None: nothing is live.

        Raises:
            DiskError: there is no such release.
        """

    def confirm(self, name: str) -> None:
        """Keep in mind that Airflow lived with the release `name`.

        Raises:
            DiskError
        """

    def proven(self) -> str | None:
        """Return the release confirmed last, None before the first or if it is gone."""

    def blobs(self, name: str) -> Mapping[str, str]:
        """Return the blob id of each file of a release, by path; nothing if it is gone."""

    def beyond(self, keep: int) -> tuple[str, ...]:
        """Return the releases that `prune` would remove if none was in use, oldest first.

        Raises:
            DiskError
        """

    def prune(self, keep: int, in_use: Collection[str]) -> tuple[str, ...]:
        """Remove the oldest releases beyond `keep` and half-written ones; return their names.

        Never removes the live one, the proven one or one named in `in_use`.

        Raises:
            DiskError: one can't be removed, all others are.
        """


class WorkingCopy(Protocol):
    """The class repository as it lies on somebody's disk."""

    def tree(self) -> Tree:
        """Return what the commit of all that is there would be.

        Raises:
            DiskError
        """

    def gone(self, tree: Tree) -> frozenset[str]:
        """Return the paths that a push takes away, `tree` being this copy's.

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
    """What came of installing a working copy's `requirements.txt` for a trial.

    Attributes:
        verdict: on `requirements.txt`.
        python: the interpreter that has the packages, None: they were refused.
        added: what they add to Airflow's own, as `name==version`.
    """

    verdict: Verdict
    python: Path | None = None
    added: tuple[str, ...] = ()
