"""Serve below the path of PUBLIC_URL, whether the proxy in front strips that path or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Mounted:
    """WSGI middleware: `url_for` starts with `path`, routes do not (PEP 3333, SCRIPT_NAME)."""

    def __init__(self, app: WSGIApplication, path: str) -> None:
        self._app = app
        self._path = path.rstrip("/")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if self._path:
            asked = environ.get("PATH_INFO", "")
            environ["SCRIPT_NAME"] = self._path
            if asked == self._path or asked.startswith(f"{self._path}/"):
                environ["PATH_INFO"] = asked[len(self._path) :] or "/"
        return self._app(environ, start_response)
