"""gunicorn's threaded worker, made deaf to slow clients.

Stock gthread gives a connection to a thread at its first byte; the thread then reads
with no time limit, so as many clients as there are threads, each sending a byte now and
then, stop all deliveries (gunicorn 27.0, workers/gthread.py `handle`). And closing one
politely blocks the accepting loop for up to 2 s (`finish_request`, util.close_graceful).

Here the event loop collects requests, and a thread gets one only when all of it has
arrived: a thread never waits for a client. Whoever is too slow, or holds the oldest
unfinished request when room runs out, is cut off.

Deliveries that arrived together are answered together by one thread, so that they share a
commit to disk. With a thread for each, a burst spent two thirds of its processor time on
switching between them. Pages have threads of their own, gunicorn's.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from deployer.web.answering import Connection, answer
from deployer.web.framing import Arrival

REQUEST_S = 10.0
"""For one whole request, from its first byte. GitHub gives up after 10 s itself."""

ANSWER_S = 30.0
"""For the application and for sending what it answers."""

LINGER_S = 2.0
"""After closing our side, for the client to read the answer and close its own."""

HELD_LIMIT = 64 * 1024 * 1024
"""Bytes of unfinished requests in memory, all connections together."""

BATCHES = 2
"""Batches of deliveries in threads at once: one is parsed while the other one is written."""

_RECEIVE = 64 * 1024  # bytes at a time
_SEND_BUFFER = 256 * 1024  # bytes; pages fit, so that a thread does not wait for slow readers
_HARMLESS = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}


class BufferingWorker(ThreadWorker):
    """See the module. The base class still accepts, owns the threads, and stops in good order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # gunicorn's
        super().__init__(*args, **kwargs)
        # Each connection is in one of these; dicts for their order: oldest first.
        self._collecting: dict[Connection, None] = {}
        self._answering: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._held = 0
        self._next_sweep = 0.0
        self._deliveries: list[Connection] = []  # whole, waiting for a thread
        self._batches = 0
        self._desk = ThreadPoolExecutor(BATCHES, thread_name_prefix="deliveries")

    # -- the way of a connection

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except OSError as exc:
            if exc.errno in _HARMLESS:
                return
            raise
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.nr_conns += 1
        conn = Connection(self.cfg, client, address, listener.getsockname())
        self._collect(conn, patience_s=REQUEST_S)
        self._make_room()

    def _collect(self, conn: Connection, *, patience_s: float) -> None:
        """Wait for a request; what the parser has read ahead is its beginning."""
        conn.deadline = time.monotonic() + patience_s
        self._watch(conn, self._collecting, self._on_arrival)
        ahead = conn.parser.unreader.take_buffered()
        if ahead:
            self._add(conn, ahead)

    def _on_arrival(self, conn: Connection, _: object) -> None:
        if conn not in self._collecting:
            return  # cut off in this very round, for another one's sake
        data = _receive(conn)
        if data:
            self._add(conn, data)
        elif data == b"":
            self._drop(conn, self._collecting)

    def _add(self, conn: Connection, data: bytes) -> None:
        if not conn.held:
            conn.deadline = time.monotonic() + REQUEST_S
        arrival = conn.inbox.add(data)
        conn.held += len(data)
        self._held += len(data)
        if arrival is Arrival.HEAD_TOO_LONG:
            self._refuse(conn, "431 Request Header Fields Too Large")
        elif arrival is Arrival.PARTIAL:
            if conn.inbox.expects_continue:
                conn.inbox.expects_continue = False
                _send(conn, "100 Continue\r\n")
            self._make_room()
        else:
            self._unwatch(conn, self._collecting)
            conn.whole = arrival is Arrival.WHOLE
            conn.deadline = time.monotonic() + ANSWER_S
            self._answering[conn] = None
            if conn.inbox.is_post:
                # Its socket stays non-blocking: an answer is short, and whoever has not read so
                # many of them that it does not fit is cut off instead of holding up the batch.
                self._deliveries.append(conn)
            else:
                conn.sock.setblocking(True)
                self._hand_over(self.tpool, [conn], self._on_answered)

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Do a round of the event loop."""
        super().wait_for_and_dispatch_events(timeout)
        if self._deliveries and self._batches < BATCHES:
            self._batches += 1
            batch, self._deliveries = self._deliveries, []
            self._hand_over(self._desk, batch, self._on_batch_answered)

    def _hand_over(
        self,
        pool: ThreadPoolExecutor,
        conns: list[Connection],
        then: Callable[[list[Connection], list[bool]], None],
    ) -> None:
        """Have a thread answer one request of each, then the event loop go on with them."""

        def done(future: Future[list[bool]]) -> None:
            kept = [False] * len(conns) if future.exception() else future.result()
            self.method_queue.defer(then, conns, kept)

        pool.submit(answer, self, conns).add_done_callback(done)

    def _on_batch_answered(self, conns: list[Connection], kept: list[bool]) -> None:
        self._batches -= 1
        self._on_answered(conns, kept)

    def _on_answered(self, conns: list[Connection], kept: list[bool]) -> None:
        for conn, keep in zip(conns, kept, strict=True):
            del self._answering[conn]
            self._release(conn)
            if keep:
                patience_s = float(self.cfg.keepalive if self.alive else LINGER_S)
                self._collect(conn, patience_s=patience_s)
            else:
                self._linger(conn)

    def _linger(self, conn: Connection) -> None:
        """Close our side and swallow what still comes.

        Closing at once would reset the connection if there are bytes unread, and the reset
        may overtake the answer (RFC 9112, 9.6).
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.deadline = time.monotonic() + LINGER_S
        self._watch(conn, self._lingering, self._on_leftover)

    def _on_leftover(self, conn: Connection, _: object) -> None:
        if conn in self._lingering and _receive(conn) == b"":
            self._drop(conn, self._lingering)

    # -- bounds

    def _make_room(self) -> None:
        """Cut off whoever has been at it for longest, while there are too many or too much."""
        while self._collecting and (
            self.nr_conns >= self.worker_connections or self._held > HELD_LIMIT
        ):
            self._drop(next(iter(self._collecting)), self._collecting)

    def murder_pending(self) -> None:
        """Once a second: cut off what is over its time. The base class calls it in each round."""
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + 1
        for conn in _overdue(self._collecting, now):
            if conn.held:
                self._refuse(conn, "408 Request Timeout")
            else:
                self._drop(conn, self._collecting)
        for conn in _overdue(self._lingering, now):
            self._drop(conn, self._lingering)
        for conn in _overdue(self._answering, now):
            # The thread's send fails, and _on_answered does the rest.
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)

    def _cap_keepalive(self, deadline: float) -> None:
        """Stopping: whoever has not begun a request has until `deadline` to begin one."""
        for conn in self._collecting:
            if not conn.held:
                conn.deadline = min(conn.deadline, deadline)

    def _refuse(self, conn: Connection, status: str) -> None:
        self._unwatch(conn, self._collecting)
        self._release(conn)
        _send(conn, f"{status}\r\nConnection: close\r\nContent-Length: 0\r\n")
        self._linger(conn)

    # -- housekeeping

    def _watch(
        self,
        conn: Connection,
        group: dict[Connection, None],
        callback: Callable[[Connection, object], None],
    ) -> None:
        conn.sock.setblocking(False)
        group[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(callback, conn))

    def _unwatch(self, conn: Connection, group: dict[Connection, None]) -> None:
        self.poller.unregister(conn.sock)
        del group[conn]

    def _drop(self, conn: Connection, group: dict[Connection, None]) -> None:
        self._unwatch(conn, group)
        self._release(conn)
        self._close(conn)

    def _release(self, conn: Connection) -> None:
        self._held -= conn.held
        conn.held = 0

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.sock.close()


def _overdue(group: dict[Connection, None], now: float) -> Iterator[Connection]:
    return iter([conn for conn in group if conn.deadline < now])


def _receive(conn: Connection) -> bytes | None:
    """Return what is there; None: nothing yet; empty: the client has gone."""
    try:
        return conn.sock.recv(_RECEIVE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send(conn: Connection, status_and_headers: str) -> None:
    """Send a short answer without a body, or a part of it if the client does not read."""
    with suppress(OSError):
        conn.sock.send(f"HTTP/1.1 {status_and_headers}\r\n".encode())
