"""Is a release on disk still what was published? Somebody may have edited it by hand.

What a file holds is compared with its blob id once, then only what `lstat` says of it: 3,000 files
take some 20 ms. Who sets size and time back after an edit is found at the next start.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from deployer.core.model import DAGS
from deployer.edges.releases.directory import Contents, blob_id

_READABLE: Final = 0o444
_PARSED: Final = (".py", ".zip", ".airflowignore")
"""What makes a difference in `dags/`; a bytecode cache or a task's output does not."""

_Known = tuple[str, int, int, int, int]  # blob, inode, size, mtime, mode


class ReleaseWatch:
    """For the files of one store, whose releases share them by hard links."""

    def __init__(self) -> None:
        self._good: dict[str, _Known] = {}

    def changed(self, release: Contents) -> frozenset[str]:
        """Return the paths that were edited, removed, made unreadable or added."""
        good: dict[str, _Known] = {}
        for path, blob in release.files.items():
            known = self._known(f"{release.root}/{path}", path, blob)
            if known:
                good[path] = known
        self._good = good
        return frozenset(release.files.keys() - good.keys()) | _added(release)

    def _known(self, place: str, path: str, blob: str) -> _Known | None:
        """Return what is known of a file that is as it was published."""
        try:
            there = os.lstat(place)
            known = (blob, there.st_ino, there.st_size, there.st_mtime_ns, there.st_mode)
            if known == self._good.get(path):
                return known
            readable = stat.S_ISREG(there.st_mode) and there.st_mode & _READABLE == _READABLE
            return known if readable and blob_id(Path(place).read_bytes()) == blob else None
        except OSError:
            return None


def _added(release: Contents) -> frozenset[str]:
    """Return what Airflow would parse and nobody pushed."""
    found = set()
    for folder, _, names in os.walk(release.root / DAGS):
        above = folder[len(str(release.root)) + 1 :]
        found |= {f"{above.rstrip('/')}/{name}" for name in names if name.endswith(_PARSED)}
    return frozenset(found - release.files.keys())
