"""One HTTP exchange: bytes that have arrived, through the application, to bytes sent.

gunicorn's own parser and response, called in two halves, so that a thread can hand
several requests to the application before it waits for the first answer.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gunicorn.config import Config
from gunicorn.http import Request, wsgi
from gunicorn.http.errors import NoMoreData
from gunicorn.http.parser import RequestParser
from gunicorn.workers.base import Worker

from deployer.web.framing import Inbox

if TYPE_CHECKING:
    from gunicorn._types import _AddressType


class Connection:
    """One client.

    Attributes:
        inbox: what it has sent and nobody has read.
        held: bytes of the request being collected or answered.
        whole: all of the request that a thread has is here, so another may follow it.
        deadline: on the monotonic clock, for whatever the connection is doing now.
    """

    def __init__(
        self, cfg: Config, client: socket.socket, address: _AddressType, server: _AddressType
    ) -> None:
        self.sock = client
        self.address = address
        self.server = server
        self.inbox = Inbox()
        self.parser = RequestParser(cfg, self.inbox, address)
        self.held = 0
        self.whole = False
        self.deadline = 0.0


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A request that the application has, and where its answer goes."""

    request: Request
    response: wsgi.Response
    parts: Iterable[bytes]


def answer(worker: Worker, conns: Sequence[Connection]) -> list[bool]:
    """Answer one request of each; tell which connections may be kept."""
    begun = [(conn, _begin(worker, conn)) for conn in conns]
    return [
        exchange is not None and _finish(worker, conn, exchange) and conn.whole
        for conn, exchange in begun
    ]


def _begin(worker: Worker, conn: Connection) -> _Exchange | None:
    """Parse a request and hand it to the application; None: there is nothing to go on with."""
    request: Request | None = None
    try:
        request = next(conn.parser)
        response, environ = wsgi.create(request, conn.sock, conn.address, conn.server, worker.cfg)
        environ["wsgi.multithread"] = True
        if not (worker.alive and conn.whole):
            response.force_close()
        parts = worker.wsgi(environ, response.start_response)  # type: ignore[arg-type]  # the stub lacks exc_info
    except (StopIteration, NoMoreData, OSError):
        return None
    except Exception as exc:  # noqa: BLE001  # whatever it is, the thread goes on with the others
        worker.handle_error(request, conn.sock, conn.address, exc)
        return None
    return _Exchange(request, response, parts)


def _finish(worker: Worker, conn: Connection, exchange: _Exchange) -> bool:
    """Send the answer; tell whether another request may come."""
    response = exchange.response
    parts: Any = exchange.parts
    try:
        with closing(parts) if hasattr(parts, "close") else nullcontext():
            for part in parts:
                response.write(part)
            response.close()
        drained: bool = conn.parser.finish_body()  # type: ignore[func-returns-value, assignment]  # the stub forgets it
        return drained and not response.should_close()
    except OSError:
        return False  # the client has gone, or was cut off
    except Exception as exc:  # noqa: BLE001  # as above
        if not response.headers_sent:
            worker.handle_error(exchange.request, conn.sock, conn.address, exc)
        return False
