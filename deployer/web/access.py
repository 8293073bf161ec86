"""Who is let in, and how far: `core/access.py`, over requests.

Before anything else is done for a request, whatever its path and method: an address that is not
there is answered as one that is closed. A status's link carries its token from page to page; at
`/login`, what `deployer login` prints becomes a session of this browser, once.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    g,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)

from deployer.core.access import BEGINNING, LASTS, Link, Purpose, fingerprint, is_own
from deployer.core.model import Deployment
from deployer.ports import Journal

log = structlog.get_logger()

OPEN = ("/webhook", "/healthz")
LOGIN = "login"
"""Blueprint that sees for itself who may."""
COOKIE = "deployer_session"
CLOSED = (
    "This is closed. Open the link of your commit's status, or ask your teacher. "
    "Teachers: `deployer login` prints a link."
)
POLICY = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
"""Of the only page with a form."""


def register(
    app: Flask, journal: Journal, public_url: str | None, now: Callable[[], datetime]
) -> None:
    app.before_request(partial(_let_in, journal, now))
    app.register_blueprint(_login(journal, public_url, now))
    app.add_template_global(opens)

    @app.url_defaults
    def carry(_endpoint: str, values: dict[str, Any]) -> None:
        if g.get("visitor"):
            values["token"] = request.args["token"]


def opens(
    *, sha: str | None = None, deployment: Deployment | None = None, folder: str | None = None
) -> bool:
    """Tell whether the visitor may go there; with nothing named: to the front page."""
    if "visitor" not in g:
        return False
    link: Link | None = g.visitor  # None: he may go anywhere
    return (
        link is None
        or (sha is not None and link.opens_commit(sha))
        or (deployment is not None and link.opens_deployment(deployment))
        or (folder is not None and link.opens_folder(folder))
    )


def _let_in(journal: Journal, now: Callable[[], datetime]) -> None:
    if request.path in OPEN or request.blueprint == LOGIN:
        return
    link, sent = None, request.headers
    own = is_own(request.remote_addr, sent.get("Host"), sent.keys())
    if not (own or _is_teacher(journal, now())):
        token = request.args.get("token")
        link = Link.read(token, journal.link_key()) if token else None
        if link is None or not _leads_here(link, journal):
            abort(403, CLOSED)
    g.visitor = link


def _is_teacher(journal: Journal, now: datetime) -> bool:
    shown = {Purpose.SESSION: request.cookies.get(COOKIE)}
    if request.authorization and request.authorization.type == "bearer":
        shown[Purpose.BEARER] = request.authorization.token
    return any(
        secret and journal.admitted(fingerprint(purpose, secret), now)
        for purpose, secret in shown.items()
    )


def _leads_here(link: Link, journal: Journal) -> bool:
    match request.endpoint, request.view_args:
        case "static", _:
            return True
        case "pages.commit", {"sha": sha}:
            return link.opens_commit(sha)
        case "pages.folder", {"name": folder}:
            return link.opens_folder(folder)
        case "pages.deployment", {"number": number}:
            found = journal.deployment(number)
            return found is not None and link.opens_deployment(found)
    return False


def _login(journal: Journal, public_url: str | None, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint(LOGIN, __name__)
    over_tls = urlsplit(public_url or "").scheme == "https"

    @routes.get("/login")
    def confirm() -> Response:
        """Show a button: whoever only looks (a chat's preview, a scanner) uses nothing up."""
        if not journal.admitted(_once(), now()):
            abort(403, CLOSED)
        page = make_response(render_template("login.html"))
        page.headers["Content-Security-Policy"] = POLICY
        return page

    @routes.post("/login")
    def enter() -> Response:
        session, at, lasts = BEGINNING + secrets.token_urlsafe(32), now(), LASTS[Purpose.SESSION]
        kept = fingerprint(Purpose.SESSION, session)
        # If we die here, the link is used up and nobody is in: another one is printed in a moment.
        if not journal.exchange(_once(), kept, at=at, until=at + lasts):
            abort(403, CLOSED)
        log.info("teacher logged in")
        answer = make_response(redirect(url_for("pages.index"), 303))
        answer.set_cookie(
            COOKIE,
            session,
            max_age=lasts,
            path=request.script_root or "/",
            secure=over_tls,
            httponly=True,
            samesite="Lax",
        )
        return answer

    return routes


def _once() -> str:
    return fingerprint(Purpose.LOGIN, request.args.get("token", ""))
