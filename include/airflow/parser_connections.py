"""A parser's process and its connections, seen from the class's dag-processor, all bounded.

What a student's code sends, how much of it, and what it leaves behind must neither end the loop nor
hold it up. Airflow's own handlers read (`airflow/sdk/execution_time/supervisor.py`, 3.3.2); these
stand between them and the parser.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Any

import structlog
from airflow.sdk.exceptions import ErrorType

log = structlog.get_logger(__name__)

REPLY_S = 1.0
"""For a parser that asks for a variable and does not read the answer: the loop waits for it."""
MOST_MESSAGE = 64 << 20
"""Bytes of what a parser asks or brings at once."""
MOST_LINES, MOST_LOGGED = 1_000, 64 << 10
"""Lines and bytes of what it writes that are logged."""
_LENGTH = 4
_PIECE, _CHUNK = 1 << 10, 1 << 18
_UNANSWERED = ErrorType.API_SERVER_ERROR.value.encode()
"""In place of an answer (airflow/sdk/execution_time/supervisor.py, handle_requests)."""


def leave_servers() -> None:
    """Have this process, a fork, hold no connection of its parent to a server: the database, say.

    What a student's code writes to one ends it, for the parent in the middle of what it does.
    Those have an address at their other end; the socket pairs of a parser have none. The numbers
    stay taken: else who had one would close what a file has opened under it.
    """
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        with suppress(OSError):  # it is no socket, or leads nowhere
            end = socket.socket(fileno=number)
            try:
                to_server = bool(end.getpeername())
            finally:
                end.detach()
            if to_server:
                os.dup2(nothing, number, inheritable=False)
    os.close(nothing)


class Guarded(selectors.DefaultSelector):  # type: ignore[misc, valid-type]  # an alias
    """A selector none of whose handlers raises: a parser can send what its reader chokes on.

    To Airflow it then looks as if that parser had closed the connection.
    """

    def register(
        self,
        fileobj: Any,  # noqa: ANN401  # the base's
        events: int,
        data: Any = None,  # noqa: ANN401  # the base's
    ) -> selectors.SelectorKey:
        if isinstance(data, tuple):
            handler, on_close = data
            data = (_safe(handler), on_close)
        return super().register(fileobj, events, data)


def _safe(handler: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def handle(fileobj: Any) -> bool:  # noqa: ANN401  # whatever was registered
        try:
            return handler(fileobj)
        except Exception as exc:  # noqa: BLE001  # whatever a student's code sent
            log.warning("A parser is not understood, its connection is closed: %.500r", exc)
            return False

    return handle


class Requests:
    """A parser's connection for what it asks and brings, bounded on both ways.

    Airflow makes room for as much as a message says that it has, and waits until an answer is
    read (airflow/sdk/execution_time/supervisor.py, length_prefixed_frame_reader and send_msg).

    Attributes:
        end: this side's socket.
        fault: why it was given up; empty: it is in order.
        unanswered: Airflow itself failed to answer something, or to do so in time.
    """

    def __init__(self, end: socket.socket, pid: int) -> None:
        end.settimeout(REPLY_S)
        self.end = end
        self.fault = ""
        self.unanswered = False
        self._pid = pid
        self._length = b""

    def recv(self, size: int) -> bytes:
        """Read of what a message begins with: its length in four bytes."""
        data = self.end.recv(size)
        self._length += data
        if len(self._length) == _LENGTH:
            length, self._length = int.from_bytes(self._length, "big"), b""
            if length > MOST_MESSAGE:
                self._give_up(f"it sends {length} bytes at once, {MOST_MESSAGE} are read at most")
                raise BrokenPipeError(self.fault)
        return data

    def recv_into(self, buffer: memoryview) -> int:
        """Read of its rest."""
        return self.end.recv_into(buffer)

    def sendall(self, data: bytes) -> None:
        self.unanswered = self.unanswered or _UNANSWERED in data
        if not self.fault:
            try:
                self.end.sendall(data)
            except TimeoutError:
                self._give_up("it asks for variables or connections, and does not read the answers")
        if self.fault:
            raise BrokenPipeError(self.fault)

    def close(self) -> None:
        self.end.close()

    def _give_up(self, fault: str) -> None:
        self.fault = fault
        # Nobody but this thread reaps it, so that its number is nobody else's yet.
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)


class Output:
    """What a parser writes, of which the first lines are logged.

    Airflow takes 0.3 ms for a line, and nobody else is heard meanwhile.
    """

    def __init__(self, end: socket.socket, handler: Callable[[Any], bool]) -> None:
        self._end = end
        self._handler = handler
        self._lines, self._bytes = MOST_LINES, MOST_LOGGED

    def handle(self, _: socket.socket) -> bool:
        """Read some more of it; return whether it goes on."""
        if self._lines > 0 and self._bytes > 0:
            return self._handler(self)
        return bool(self._end.recv(_CHUNK))

    def recv_into(self, buffer: bytearray) -> int:
        size = self._end.recv_into(buffer, min(len(buffer), _PIECE))
        self._lines -= buffer.count(b"\n", 0, size)
        self._bytes -= size
        if self._lines <= 0 or self._bytes <= 0:
            log.warning("A parser writes more than is logged")
        return size


def bound(process: Any, selector: selectors.BaseSelector) -> None:  # noqa: ANN401  # a DagFileProcessorProcess
    """Stand between Airflow's handlers and a parser that has just been started."""
    for end, kind in list(process._open_sockets.items()):  # noqa: SLF001  # nothing else has them
        if kind != "requests":
            handler, on_close = selector.get_key(end).data
            output = Output(end, handler)
            selector.modify(end, selectors.EVENT_READ, (output.handle, on_close))
    requests = process.stdin = Requests(process.stdin, process.pid)
    handler, on_close = selector.get_key(requests.end).data

    def handle(_: socket.socket) -> bool:
        return not requests.fault and handler(requests) and not requests.fault

    selector.modify(requests.end, selectors.EVENT_READ, (handle, on_close))

    def ended(end: FileIO) -> None:
        selector.unregister(end)
        hear_out(process)

    # Its connections do not tell that its process has ended.
    exited = FileIO(os.pidfd_open(process.pid))
    selector.register(exited, selectors.EVENT_READ, (lambda _: False, ended))


def kill(process: Any) -> None:  # noqa: ANN401  # likewise
    process.kill(signal.SIGKILL)
    hear_out(process)


def hear_out(process: Any) -> None:  # noqa: ANN401  # likewise
    """Read no more of a parser that has ended than it has written.

    What it started may hold its connections and go on: Airflow would read for ever
    (airflow/sdk/execution_time/supervisor.py, cleanup_sockets_after_kill).
    """
    for end in list(process._open_sockets):  # noqa: SLF001  # nothing else has them
        with suppress(OSError):
            end.shutdown(socket.SHUT_RD)
