"""The internet-facing process: GitHub's deliveries in, pages and JSON out.

It knows the webhook secret and the journal, and nothing else that is worth stealing.
`webhook`, `health`, `api` and `pages` are blueprints, `access` keeps strangers out of all but
deliveries and `/healthz` and has the blueprint of the login, `faults` answers what goes wrong,
`deployer.edges.processes.server` runs it under gunicorn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response

from deployer.ports import Bell, Journal
from deployer.web import access, api, faults, health, pages, webhook
from deployer.web.webhook import Receiving

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Receiving", "create_app"]

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
    app.register_blueprint(health.blueprint(journal, receiving.repo, now))
    app.register_blueprint(api.blueprint(journal))
    app.register_blueprint(pages.blueprint(journal, receiving.repo, now))
    faults.register(app)

    @app.after_request
    def guard(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    # Flask's documented way to put middleware around an application.
    app.wsgi_app = Mounted(app.wsgi_app, urlsplit(public_url or "").path)  # type: ignore[method-assign]
    return app


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
