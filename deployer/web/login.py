"""`/login`: what `deployer login` prints becomes a session of this browser, once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlsplit

import structlog
from flask import (
    Blueprint,
    Response,
    abort,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)

from deployer.core.access import BEGINNING, LASTS, Secret, fingerprint
from deployer.ports import Journal
from deployer.web.access import CLOSED, COOKIE, OF_ITS_OWN

log = structlog.get_logger()

POLICY = "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def blueprint(journal: Journal, public_url: str | None, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint(OF_ITS_OWN, __name__)
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
        session, at, lasts = BEGINNING + secrets.token_urlsafe(32), now(), LASTS[Secret.SESSION]
        kept = fingerprint(Secret.SESSION, session)
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
    return fingerprint(Secret.LOGIN, request.args.get("token", ""))
