"""An HTTP server that answers as it is told: what Airflow, GitHub or a proxy might say."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Said:
    """One answer; a header `Date` replaces the server's own."""

    status: int
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Answering:
    """The running server.

    Attributes:
        answers: by the first of `METHOD /path-prefix` that fits; 404 where none does.
        asked: the requests so far.
    """

    url: str
    answers: dict[str, Said]
    asked: list[Asked] = field(default_factory=list)

    def to(self, method: str, path: str) -> Said:
        for prefix, said in self.answers.items():
            if f"{method} {path}".startswith(prefix):
                return said
        return Said(404, {"detail": "not found"})


@contextmanager
def answering(answers: Mapping[str, Said]) -> Iterator[Answering]:
    """Serve on a free port of loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            served.asked.append(Asked(self.command, self.path, dict(self.headers.items()), body))
            said = served.to(self.command, self.path)
            self.send_response_only(said.status)
            if "Date" not in said.headers:
                self.send_header("Date", self.date_time_string())
            for name, value in said.headers.items():
                self.send_header(name, value)
            content = b"" if said.body is None else json.dumps(said.body).encode()
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Answering(f"http://127.0.0.1:{server.server_port}", dict(answers))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
