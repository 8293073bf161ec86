"""The worker's end of the parse feed; `include/airflow/parse_feed.py` describes the wire.

A unix stream socket at which dag-processors connect. A thread of its own serves them, so that
neither side ever waits for the other: what can't be sent is kept up to a bound, a dag-processor
that does not read, or says what is not of the protocol, is dropped and may come again.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import struct
from collections import deque
from collections.abc import Collection, Mapping
from contextlib import suppress
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
LOOK_EVERY_S = 5.0
"""Between two looks whether the socket is still there: somebody may empty CHECKOUT_DIR."""
_UCRED = "3i"
"""pid, uid and gid of who connected (man 7 unix, SO_PEERCRED)."""
_ALONE, _WITH_GROUP = 0o2700, 0o2750


class _Connection(asyncio.Protocol):
    """One dag-processor, from its connecting to its leaving.

    Attributes:
        process: a descriptor of the process at the other end, None: none could be had.
    """

    process: int | None = None

    def __init__(self, feed: ParseFeedListener) -> None:
        self._feed = feed
        self.unread = bytearray()
        self.came: ProcessorCame | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - the loop's, of a stream
        self.transport = transport
        end = transport.get_extra_info("socket")
        pid = struct.unpack(_UCRED, end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        with suppress(OSError):  # in another world of processes, or ended already
            self.process = os.pidfd_open(pid)
        if self._feed.takes(self):
            self.say(_line({"feed": VERSION}))
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        self.unread += data
        try:
            if b"\n" in data:
                *lines, rest = bytes(self.unread).split(b"\n")
                self.unread = bytearray(rest)
                for line in lines:
                    self._feed.hear(self, json.loads(line))
        except Exception as exc:  # noqa: BLE001  # what is nested deeply ends in RecursionError, say
            self.drop(f"not of the protocol: {exc!r:.200}")
        self._feed.bound_unread()

    def eof_received(self) -> None:
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._feed.lose(self)

    def say(self, line: bytes) -> None:
        self.transport.write(line)
        if self.transport.get_write_buffer_size() > MOST_UNSENT:
            self.transport.abort()

    def drop(self, reason: str) -> None:
        log.warning("dag-processor dropped", reason=reason)
        self.transport.abort()


class ParseFeedListener:
    """Implements `ports.ParseFeed` at `path`.

    Args:
        path: where it listens; its folder is made.
        group: the one that Airflow's user is in, None: it is this user.

    Raises:
        AirflowError: it can't listen there.
    """

    def __init__(self, path: Path, *, group: int | None = None) -> None:
        self._path, self._group = path, group
        listener = _bound(path, group)
        self._news = Condition()
        self._told: deque[Told] = deque(maxlen=MOST_TOLD)
        self._nudged = False
        self._asked = b""
        self._connections: list[_Connection] = []
        self._left: dict[int, str] = {}
        """Lives of those that left, by the descriptors of their processes, which as a rule end a
        moment later."""
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._listen(listener))
        self._thread = Thread(target=self._loop.run_forever, name="parse-feed", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._server.close()
        for connection in self._connections:
            connection.came = None  # it did not leave
            connection.transport.abort()
        self._loop.run_until_complete(self._server.wait_closed())
        for process in [*self._left]:
            self._forget(process)
        self._loop.close()

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
        self._loop.call_soon_threadsafe(self._ask_all, self._asked)

    def rest(self) -> None:
        with self._news:
            self._told.clear()
            self._asked = b""

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

    async def _listen(self, listener: socket.socket) -> None:
        self._server = await self._loop.create_unix_server(lambda: _Connection(self), sock=listener)
        self._loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        """Listen anew where somebody removed the socket: who starts then would find none."""
        try:
            listener = None if self._path.exists() else _bound(self._path, self._group)
        except (AirflowError, OSError) as exc:
            log.warning("parse feed removed", reason=str(exc))
            listener = None
        if listener is None:
            self._loop.call_later(LOOK_EVERY_S, self._look)
            return
        log.warning("parse feed removed", reason="it listens again")
        self._server.close()
        self._listening = self._loop.create_task(self._listen(listener))

    def takes(self, connection: _Connection) -> bool:
        """Tell whether there is room for one more connection."""
        with self._news:
            self._connections.append(connection)
        return len(self._connections) <= MOST_CONNECTIONS

    def hear(self, connection: _Connection, message: Any) -> None:  # noqa: ANN401 - JSON
        if connection.came is None:
            self._greet(connection, _came(message))
        elif not connection.came.unfit and (told := _told(message)):
            with self._news:
                if self._asked:
                    self._tell(told)

    def bound_unread(self) -> None:
        if sum(len(connection.unread) for connection in self._connections) > MOST_UNREAD:
            largest = max(self._connections, key=lambda one: len(one.unread))
            largest.drop("a line without an end")

    def lose(self, connection: _Connection) -> None:
        with self._news:
            self._connections.remove(connection)
        came, process = connection.came, connection.process
        if not came or came.life in self.present():  # it may have come again meanwhile
            if process is not None:
                os.close(process)
            return
        log.info("dag-processor disconnected", life=came.life)
        self._tell(ProcessorLeft(came.life, ended=False))
        if process is None:
            return
        if len(self._left) >= MOST_LEFT:
            self._forget(next(iter(self._left)))
        self._left[process] = came.life
        self._loop.add_reader(process, self._end, process, came.life)  # man 2 pidfd_open

    def _ask_all(self, line: bytes) -> None:
        for connection in [c for c in self._connections if c.came]:
            connection.say(line)

    def _greet(self, connection: _Connection, came: ProcessorCame) -> None:
        log.info("dag-processor connected", life=came.life, airflow=came.airflow, unfit=came.unfit)
        for process in [process for process, life in self._left.items() if life == came.life]:
            self._forget(process)
        with self._news:
            connection.came = came
            self._tell(came)
            asked = self._asked
        connection.say(asked)

    def _end(self, process: int, life: str) -> None:
        self._forget(process)
        log.info("dag-processor ended", life=life)
        self._tell(ProcessorLeft(life, ended=True))

    def _forget(self, process: int) -> None:
        del self._left[process]
        self._loop.remove_reader(process)
        os.close(process)

    def _tell(self, told: Told) -> None:
        with self._news:
            self._told.append(told)
            self._news.notify_all()


def _bound(path: Path, group: int | None) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _make_folder(path.parent, group)
        bind(listener, path)
    except OSError as exc:
        listener.close()
        raise AirflowError(
            f"the parse feed can't listen at {path}: {exc.strerror}; see that the folder is"
            " the deployer's"
        ) from exc
    listener.listen()  # it has its name: asyncio itself would a moment later
    return listener


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
