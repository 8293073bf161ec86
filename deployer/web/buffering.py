"""gunicorn's threaded worker, made deaf to slow clients and quick with deliveries.

Stock gthread gives a connection to a thread at its first byte; the thread then reads
with no time limit, so as many clients as there are threads, each sending a byte now and
then, stop all deliveries (gunicorn 27.0, workers/gthread.py `handle`). And closing one
politely blocks the accepting loop for up to 2 s (`finish_request`, util.close_graceful).

Here the event loop collects requests, and a thread gets one only when all of it has
arrived: a thread never waits for a client. Whoever is too slow, or holds the oldest
unfinished request when room runs out, is cut off.

Deliveries have one thread, which takes all that have arrived at a time: they share a
commit to disk. With a thread for each, a burst spent most of its processor time on
switching between them. All else is answered by gunicorn's own threads, one request in each.
"""

from __future__ import annotations

import errno
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from selectors import EVENT_READ
from typing import TYPE_CHECKING, Any, cast

from gunicorn.http import Request
from gunicorn.http.parser import RequestParser
from gunicorn.workers.gthread import TConn, ThreadWorker

from deployer.web import plain
from deployer.web.framing import Arrival, Inbox

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

REQUEST_S = 10.0
"""For one whole request, from its first byte. GitHub gives up after 10 s itself."""

ANSWER_S = 30.0
"""For the application, and for a client to take what it answers."""

LINGER_S = 2.0
"""After closing our side, for the client to read the answer and close its own."""

HELD_LIMIT = 64 * 1024 * 1024
"""Bytes of unfinished requests in memory, all connections together."""

BATCH_SIZE = 64
"""So many deliveries are not made to wait for more."""

_RECEIVE = 64 * 1024  # bytes at a time
_HARMLESS = {errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED}


class Connection(TConn):
    """One client.

    Attributes:
        inbox: what it has sent and nobody has read.
        watched: the event loop is told when it can be read.
        held: bytes of the request being collected or answered.
        whole: all of the request that a thread has is here, so another may follow it.
        deadline: on the monotonic clock, for whatever the connection is doing now.
    """

    parser: RequestParser

    def __init__(self, *args: Any) -> None:  # noqa: ANN401  # gunicorn's to define
        super().__init__(*args)
        self.inbox = Inbox()
        self.parser = RequestParser(self.cfg, self.inbox, self.client)
        self.initialized = True  # else gunicorn makes a parser that reads the socket
        self.watched = False
        self.held = 0
        self.whole = False
        self.deadline = 0.0


class BufferingWorker(ThreadWorker):
    """See the module. The base class accepts, answers what is not plain, stops in good order."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # gunicorn's
        super().__init__(*args, **kwargs)
        # Each connection is in one of these; dicts for their order: oldest first.
        self._collecting: dict[Connection, None] = {}
        self._answering: dict[Connection, None] = {}
        self._lingering: dict[Connection, None] = {}
        self._held = 0
        self._next_sweep = 0.0
        self._deliveries: list[tuple[Connection, WSGIEnvironment]] = []  # waiting for their thread
        self._busy = False  # that thread is
        self._desk = ThreadPoolExecutor(1, thread_name_prefix="deliveries")

    # -- a request arrives

    def accept(self, listener: socket.socket) -> None:
        try:
            client, address = listener.accept()
        except OSError as exc:
            if exc.errno in _HARMLESS:
                return
            raise
        self.nr_conns += 1
        conn = Connection(self.cfg, client, address, listener.getsockname())
        self._collect(conn, patience_s=REQUEST_S)
        self._make_room()

    def _collect(self, conn: Connection, *, patience_s: float) -> None:
        """Wait for a request; what the parser has read ahead is its beginning."""
        conn.deadline = time.monotonic() + patience_s
        self._collecting[conn] = None
        self._watch(conn)
        ahead = conn.parser.unreader.take_buffered()
        if ahead:
            self._add(conn, ahead)

    def _on_readable(self, conn: Connection, _: object) -> None:
        if conn in self._collecting:
            data = _receive(conn)
            if data:
                self._add(conn, data)
            elif data == b"":
                self._drop(conn, self._collecting)
        elif conn in self._lingering:
            if _receive(conn) == b"":
                self._drop(conn, self._lingering)
        elif conn.watched:  # it sends before it is answered, or was cut off in this very round
            self._unwatch(conn)

    def _add(self, conn: Connection, data: bytes) -> None:
        if not conn.held:
            conn.deadline = time.monotonic() + REQUEST_S
        conn.held += len(data)
        self._held += len(data)
        arrival = conn.inbox.add(data)
        if arrival is Arrival.HEAD_TOO_LONG:
            self._refuse(conn, "431 Request Header Fields Too Large")
        elif arrival is Arrival.PARTIAL:
            if conn.inbox.expects_continue:
                conn.inbox.expects_continue = False
                _send(conn, b"HTTP/1.1 100 Continue\r\n\r\n")
            self._make_room()
        else:
            del self._collecting[conn]
            conn.whole = arrival is Arrival.WHOLE
            self._begin(conn)

    # -- and is answered

    def _begin(self, conn: Connection) -> None:
        conn.deadline = time.monotonic() + ANSWER_S
        self._answering[conn] = None
        delivery = plain.read(conn.inbox.peek()) if conn.whole else None
        if delivery is None:
            self.enqueue_req(conn)
        else:
            next(conn.inbox)
            self._deliveries.append((conn, delivery))

    def wait_for_and_dispatch_events(self, timeout: float | None) -> None:
        """Do a round of the event loop; deliveries become a batch once a round brings no more."""
        before = len(self._deliveries)
        may_begin = before > 0 and not self._busy
        super().wait_for_and_dispatch_events(0 if may_begin else timeout)
        if may_begin and (len(self._deliveries) == before or before >= BATCH_SIZE):
            self._busy = True
            conns, environs = zip(*self._deliveries, strict=True)
            self._deliveries = []
            app = cast("WSGIApplication", self.wsgi)  # the stub's is wider than PEP 3333
            self._desk.submit(plain.answer, app, environs).add_done_callback(
                partial(self.method_queue.defer, self._on_batch_answered, conns)
            )

    def notify(self) -> None:
        """Show gunicorn's master a sign of life. The base class calls it in each round."""
        if time.monotonic() >= self._next_sweep:
            super().notify()

    def _on_batch_answered(
        self, conns: tuple[Connection, ...], answers: Future[list[bytes]]
    ) -> None:
        self._busy = False
        failure = answers.exception()
        if failure is not None:
            self.log.error("a batch of deliveries failed", exc_info=failure)
        for number, conn in enumerate(conns):
            # Never blocks: whoever has left so many answers unread that it does not fit is cut off.
            self._go_on(conn, keep=failure is None and _send(conn, answers.result()[number]))

    def handle_request(self, req: Request, conn: TConn) -> bool:
        """Answer in one of gunicorn's threads."""
        if isinstance(conn, Connection) and not conn.whole:
            req.force_close()
        return super().handle_request(req, conn)

    def finish_request(self, conn: TConn, fs: Future[bool]) -> None:
        """Go on after one of gunicorn's threads; called in the event loop."""
        assert isinstance(conn, Connection)  # noqa: S101  # accept makes no other
        kept = not fs.cancelled() and fs.exception() is None and bool(fs.result())
        self._go_on(conn, keep=kept and conn.whole)

    def _go_on(self, conn: Connection, *, keep: bool) -> None:
        del self._answering[conn]
        self._release(conn)
        if keep:
            self._collect(conn, patience_s=float(self.cfg.keepalive if self.alive else LINGER_S))
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
        self._lingering[conn] = None
        self._watch(conn)

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
        for conn in [conn for conn in self._collecting if conn.deadline < now]:
            if conn.held:
                self._refuse(conn, "408 Request Timeout")
            else:
                self._drop(conn, self._collecting)
        for conn in [conn for conn in self._lingering if conn.deadline < now]:
            self._drop(conn, self._lingering)
        for conn in [conn for conn in self._answering if conn.deadline < now]:
            # A thread's send fails, and the connection goes its way.
            with suppress(OSError):
                conn.sock.shutdown(socket.SHUT_RDWR)

    def _cap_keepalive(self, deadline: float) -> None:
        """Stopping: whoever has not begun a request has until `deadline` to begin one."""
        for conn in self._collecting:
            if not conn.held:
                conn.deadline = min(conn.deadline, deadline)

    def _refuse(self, conn: Connection, status: str) -> None:
        del self._collecting[conn]
        self._release(conn)
        _send(conn, f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())
        self._linger(conn)

    # -- housekeeping

    def _watch(self, conn: Connection) -> None:
        conn.sock.setblocking(False)
        if not conn.watched:
            self.poller.register(conn.sock, EVENT_READ, partial(self._on_readable, conn))
            conn.watched = True

    def _unwatch(self, conn: Connection) -> None:
        self.poller.unregister(conn.sock)
        conn.watched = False

    def _drop(self, conn: Connection, group: dict[Connection, None]) -> None:
        del group[conn]
        self._release(conn)
        self._close(conn)

    def _release(self, conn: Connection) -> None:
        self._held -= conn.held
        conn.held = 0

    def _close(self, conn: Connection) -> None:
        self.nr_conns -= 1
        if conn.watched:
            self._unwatch(conn)
        conn.close()


def _receive(conn: Connection) -> bytes | None:
    """Return what is there; None: nothing yet; empty: the client has gone."""
    try:
        return conn.sock.recv(_RECEIVE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _send(conn: Connection, data: bytes) -> bool:
    """Send without waiting; False: not all of it went."""
    try:
        return conn.sock.send(data) == len(data)
    except OSError:
        return False
