"""Three names by which packages move: `next` was built, `current` is what Airflow starts on,
`previous` ran well before a `current` that is not yet found healthy.

What a name leads to is its holder's affair: an image, or a numbered directory (`LinkSlots`). In
the order of the steps below, dying between two of them leaves names with which the same calls
again do no harm.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeVar

T = TypeVar("T")


class Slot(StrEnum):
    """The names; what has none of them is rubbish."""

    CURRENT = "current"
    NEXT = "next"
    PREVIOUS = "previous"


class Slots(Protocol[T]):
    """Where the names are kept."""

    def target(self, slot: Slot) -> T | None:
        """Return what the name leads to, None: nothing has it."""

    def point(self, slot: Slot, target: T) -> None:
        """Let the name lead to `target` from now on."""

    def drop(self, slot: Slot) -> None:
        """Take the name away, if it is there; what it led to stays."""


def advance(slots: Slots[T]) -> None:
    """Make `next` the current one; nothing to do where there is none."""
    new, old = slots.target(Slot.NEXT), slots.target(Slot.CURRENT)
    if new is None:
        return
    # A `previous` that is there already is the last that was healthy: `old` never was.
    if old is not None and old != new and slots.target(Slot.PREVIOUS) is None:
        slots.point(Slot.PREVIOUS, old)
    slots.point(Slot.CURRENT, new)
    slots.drop(Slot.NEXT)


def go_back(slots: Slots[T]) -> bool:
    """Undo the last build and what was advanced since the last `confirm`; True: `current` moved."""
    slots.drop(Slot.NEXT)
    before = slots.target(Slot.PREVIOUS)
    if before is None:
        return False
    slots.point(Slot.CURRENT, before)
    slots.drop(Slot.PREVIOUS)
    return True


def healthy(slots: Slots[T]) -> T | None:
    """Return what `current` leads to; None: nothing, or what was not found healthy yet."""
    return None if slots.target(Slot.PREVIOUS) is not None else slots.target(Slot.CURRENT)


def confirm(slots: Slots[T]) -> None:
    """Say that `current` was found healthy: there is nothing to go back to any more."""
    slots.drop(Slot.PREVIOUS)


class LinkSlots:
    """`Slots` as links beside the numbered directories they lead to, each moved by one rename."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def target(self, slot: Slot) -> Path | None:
        try:
            return self._directory / (self._directory / slot).readlink()
        except FileNotFoundError:
            return None

    def point(self, slot: Slot, target: Path) -> None:
        new = self._directory / f"{slot}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(target.name)
        new.replace(self._directory / slot)

    def drop(self, slot: Slot) -> None:
        (self._directory / slot).unlink(missing_ok=True)

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
        for entry in self._directory.iterdir() if self._directory.exists() else ():
            if entry.name.isdigit() and entry not in named:
                shutil.rmtree(entry, ignore_errors=True)
