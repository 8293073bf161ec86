"""Plain deliveries: a POST in the form in which GitHub and every proxy send it.

gunicorn's parser and response objects cost more processor time than all that is done
with a delivery. So requests that leave nothing to interpret are read and answered here;
whatever is special in any way (chunks, an escape in the path, a header repeated or out
of the ordinary, another version of HTTP) is not plain, and gunicorn's strict parser gets it.
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

_HEAD = re.compile(rb"POST (/[A-Za-z0-9/_-]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[\t -~]*\r\n)+)\r\n")
_HEADER = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\t -~]*?)[ \t]*\r\n")
_SPECIAL = frozenset(
    f"HTTP_{name}"
    for name in (
        "CONNECTION",
        "EXPECT",
        "KEEP_ALIVE",
        "TE",
        "TRAILER",
        "TRANSFER_ENCODING",
        "UPGRADE",
    )
)
_ALWAYS: dict[str, Any] = {
    "REQUEST_METHOD": "POST",
    "SCRIPT_NAME": "",
    "QUERY_STRING": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
}


def read(request: bytes) -> WSGIEnvironment | None:
    """Return what a WSGI application is given of one whole request; None: it is not plain."""
    head = _HEAD.match(request)
    if head is None:
        return None
    pairs = _HEADER.findall(head[2])
    headers = {_environ_name(name): value.decode("ascii") for name, value in pairs}
    body = request[head.end() :]
    length = headers.pop("HTTP_CONTENT_LENGTH", "")
    if (
        len(headers) + 1 != len(pairs)
        or length != str(len(body))
        or not _SPECIAL.isdisjoint(headers)
    ):
        return None
    return {
        **_ALWAYS,
        "PATH_INFO": head[1].decode("ascii"),
        "CONTENT_LENGTH": length,
        "CONTENT_TYPE": headers.pop("HTTP_CONTENT_TYPE", ""),
        "wsgi.input": io.BytesIO(body),
        **headers,
    }


@lru_cache(maxsize=256)  # the same few for each request
def _environ_name(header: bytes) -> str:
    return "HTTP_" + header.decode("ascii").upper().replace("-", "_")


def answer(app: WSGIApplication, requests: Sequence[WSGIEnvironment]) -> list[bytes]:
    """Return the answers, in the order of `requests`.

    The application gets all requests before its first answer is read (see `webhook.Webhook`).
    It answers its own failures, as Flask does; what it raises nevertheless is raised.
    """
    exchanges = [_Exchange(app, environ) for environ in requests]
    return [exchange.answer() for exchange in exchanges]


class _Exchange:
    """A request that the application has, and the answer it will give."""

    def __init__(self, app: WSGIApplication, environ: WSGIEnvironment) -> None:
        self._head = ""
        self._parts: Iterable[bytes] = app(environ, self._start)

    def _start(
        self, status: str, headers: list[tuple[str, str]], _exc_info: object = None, /
    ) -> Any:  # noqa: ANN401  # PEP 3333's write(), which nobody here uses
        lines = [f"{name}: {value}" for name, value in headers if name != "Content-Length"]
        self._head = "\r\n".join([f"HTTP/1.1 {status}", f"Date: {_date()}", *lines])

    def answer(self) -> bytes:
        body = b"".join(self._parts)
        return f"{self._head}\r\nContent-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


_dated = (0, "")


def _date() -> str:
    """Return the time as HTTP writes it; made once a second."""
    global _dated  # noqa: PLW0603  # a cache of one value; two threads make the same
    now = int(time.time())
    if _dated[0] != now:
        _dated = (now, formatdate(now, usegmt=True))
    return _dated[1]
