"""What is answered when something is wrong: JSON to programs, a page to people.

One line, written here or by whoever refused the request; never an internal error's text.
"""

from __future__ import annotations

import structlog
from flask import Flask, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import RoutingException

from deployer.errors import JournalError, WebhookRejected

log = structlog.get_logger()

FOR_PROGRAMS = ("/api/", "/webhook", "/healthz", "/readyz", "/metrics")

_TITLES = {
    400: "That address is not right",
    403: "Closed",
    404: "Nothing here",
    405: "Not this way",
    503: "Back in a moment",
}


def register(app: Flask) -> None:
    app.register_error_handler(WebhookRejected, _rejected)
    app.register_error_handler(JournalError, _journal_failed)
    app.register_error_handler(HTTPException, _refused)
    app.register_error_handler(Exception, _broken)


def answer(status: int, reason: str) -> Response:
    """Return `reason` in the shape that suits the path asked for."""
    if request.path.startswith(FOR_PROGRAMS):
        response = jsonify({"error": reason})
    else:
        title = _TITLES.get(status, "That did not work")
        response = Response(
            render_template("error.html", title=title, reason=reason), mimetype="text/html"
        )
    response.status_code = status
    return response


def _rejected(exc: WebhookRejected) -> Response:
    log.warning("delivery_rejected", status=exc.http_status, reason=str(exc))
    return answer(exc.http_status, str(exc))


def _journal_failed(exc: JournalError) -> Response:
    log.error("journal_failed", path=request.path, error=str(exc))
    if request.path == "/readyz":  # its askers read reasons
        response = jsonify({"ready": False, "reasons": ["the journal is out of reach"]})
        response.status_code = 503
        return response
    return answer(503, "the journal is out of reach; try again in a moment")


def _refused(exc: HTTPException) -> Response | HTTPException:
    """Answer what Flask or a view refused; its description is ours or Werkzeug's, one line."""
    if exc.code is None or isinstance(exc, RoutingException):
        return exc  # a redirect, which is no fault
    response = answer(exc.code, " ".join((exc.description or exc.name).split()))
    for name, value in exc.get_headers(request.environ):
        if name.lower() != "content-type":
            response.headers[name] = value  # Allow, with a 405
    return response


def _broken(exc: Exception) -> Response:
    log.error("request_failed", path=request.path, exc_info=exc)
    return answer(500, "internal error; the log tells more")
