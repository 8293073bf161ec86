"""Releases in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from deployer.core.model import REQUIREMENTS, Tree
from deployer.core.planning.held import stays_live
from deployer.errors import DiskError
from deployer.ports import Edits, Release


@dataclass(frozen=True)
class Stamped:
    """One file of a release: its blob, and when it was written (a count, not a time)."""

    blob: str
    written_at: int


class FakeReleases:
    """A `Releases` that keeps what each release holds.

    Attributes:
        whole: what each release holds by path, in the order of publishing.
        full: the disk is full, nothing can be published.
        swaps: the names that became live, in order; None: nothing did.
        published: the trees given to `publish`, each with its `touch` and `held`.
        edited: what somebody changed by hand; the next `publish` mends it.
    """

    def __init__(self) -> None:
        self.whole: dict[str, dict[str, Stamped]] = {}
        self.full = False
        self.swaps: list[str | None] = []
        self.published: list[tuple[Tree, frozenset[str], frozenset[str]]] = []
        self.edited: Edits | None = None
        self._confirmed: str | None = None
        self._given: list[str] = []  # names are never given twice, removed or not
        self._clock = 0

    def live(self) -> Release | None:
        name = self.swaps[-1] if self.swaps else None
        return Release(name, name[:40]) if name and name in self.whole else None

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        self.published.append((tree, frozenset(touch), frozenset(held)))
        live = self.live()
        before = self.whole[live.name] if live else {}
        wanted = _wanted(tree, before, held)
        fresh = set(touch) & wanted.keys()
        edited = (self.edited and self.edited.paths) or frozenset()
        if live and live.sha == tree.sha and _blobs(before) == wanted and not fresh and not edited:
            return live
        if self.full:
            raise DiskError("No space left on device; the release before stays live")
        self._clock += 1
        files = {
            path: before[path]
            if path in before and before[path].blob == blob and path not in {*fresh, *edited}
            else Stamped(blob, self._clock)
            for path, blob in wanted.items()
        }
        name = self._free_name(tree.sha)
        self._given.append(name)
        self.whole[name] = files
        self.swaps.append(name)
        self.edited = None
        written = sum(file.written_at == self._clock for file in files.values())
        return Release(name, tree.sha, written)

    def edits(self) -> Edits | None:
        found = self.edited
        if found and not found.paths:  # led back at once
            self.edited = None
        return found

    def restore(self, name: str | None) -> None:
        if name is not None and name not in self.whole:
            raise DiskError(f"there is no release {name!r}")
        self.swaps.append(name)

    def confirm(self, name: str) -> None:
        self._confirmed = name

    def proven(self) -> str | None:
        return self._confirmed if self._confirmed in self.whole else None

    def blobs(self, name: str) -> Mapping[str, str]:
        return _blobs(self.whole.get(name, {}))

    def beyond(self, keep: int) -> tuple[str, ...]:
        live = self.live()
        names = list(self.whole)
        newest = names[max(len(names) - keep, 0) :]
        spared = {live.name if live else None, self.proven(), *newest}
        return tuple(name for name in names if name not in spared)

    def prune(self, keep: int, in_use: Collection[str]) -> tuple[str, ...]:
        doomed = tuple(name for name in self.beyond(keep) if name not in in_use)
        for name in doomed:
            del self.whole[name]
        return doomed

    def _free_name(self, sha: str) -> str:
        count = sum(name[:40] == sha for name in self._given)
        return f"{sha}-{count + 1}" if count else sha


def _wanted(tree: Tree, before: Mapping[str, Stamped], held: Collection[str]) -> dict[str, str]:
    wanted = {path: file.blob for path, file in tree.files.items()}
    for path in held:
        if wanted.pop(path, None) and path in before:
            wanted[path] = before[path].blob
    wanted |= {path: before[path].blob for path in stays_live(tree, before)}
    if tree.requirements is not None:
        wanted[REQUIREMENTS] = tree.requirements
    return wanted


def _blobs(files: Mapping[str, Stamped]) -> dict[str, str]:
    return {path: file.blob for path, file in files.items()}
