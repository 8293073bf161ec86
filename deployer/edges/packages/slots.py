"""Three names by which packages move: `next` was built, `current` is what Airflow starts on,
`previous` ran well before a `current` that is not yet found healthy.

What a name leads to is its holder's affair: an image, or a numbered directory (`LinkSlots`). In
the order of the steps below, dying between two of them leaves names with which the same calls
again do no harm. `check_room` sees that there is room for a `next`.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Generic, TypeVar

from deployer.core.stack import TAG
from deployer.edges.disk import point
from deployer.errors import DiskError

T = TypeVar("T")

_GIB = 1 << 30


class Slot(StrEnum):
    """The names; what has none of them is rubbish."""

    CURRENT = TAG
    NEXT = "next"
    PREVIOUS = "previous"


class Slots(ABC, Generic[T]):
    """Where the names are kept, and how packages move by them."""

    @abstractmethod
    def target(self, slot: Slot) -> T | None:
        """Return what the name leads to, None: nothing has it."""

    @abstractmethod
    def point(self, slot: Slot, target: T) -> None:
        """Let the name lead to `target` from now on."""

    @abstractmethod
    def drop(self, slot: Slot) -> None:
        """Take the name away, if it is there; what it led to stays."""

    def advance(self) -> None:
        """Make `next` the current one; nothing to do where there is none."""
        new, old = self.target(Slot.NEXT), self.target(Slot.CURRENT)
        if new is None:
            return
        # A `previous` that is there already is the last that was healthy: `old` never was.
        if old is not None and old != new and self.target(Slot.PREVIOUS) is None:
            self.point(Slot.PREVIOUS, old)
        self.point(Slot.CURRENT, new)
        self.drop(Slot.NEXT)

    def go_back(self, *, keep: bool = False) -> None:
        """Undo the last build, and what was advanced since the last `confirm`.

        `keep`: what was advanced is `next` again.
        """
        before, tried = self.target(Slot.PREVIOUS), self.target(Slot.CURRENT)
        if not keep:
            self.drop(Slot.NEXT)
        elif before is not None and tried is not None:
            self.point(Slot.NEXT, tried)
        if before is not None:
            self.point(Slot.CURRENT, before)
            self.drop(Slot.PREVIOUS)

    def healthy(self) -> T | None:
        """Return what `current` leads to; None: nothing, or what was not found healthy yet."""
        return None if self.target(Slot.PREVIOUS) is not None else self.target(Slot.CURRENT)

    def confirm(self) -> None:
        """Say that `current` was found healthy: there is nothing to go back to any more."""
        self.drop(Slot.PREVIOUS)


class LinkSlots(Slots[Path]):
    """Links beside the numbered directories they lead to, each moved by one rename.

    Each method raises DiskError.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def target(self, slot: Slot) -> Path | None:
        with self.writing(), suppress(FileNotFoundError):
            return self._directory / (self._directory / slot).readlink()
        return None

    def point(self, slot: Slot, target: Path) -> None:
        with self.writing():
            point(self._directory / slot, Path(target.name))

    def drop(self, slot: Slot) -> None:
        with self.writing():
            (self._directory / slot).unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say of what fails meanwhile that it is the disk's."""
        try:
            yield
        except OSError as exc:
            raise DiskError(
                f"the packages' directory {self._directory} can't be written: {exc}"
            ) from exc

    def moved_at(self, slot: Slot) -> float:
        """Return when the link was last moved, in seconds since the epoch; 0: there is none.

        A rename moves the change time of what is renamed, and nothing else does here.
        """
        try:
            return (self._directory / slot).lstat().st_ctime
        except FileNotFoundError:
            return 0.0

    def unused(self) -> Path:
        """Return the next number as a path; nothing is there yet."""
        self._directory.mkdir(parents=True, exist_ok=True)
        numbers = [int(entry.name) for entry in self._directory.iterdir() if entry.name.isdigit()]
        return self._directory / str(max(numbers, default=0) + 1)

    def remove_unnamed(self, in_use: Collection[Path] = ()) -> None:
        """Remove the numbered directories that no link leads to and that are not `in_use`."""
        named = {*in_use, *map(self.target, Slot)}
        with self.writing():
            found = list(self._directory.iterdir()) if self._directory.exists() else []
        for entry in found:
            if entry.name.isdigit() and entry not in named:
                shutil.rmtree(entry, ignore_errors=True)


def check_room(directory: Path, needs_bytes: int, free_some: str) -> None:
    """See that the disk of `directory` has room for a build: if not, no author is to blame.

    Raises:
        DiskError: with both figures, and how to `free_some`.
    """
    try:
        free = shutil.disk_usage(directory).free
    except OSError:  # on another machine
        return
    if free < needs_bytes:
        raise DiskError(
            f"{directory} has {free / _GIB:.1f} GiB free and a build of packages needs "
            f"{needs_bytes / _GIB:.1f} GiB: free some with {free_some}or a larger disk"
        )
