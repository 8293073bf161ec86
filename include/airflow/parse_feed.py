"""The dag-processor's end of the parse feed: one unix stream socket, one JSON object a line.

The deployer's worker listens at `<root>/feed/dag-processor.sock`, this end connects. It never
waits for the other and never raises: what can't be sent at once is kept up to a bound, a peer
that does not read is dropped, and where nobody listens it is tried again at each `connect`.
Everything may be told twice; whoever connects anew is told whatever it asks for.

First line from here, and from there (`feed` is the protocol's version; what an end of another
version says is passed over, and the worker says so):

    {"feed": 1, "airflow": "3.3.2", "life": "5f3a…", "release": "abc…", "unfit": null}
    {"feed": 1}

From there: go to the release, and have these files of it parsed, `first` before all else:

    {"ask": {"release": "abc…", "first": ["maria/weather.py"], "later": ["lasse/slow.py"]}}

From here: what a refresh listed, once deletions are done; and how each parse ended, asked for or
not. Files are named as Airflow names them, relative to the bundle; `ended` is `parsed`, `died`,
`timeout` or `refused` (by the database, in its words):

    {"listed": {"release": "abc…", "files": ["lasse/slow.py", …]}}
    {"result": {"release": "abc…", "file": "maria/weather.py", "ended": "parsed",
                "dag_ids": ["weather"], "errors": {"maria/weather.py": "Traceback …"},
                "warnings": ["…"], "seconds": 0.061, "code": null, "words": ""}}
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

VERSION = 1
PLACE = "feed/dag-processor.sock"
"""Under CHECKOUT_DIR, which Airflow's containers see read-only: to connect needs no more."""
MOST_UNSENT = 64 << 20
"""Bytes kept for a worker that is slow; beyond that it is dropped."""
MOST_UNREAD = 16 << 20
"""Bytes of one line."""
_CHUNK = 1 << 16
_AGAIN_S = 1.0

Message: TypeAlias = Mapping[str, Any]


def open_socket(path: Path) -> socket.socket | None:
    """Return a connection to whoever listens at `path`, None if nobody does.

    AF_UNIX takes 107 bytes of address (man 7 unix), so a deep one goes by its folder's descriptor.
    """
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            end.connect(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)
    except OSError:  # nobody yet, nobody any more, or a worker that does not accept
        end.close()
        return None
    return end


def be_unfit(path: Path, airflow: str, reason: str) -> None:
    """Tell every worker that comes by why no class's dag-processor runs here; never returns."""
    life = uuid.uuid4().hex
    while True:
        end = open_socket(path)
        if end is not None:
            with end, suppress(OSError):
                end.setblocking(True)
                hello = {"feed": VERSION, "airflow": airflow, "life": life, "release": None}
                end.sendall(line_of({**hello, "unfit": reason}))
                while end.recv(_CHUNK):
                    pass
        time.sleep(_AGAIN_S)


def line_of(message: Message) -> bytes:
    """Return a message as it goes over the wire."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


class Feed:
    """A connection that comes and goes.

    Args:
        path: where the worker listens.
        selector: of the dag-processor; reading and what is left to write happen in its loop.
        hello: makes this end's first line.
        heard: given each message of the other end, after its hello.
    """

    def __init__(
        self,
        path: Path,
        selector: selectors.BaseSelector,
        *,
        hello: Callable[[], Message],
        heard: Callable[[Message], None],
    ) -> None:
        self._path = path
        self._selector = selector
        self._hello = hello
        self._heard = heard
        self._socket: socket.socket | None = None
        self._unsent = bytearray()
        self._unread = bytearray()
        self._speaks: bool | None = None  # the other end our version; None: not yet greeted
        # A parser must not inherit it. Closed only: to unregister it there would take it out
        # of the one epoll that both processes share.
        os.register_at_fork(after_in_child=self._close)

    def connect(self) -> None:
        """Connect unless it is; to be called once in a while."""
        if self._socket is not None:
            return
        self._socket = open_socket(self._path)
        if self._socket is not None:
            self._unsent.clear()
            self._unread.clear()
            self._speaks = None
            self._register(selectors.EVENT_READ)
            self.tell(self._hello())

    def tell(self, message: Message) -> None:
        """Send, or keep for later, if anybody listens."""
        if self._socket is not None:
            self._unsent += line_of(message)
            self._flush()

    # -- inside

    def _flush(self) -> None:
        end = self._socket
        if end is None:
            return
        try:
            while self._unsent:
                del self._unsent[: end.send(memoryview(self._unsent)[:_CHUNK].tobytes())]
        except BlockingIOError:
            if len(self._unsent) > MOST_UNSENT:
                self._drop()
                return
        except OSError:
            self._drop()
            return
        self._register(selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0))

    def _register(self, events: int) -> None:
        end = self._socket
        assert end is not None  # noqa: S101  # both callers have one
        data = (self._serve, self._on_close)
        try:
            if self._selector.get_key(end).events != events:
                self._selector.modify(end, events, data)
        except KeyError:
            self._selector.register(end, events, data)

    def _serve(self, end: socket.socket) -> bool:
        """Write what is left, read what there is; return whether the connection is good."""
        self._flush()
        if self._socket is not end:
            return True  # dropped, closed and unregistered already
        try:
            while data := end.recv(_CHUNK):
                self._unread += data
                if len(self._unread) > MOST_UNREAD:
                    return False
        except BlockingIOError:
            return self._read()
        except OSError:
            return False
        return False

    def _read(self) -> bool:
        """Hand on the lines that are whole; return whether they are of the protocol."""
        *lines, rest = bytes(self._unread).split(b"\n")
        self._unread = bytearray(rest)
        for line in lines:
            try:
                message = json.loads(line)
                if self._speaks is None:
                    self._speaks = message["feed"] == VERSION
                elif self._speaks:
                    self._heard(message)
            except Exception:  # noqa: BLE001  # what is nested deeply ends in RecursionError, say
                return False
        return True

    def _on_close(self, _: socket.socket) -> None:
        """Forget the connection; the dag-processor's loop closes it."""
        if self._socket is not None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(self._socket)
            self._socket = None

    def _drop(self) -> None:
        end = self._socket
        if end is not None:
            self._on_close(end)
            end.close()

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
