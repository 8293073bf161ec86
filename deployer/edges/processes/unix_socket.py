"""Unix sockets by their place in the file system, however deep that lies."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUN_PATH = 107
"""Bytes that an AF_UNIX address takes, its closing NUL left out (man 7 unix)."""

_MODE = 0o660
"""Who connects runs as another user, in the socket's group."""


def bind(listener: socket.socket, path: Path) -> None:
    """Give `listener` the address `path`; a socket that a dead process left there is replaced.

    Bound beside its place, then renamed into it: at no moment is there no socket that the group
    may use. Dying between the two leaves what the next one removes.

    Raises:
        OSError: no such folder, or no right to write there.
    """
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with address_of(fresh) as address:
        listener.bind(address)
    fresh.chmod(_MODE)
    fresh.replace(path)


@contextmanager
def address_of(path: Path) -> Iterator[str]:
    """Give an address of `path` that fits into AF_UNIX."""
    if len(os.fsencode(path)) <= _SUN_PATH:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
