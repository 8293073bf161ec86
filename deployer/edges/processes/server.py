"""Run the application under gunicorn, with the settings that this job needs."""

from __future__ import annotations

import ctypes
import errno
import gc
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn import systemd, util
from gunicorn.app.base import BaseApplication
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

from deployer.core.webhook import BODY_LIMIT
from deployer.errors import OperatorError

if TYPE_CHECKING:
    from queue import SimpleQueue

    from flask import Flask
    from gunicorn.arbiter import Arbiter

BACKLOG = 512
READ_ON_S = 5.0
LINGER_S = 2.0
READ_BYTES = 65536
STALLED_S = 5
"""GitHub sends on all the time, and who sends nothing for so long would keep a thread."""
_STOP = {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}
_STALLED = struct.pack("ll", STALLED_S, 0)  # struct timeval
M_ARENA_MAX = -8  # malloc.h
PR_SET_PDEATHSIG = 1  # linux/prctl.h
SOCKET_MODE = 0o660  # of a Unix socket: the proxy in front is in its group

SETTINGS: dict[str, Any] = {
    # One process: it is small, and the journal's commits to disk are shared among its threads.
    "workers": 1,
    # As many as GitHub is likely to deliver at once; a thread waits for the disk. A client that
    # sends slowly holds one: BIND is loopback, and the proxy in front collects requests.
    "threads": 16,
    # Below a process's usual 1024 open files.
    "worker_connections": 512,
    # Longer than the 2 minutes for which proxies such as Caddy keep a connection for reuse, so
    # that it is never we who close one just as a delivery is sent on it.
    "keepalive": 150,
    "backlog": BACKLOG,
    "timeout": 30,  # seconds without a sign of life from the worker's event loop
    "graceful_timeout": 10,  # as long as GitHub waits for the answer to a delivery
    "limit_request_line": 4094,
    "limit_request_fields": 64,
    "limit_request_field_size": 8190,
    # No second way in: gunicorn's control socket, HTTP/2 over clear text, trusted proxy headers.
    "control_socket_disable": True,
    "http_protocols": "h1",
    "forwarded_allow_ips": "",
    "proc_name": "deployer-web",
}


def serve(make_app: Callable[[], Flask], bind: str) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is under way. Does not return: it exits.

    Args:
        make_app: called in the worker process, after the fork: database connections must not
            cross it.
        bind: `host:port` or `unix:/path`; unused if systemd hands over its sockets.

    Raises:
        OperatorError: `bind` can't be listened on.
    """
    given_by_systemd = systemd.listen_fds(unset_environment=False) > 0
    address = bind if given_by_systemd else f"fd://{_listen(bind)}"
    _share_arenas()
    # What is imported so far is shared with the worker for good, if the collector leaves it be.
    gc.collect()
    gc.freeze()
    _Server(make_app, address).run()


def _share_arenas() -> None:
    """Have all threads allocate from two arenas; glibc's default of eight a core costs 5 MB."""
    with suppress(OSError, AttributeError):  # another libc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)


class _Server(BaseApplication):
    """gunicorn, told what to do by this program instead of by its own command line."""

    def __init__(self, make_app: Callable[[], Flask], address: str) -> None:
        self._make_app = make_app
        self._address = address
        super().__init__()

    def load_config(self) -> None:
        cfg: Config = self.cfg
        for name, value in SETTINGS.items():
            cfg.set(name, value)
        cfg.set("worker_class", _Threads)
        cfg.set("post_fork", _forked)
        cfg.set("bind", self._address)
        cfg.set("logger_class", _Log)

    def load(self) -> Flask:  # type: ignore[override]  # the stub's WSGI is wider than PEP 3333
        app = self._make_app()
        # None of this is ever garbage. Looking through it would stop all threads for some 5 ms,
        # several times a second in a burst.
        gc.collect()
        gc.freeze()
        return app


def _forked(master: Arbiter, worker: _Threads) -> None:
    worker.told_before = master.SIG_QUEUE
    # A master that is killed tells nobody, and its worker would keep the port for seconds.
    with suppress(OSError, AttributeError):  # no Linux
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class _Threads(ThreadWorker):
    """gunicorn's threads, which let a client that was refused finish before they hang up.

    With bytes of a body unread, the kernel answers a close with a reset, and the client may never
    see why it was refused; gunicorn itself reads on for no more than 64 KiB.
    """

    told_before: SimpleQueue[int]
    """Signals since the fork, which until `init_signals` met the master's handler in here."""

    def init_signals(self) -> None:
        """Stop too if that was said before anybody here listened; gunicorn would forget it.

        It would then serve on until it is killed, in the middle of what it has taken by then.
        """
        super().init_signals()
        while not self.told_before.empty():
            if self.told_before.get() in _STOP:
                self.alive = False

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:  # noqa: FBT001 - gunicorn's
        deadline = time.monotonic() + READ_ON_S
        parser: Any = conn.parser  # HTTP/1's: no other protocol is spoken here
        # For each KiB that it discards it copies all that was read ahead: else up to 1 MiB.
        parser.unreader.max_body_chunk = parser.unreader.mxchunk
        finished = parser.finish_body(deadline=deadline, max_bytes=2 * BODY_LIMIT)
        return bool(keepalive and finished)

    def handle(self, conn: TConn) -> bool:
        """Bound each wait for bytes, and wait here for a client to hang up after the last answer.

        gunicorn waits for the rest of a request for ever, and for the end where it accepts: there
        each client that stays keeps all others waiting.
        """
        conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _STALLED)
        kept = super().handle(conn)
        if kept is False:  # not: later
            _end(conn.sock)
        return kept


def _end(client: socket.socket) -> None:
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        until = time.monotonic() + LINGER_S
        while (left_s := until - time.monotonic()) > 0:
            client.settimeout(left_s)
            if not client.recv(READ_BYTES):
                break
    with suppress(OSError):  # who is to read on finds the end
        client.shutdown(socket.SHUT_RDWR)


class _Log(Logger):
    """gunicorn's own events go where all others go; requests are logged by the application."""

    def setup(self, cfg: Config) -> None:
        self.cfg = cfg
        self._access_log_enabled = False
        self.error_log.propagate = True


def _listen(bind: str) -> int:
    """Return a listening socket's descriptor.

    gunicorn could do it itself, but tries for 5 s and then exits without saying why.
    """
    where = util.parse_address(bind)
    try:
        listener = _tcp(*where) if isinstance(where, tuple) else _unix(Path(str(where)))
    except OSError as exc:
        # A name that is not known and a path that is too long have no number of the system's.
        raise OperatorError(
            f"can't listen on {bind}: {exc.strerror or exc}; see DEPLOYER_BIND"
        ) from exc
    return listener.detach()


def _tcp(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # Inherited by what it accepts; gunicorn sets it on the sockets that it makes itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _unix(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        if path.is_socket():
            _refuse_if_alive(path)
            path.unlink()
        listener.bind(str(path))
        path.chmod(SOCKET_MODE)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _refuse_if_alive(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return  # left behind by a process that died
    raise OSError(errno.EADDRINUSE, "another process listens there")
