"""The worker's end of the parse feed; `include/airflow/parse_feed.py` describes the wire.

A unix stream socket at which dag-processors connect. A thread of its own serves them, so that
neither side ever waits for the other: what can't be sent is kept up to a bound, a dag-processor
that does not read, or says what is not of the protocol, is dropped and may come again.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import stat
import struct
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import structlog

from deployer.core.model import (
    DAGS,
    Listed,
    ParseEnd,
    ParseResult,
    ProcessorCame,
    ProcessorLeft,
    Told,
)
from deployer.edges.processes.doorbell import bind
from deployer.errors import AirflowError

log = structlog.get_logger()

VERSION = 1
PLACE = "feed/dag-processor.sock"
"""Under CHECKOUT_DIR, of which Airflow's containers have a read-only mount: enough to connect."""
MOST_UNSENT = 64 << 20
MOST_UNREAD = 64 << 20
"""Bytes of lines without an end, of all connections: a student's task may make any number."""
MOST_CONNECTIONS = 64
MOST_TOLD = 100_000
"""Things told that nobody has taken yet; the oldest go, and would be told again if asked for."""
MOST_LEFT = 64
"""Processes that closed their connection and have not ended, whose end would be told."""
_CHUNK = 1 << 18
_UCRED = "3i"
"""pid, uid and gid of who connected (man 7 unix, SO_PEERCRED)."""
_ALONE, _WITH_GROUP = 0o2700, 0o2750


class _Connection:
    """One dag-processor, from its connecting to its leaving.

    Attributes:
        process: a descriptor of the process at the other end, -1: none could be had.
    """

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self.unsent = bytearray()
        self.unread = bytearray()
        self.came: ProcessorCame | None = None
        pid = struct.unpack(_UCRED, end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        try:
            self.process = os.pidfd_open(pid)
        except OSError:  # in another world of processes, or ended already
            self.process = -1

    def close(self) -> None:
        self.end.close()
        if self.process >= 0:
            os.close(self.process)


class ParseFeedListener:
    """Implements `ports.ParseFeed` at `path`.

    Args:
        path: where it listens; its folder is made.
        group: the one that Airflow's user is in, None: it is this user.

    Raises:
        AirflowError: it can't listen there.
    """

    def __init__(self, path: Path, *, group: int | None = None) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            _make_folder(path.parent, group)
            bind(self._listener, path)
        except OSError as exc:
            self._listener.close()
            raise AirflowError(
                f"the parse feed can't listen at {path}: {exc.strerror}; see that the folder is"
                " the deployer's"
            ) from exc
        self._listener.listen()
        self._news = Condition()
        self._told: deque[Told] = deque(maxlen=MOST_TOLD)
        self._nudged = False
        self._asked: bytes | None = None
        self._connections: list[_Connection] = []
        self._left: dict[int, str] = {}
        """Lives of those that left, by the descriptors of their processes, which as a rule end a
        moment later."""
        self._closing = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._thread = Thread(target=self._serve, name="parse-feed", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._closing = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)  # not in the thread, which may have seen the end before it is woken

    # -- ports.ParseFeed

    def present(self) -> Mapping[str, ProcessorCame]:
        with self._news:
            found = [connection.came for connection in self._connections]
            return {came.life: came for came in found if came}

    def ask(self, release: str, *, first: Collection[str], later: Collection[str] = ()) -> None:
        wanted = {"release": release, "first": _names(first), "later": _names(later)}
        with self._news:
            self._told.clear()
            self._asked = _line({"ask": wanted})
        os.eventfd_write(self._wake, 1)

    def rest(self) -> None:
        with self._news:
            self._told.clear()
            self._asked = None

    def wait(self, timeout_s: float) -> tuple[Told, ...]:
        with self._news:
            self._news.wait_for(lambda: self._told or self._nudged, max(timeout_s, 0))
            self._nudged = False
            told = tuple(self._told)
            self._told.clear()
            return told

    def nudge(self) -> None:
        with self._news:
            self._nudged = True
            self._news.notify_all()

    # -- in the thread

    def _serve(self) -> None:
        said: bytes | None = None
        with self._selector, self._listener:
            self._watch(self._listener, self._accept)
            self._watch(self._wake, partial(os.eventfd_read, self._wake))
            while not self._closing:
                for key, _ in self._selector.select():
                    key.data()
                with self._news:
                    asked = self._asked
                if asked is not said:
                    said = asked
                    for connection in [c for c in self._connections if c.came]:
                        self._send(connection, asked or b"")
        for connection in self._connections:
            connection.close()
        for process in self._left:
            os.close(process)

    def _watch(self, what: socket.socket | int, handle: Callable[[], object]) -> None:
        self._selector.register(what, selectors.EVENT_READ, handle)

    def _accept(self) -> None:
        with suppress(OSError):
            end, _ = self._listener.accept()
            if len(self._connections) >= MOST_CONNECTIONS:
                end.close()
                return
            end.setblocking(False)
            connection = _Connection(end)
            with self._news:
                self._connections.append(connection)
            self._watch(end, partial(self._attend, connection))
            self._send(connection, _line({"feed": VERSION}))

    def _attend(self, connection: _Connection) -> None:
        """Read some of what there is, write what is left; then it is the others' turn."""
        try:
            if data := connection.end.recv(_CHUNK):
                connection.unread += data
                if b"\n" in data:
                    self._read(connection)
                self._drop_the_largest()
                self._send(connection, b"")
                return
        except BlockingIOError:
            self._send(connection, b"")
            return
        except OSError:
            pass
        except Exception as exc:  # noqa: BLE001  # what is nested deeply ends in RecursionError, say
            log.warning("dag-processor dropped", reason=f"not of the protocol: {exc!r:.200}")
        self._leave(connection)

    def _read(self, connection: _Connection) -> None:
        *lines, rest = bytes(connection.unread).split(b"\n")
        connection.unread = bytearray(rest)
        for line in lines:
            message = json.loads(line)
            if connection.came is None:
                self._greet(connection, _came(message))
            elif not connection.came.unfit and (told := _told(message)):
                with self._news:
                    if self._asked:
                        self._tell(told)

    def _drop_the_largest(self) -> None:
        if sum(len(connection.unread) for connection in self._connections) > MOST_UNREAD:
            log.warning("dag-processor dropped", reason="a line without an end")
            self._leave(max(self._connections, key=lambda one: len(one.unread)))

    def _greet(self, connection: _Connection, came: ProcessorCame) -> None:
        log.info("dag-processor connected", life=came.life, airflow=came.airflow, unfit=came.unfit)
        for process in [process for process, life in self._left.items() if life == came.life]:
            self._forget(process)
        with self._news:
            connection.came = came
            self._tell(came)
            asked = self._asked
        self._send(connection, asked or b"")

    def _send(self, connection: _Connection, line: bytes) -> None:
        if connection not in self._connections:
            return
        connection.unsent += line
        try:
            while connection.unsent:
                sent = connection.end.send(bytes(connection.unsent[:_CHUNK]))
                del connection.unsent[:sent]
        except BlockingIOError:
            if len(connection.unsent) > MOST_UNSENT:
                self._leave(connection)
                return
        except OSError:
            self._leave(connection)
            return
        write = selectors.EVENT_WRITE if connection.unsent else 0
        key = self._selector.get_key(connection.end)
        if key.events != selectors.EVENT_READ | write:
            self._selector.modify(connection.end, selectors.EVENT_READ | write, key.data)

    def _leave(self, connection: _Connection) -> None:
        if connection not in self._connections:
            return
        self._selector.unregister(connection.end)
        with self._news:
            self._connections.remove(connection)
        came, process = connection.came, connection.process
        if not came or came.life in self.present():  # it may have come again meanwhile
            connection.close()
            return
        connection.end.close()
        log.info("dag-processor disconnected", life=came.life)
        self._tell(ProcessorLeft(came.life, ended=False))
        if process < 0:
            return
        if len(self._left) >= MOST_LEFT:
            self._forget(next(iter(self._left)))
        self._left[process] = came.life
        self._watch(process, partial(self._end, process, came.life))  # man 2 pidfd_open

    def _end(self, process: int, life: str) -> None:
        if self._left.get(process) != life:  # forgotten in this same turn of the loop
            return
        self._forget(process)
        log.info("dag-processor ended", life=life)
        self._tell(ProcessorLeft(life, ended=True))

    def _forget(self, process: int) -> None:
        del self._left[process]
        self._selector.unregister(process)
        os.close(process)

    def _tell(self, told: Told) -> None:
        with self._news:
            self._told.append(told)
            self._news.notify_all()


def _make_folder(folder: Path, group: int | None) -> None:
    """Make the folder of the socket for this user and `group`, and for nobody else."""
    folder.mkdir(parents=True, exist_ok=True)
    if group is None:
        folder.chmod(_ALONE)
        return
    if folder.stat().st_gid != group:
        try:
            os.chown(folder, -1, group)
        except PermissionError:
            log.warning(
                "Airflow can't reach the parse feed",
                folder=str(folder),
                mending=f"chgrp {group} {folder} && chmod 2750 {folder}",
            )
    # Who is not in that group would take the bit away that gives it to the socket (man 2 chmod).
    if stat.S_IMODE(folder.stat().st_mode) != _WITH_GROUP:
        folder.chmod(_WITH_GROUP)


def _line(message: Mapping[str, object]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def _names(paths: Collection[str]) -> list[str]:
    return [path.removeprefix(DAGS) for path in sorted(paths)]


def _came(message: Mapping[str, Any]) -> ProcessorCame:
    unfit = str(message.get("unfit") or "")
    if message["feed"] != VERSION:
        unfit = (
            f"it speaks version {message['feed']} of the parse feed, this deployer {VERSION}: "
            "build Airflow's image anew with this deployer's files and recreate it"
        )
    return ProcessorCame(str(message.get("life")), str(message.get("airflow")), unfit)


def _told(message: Mapping[str, Any]) -> Told | None:
    """Return what a line says, None for what a newer one may say beside."""
    if "listed" in message:
        listed = message["listed"]
        return Listed(listed["release"], frozenset(DAGS + name for name in listed["files"]))
    if "result" not in message:
        return None
    result = message["result"]
    return ParseResult(
        release=str(result["release"]),
        path=DAGS + result["file"],
        end=ParseEnd(result["ended"]),
        dag_ids=tuple(map(str, result["dag_ids"])),
        errors={DAGS + name: str(text) for name, text in result["errors"].items()},
        warnings=tuple(map(str, result["warnings"])),
        seconds=float(result["seconds"]),
        code=int(result["code"] or 0),
        words=str(result["words"]),
    )
