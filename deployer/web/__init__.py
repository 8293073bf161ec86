"""The internet-facing process: GitHub's deliveries in, pages and JSON out.

It knows the webhook secret and the journal, and nothing else that is worth stealing.
`webhook`, `api` and `pages` are blueprints: what GitHub, programs and people ask. `access` keeps
strangers out of all but deliveries and `/healthz`, and has the blueprint of the login;
`deployer.edges.processes.server` runs it under gunicorn. What goes wrong is answered here: JSON to
programs, a page to people; one line, written here or by whoever refused the request, never an
internal error's text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from deployer.errors import JournalError, WebhookRejected
from deployer.ports import Bell, Journal
from deployer.web import access, api, pages, webhook
from deployer.web.webhook import Receiving

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Receiving", "create_app"]

log = structlog.get_logger()

HEADERS = {
    # Self-contained pages: one style sheet of our own, no script, no image, no frame, no form
    # (but for that of the login).
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",  # for browsers that know no frame-ancestors
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # a page's address may hold a token
    "X-Robots-Tag": "noindex",
    "Cache-Control": "private, no-store",
}
FOR_PROGRAMS = ("/api/", "/webhook", "/healthz", "/readyz", "/metrics")

_TITLES = {
    400: "That address is not right",
    403: "Closed",
    404: "Nothing here",
    405: "Not this way",
    503: "Back in a moment",
}


def create_app(
    *,
    journal: Journal,
    bell: Bell,
    receiving: Receiving,
    public_url: str | None,
    now: Callable[[], datetime],
) -> Flask:
    """Return the WSGI application.

    Args:
        journal: deliveries go in, all that is shown comes out.
        bell: rung after each delivery on disk.
        receiving: what makes a request a delivery of ours.
        public_url: where the pages are reached; its path is where they are mounted.
        now: aware UTC; a test's clock.
    """
    app = Flask(__name__, static_folder=None)
    # Else Flask answers OPTIONS itself, with 200, where the contract says 405; it would have
    # routed the static files before this.
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.static_folder = "static"
    app.add_url_rule("/static/<path:filename>", "static", app.send_static_file)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # of the default provider only
    app.json.compact = True  # type: ignore[attr-defined]  # likewise
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}

    access.register(app, journal, public_url, now)
    app.register_blueprint(webhook.blueprint(journal, bell, receiving))
    app.register_blueprint(api.blueprint(journal, receiving.repo, now))
    app.register_blueprint(pages.blueprint(journal, receiving.repo, now))
    app.register_error_handler(WebhookRejected, _rejected)
    app.register_error_handler(JournalError, _journal_failed)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(Exception, _broken)

    @app.after_request
    def guard(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    # Flask's documented way to put middleware around an application.
    app.wsgi_app = Mounted(app.wsgi_app, urlsplit(public_url or "").path)  # type: ignore[method-assign]
    return app


def _answer(status: int, reason: str) -> Response:
    """Return `reason` in the shape that suits the path asked for."""
    if request.path.startswith(FOR_PROGRAMS):
        return make_response(jsonify({"error": reason}), status)
    title = _TITLES.get(status, "That did not work")
    return make_response(render_template("error.html", title=title, reason=reason), status)


def _rejected(exc: WebhookRejected) -> Response:
    log.warning("delivery_rejected", status=exc.http_status, reason=str(exc))
    return _answer(exc.http_status, str(exc))


def _journal_failed(exc: JournalError) -> Response:
    log.error("journal_failed", path=request.path, error=str(exc))
    if request.path == "/readyz":  # its askers read reasons
        unread = jsonify({"ready": False, "reasons": ["the journal is out of reach"]})
        return make_response(unread, 503)
    return _answer(503, "the journal is out of reach; try again in a moment")


def _refused(exc: HTTPException) -> Response:
    """Answer what Flask or a view refused; its description is ours or Werkzeug's, one line.

    Redirects, and what has no code, Flask hands to no handler.
    """
    response = _answer(exc.code or 500, " ".join((exc.description or exc.name).split()))
    for name, value in exc.get_headers(request.environ):
        if name.lower() != "content-type":
            response.headers[name] = value  # Allow, with a 405
    return response


def _broken(exc: Exception) -> Response:
    log.error("request_failed", path=request.path, exc_info=exc)
    return _answer(500, "internal error; the log tells more")


class Mounted:
    """WSGI middleware: `url_for` starts with `path`, routes do not (PEP 3333, SCRIPT_NAME).

    Whether the proxy in front strips that path or not.
    """

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
