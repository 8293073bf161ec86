"""The doorbell between the web process and the worker: a Unix datagram socket.

A ring carries nothing; what is to be done stands in the journal. One that gets lost
is made up for by the worker's next look, so ringing never fails and never waits.

`bind` and `address_of` find any Unix socket by its place in the file system, however deep that
lies.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from deployer.errors import OperatorError

PLACE = "doorbell.sock"
"""Under the state directory."""
_BURST = 10_000
"""Rings swallowed at once at most, so that somebody who rings for ever can't hold the worker."""
_SUN_PATH = 107
"""Bytes that an AF_UNIX address takes, its closing NUL left out (man 7 unix)."""

_MODE = 0o660
"""Who connects runs as another user, in the socket's group."""


class Doorbell:
    """The button. Safe to share between threads and across a fork."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # Never connected: each ring looks the path up, and finds the worker of that moment.
        self._socket = _datagram_socket()

    def ring(self) -> None:
        """Wake the worker if it listens."""
        # OSError covers all that may be: nobody has bound it yet (ENOENT), nobody listens any
        # more (ECONNREFUSED), the queue is full of rings not heard yet (EAGAIN).
        with suppress(OSError), address_of(self._path) as address:
            self._socket.sendto(b"\0", address)

    def close(self) -> None:
        self._socket.close()


class DoorbellListener:
    """The bell. One process listens; a socket that a dead one left behind is replaced.

    Raises:
        OperatorError: `path` can't be bound (no such folder, no right to write there).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket = self._bound()

    def _bound(self) -> socket.socket:
        made = _datagram_socket()
        try:
            bind(made, self._path)
        except OSError as exc:
            made.close()
            raise OperatorError(
                f"the doorbell {self._path} can't be bound: {exc.strerror}; see DEPLOYER_STATE_DIR"
            ) from exc
        return made

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as it has rung since the last call, False after `timeout_s`.

        However often it rang, that is one True. A socket that somebody removed is made anew.

        Raises:
            OperatorError: it can't be.
        """
        if not self._path.exists():
            removed, self._socket = self._socket, self._bound()
            removed.close()
        if not select.select([self._socket], [], [], max(timeout_s, 0))[0]:
            return False
        with suppress(BlockingIOError):
            for _ in range(_BURST):
                self._socket.recv(1)
        return True

    def close(self) -> None:
        """Stop listening; the socket's file stays, for the next listener to replace."""
        self._socket.close()


def _datagram_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def bind(listener: socket.socket, path: Path) -> None:
    """Give `listener` the address `path`; a socket that a dead process left there is replaced.

    One that lives is not: whoever removed the lock of a worker has not ended it.

    Bound beside its place, then renamed into it: at no moment is there no socket that the group
    may use. Dying between the two leaves what the next one removes.

    Raises:
        OSError: no such folder, no right to write there, or another process listens there.
    """
    # Of a kind that no listener here is: it is told so (EPROTOTYPE) of one that lives, and no more.
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other, address_of(path) as address:
        if other.connect_ex(address) == errno.EPROTOTYPE:
            raise OSError(errno.EADDRINUSE, "another worker listens there")
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
