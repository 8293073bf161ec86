"""Whether a disk has room for a build of packages: if not, no author is to blame."""

from __future__ import annotations

import shutil
from pathlib import Path

from deployer.errors import DiskError

_GIB = 1 << 30


def check_room(directory: Path, needs_bytes: int, free_some: str) -> None:
    """See that `directory` has room.

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
