"""`current`, `next` and `previous` as links, beside the numbered directories they lead to."""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from deployer.edges.packages.slots import Slot


class LinkSlots:
    """Implements `slots.Slots`; each link is moved by one rename."""

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
