"""`POST /webhook`: a 202 leaves only after the delivery is on disk.

Plain WSGI (PEP 3333) in front of Flask: routing, request and response objects cost
three times what verifying, parsing and answering a delivery does, and at a burst it is
the processor that deliveries wait for (`scripts/bench ack`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NoReturn, assert_never

import structlog

from deployer.core.webhook import Delivery, Ignored, Ping, Push, receive
from deployer.errors import JournalError, WebhookRejected
from deployer.ports import Bell, Journal
from deployer.web.framing import BODY_LIMIT
from deployer.web.headers import HEADERS

if TYPE_CHECKING:
    from _typeshed.wsgi import InputStream, StartResponse, WSGIApplication, WSGIEnvironment

log = structlog.get_logger()

PATH = "/webhook"

_REASONS = {
    202: "202 Accepted",
    400: "400 Bad Request",
    401: "401 Unauthorized",
    405: "405 Method Not Allowed",
    413: "413 Content Too Large",
    415: "415 Unsupported Media Type",
    500: "500 Internal Server Error",
    503: "503 Service Unavailable",
}
_HEADERS = [("Content-Type", "application/json"), ("Allow", "POST"), *HEADERS.items()]
_GIVEN = {
    "CONTENT_TYPE": "content-type",
    "HTTP_CONTENT_ENCODING": "content-encoding",
    "HTTP_X_GITHUB_DELIVERY": "x-github-delivery",
    "HTTP_X_GITHUB_EVENT": "x-github-event",
    "HTTP_X_HUB_SIGNATURE_256": "x-hub-signature-256",
}


@dataclass(frozen=True, slots=True)
class Receiving:
    """What makes a request a delivery of ours.

    Attributes:
        secrets: any of them may have signed it.
        repo: `owner/name` of the class repository.
        branch: branch that is live.
    """

    secrets: Sequence[str] = field(repr=False)
    repo: str
    branch: str


class Webhook:
    """WSGI application for `PATH`; all else goes to the application behind it."""

    def __init__(
        self, behind: WSGIApplication, journal: Journal, bell: Bell, receiving: Receiving
    ) -> None:
        self._behind = behind
        self._journal = journal
        self._bell = bell
        self._receiving = receiving

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != PATH:
            return self._behind(environ, start_response)
        # What needs no waiting is done now, the rest when the answer is read: a server that
        # calls for several requests before it reads an answer has them share a commit.
        try:
            outcome = self._take(environ)
        except Exception as exc:  # noqa: BLE001  # answered below, once for all
            outcome = partial(_throw, exc)
        return self._answer(outcome, start_response)

    def _answer(
        self, outcome: Callable[[], dict[str, str]], start_response: StartResponse
    ) -> Iterator[bytes]:
        try:
            status, answer = 202, outcome()
        except WebhookRejected as exc:
            log.warning("delivery_rejected", status=exc.http_status, reason=str(exc))
            status, answer = exc.http_status, {"error": str(exc)}
        except JournalError:
            log.exception("journal_failed", path=PATH)
            status, answer = 503, {"error": "the journal can't be written; deliver it again"}
        except Exception:  # the last resort of a server, as Flask's own
            log.exception("request_failed", path=PATH)
            status, answer = 500, {"error": "internal error; the log tells more"}
        body = json.dumps(answer).encode()
        start_response(_REASONS[status], [*_HEADERS, ("Content-Length", str(len(body)))])
        yield body

    def _take(self, environ: WSGIEnvironment) -> Callable[[], dict[str, str]]:
        """Verify and parse; what is returned waits until it is on disk and gives the answer."""
        began = time.perf_counter()
        if environ["REQUEST_METHOD"] != "POST":
            raise WebhookRejected(405, "deliveries come by POST")
        delivery = receive(
            _headers(environ),
            _body(environ),
            secrets=self._receiving.secrets,
            repo=self._receiving.repo,
            branch=self._receiving.branch,
        )
        result, reason, payload = _entry(delivery)
        written = self._journal.offer_delivery(
            guid=delivery.guid,
            event=delivery.event,
            result=result,
            reason=reason,
            payload=payload,
        )

        def outcome() -> dict[str, str]:
            shown = (result, reason) if written() else ("duplicate", "it is known already")
            # If we die here, the delivery is on disk; the worker finds it at its next poll.
            self._bell.ring()
            log.info(
                "delivery",
                guid=delivery.guid,
                kind=delivery.event,
                result=shown[0],
                reason=shown[1],
                ms=round((time.perf_counter() - began) * 1000, 1),
            )
            return {"delivery": delivery.guid, "result": shown[0], "reason": shown[1]}

        return outcome


def _throw(exc: Exception) -> NoReturn:
    raise exc


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    """Return the headers that make a delivery, by name, as far as they are there."""
    return {name: environ[key] for key, name in _GIVEN.items() if key in environ}


def _body(environ: WSGIEnvironment) -> bytes:
    """Return the body as delivered.

    Raises:
        WebhookRejected: it is over the limit; hardly more than the limit was read.
    """
    too_long = WebhookRejected(413, f"the body is over {BODY_LIMIT} bytes")
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdecimal():
        wanted = int(length)
    elif environ.get("wsgi.input_terminated"):
        wanted = BODY_LIMIT + 1  # chunked; the server knows where it ends
    else:
        wanted = 0
    if length.isdecimal() and wanted > BODY_LIMIT:
        raise too_long
    stream: InputStream = environ["wsgi.input"]
    try:
        body = stream.read(wanted)
    except Exception as exc:  # each server has its own for a body that is cut short or malformed
        raise WebhookRejected(400, "the body is not all there") from exc
    if len(body) > BODY_LIMIT:
        raise too_long
    return body


def _entry(delivery: Delivery) -> tuple[str, str, Mapping[str, object]]:
    """Return result, reason and payload as the journal takes them."""
    content = delivery.content
    match content:
        case Push():
            payload = {
                "ref": content.ref,
                "before": content.before,
                "after": content.after,
                "forced": content.forced,
                "pusher": content.pusher,
            }
            return "queued", f"push to {content.ref.removeprefix('refs/heads/')}", payload
        case Ping():
            return "ignored", "ping", {}
        case Ignored():
            return "ignored", content.reason, {}
        case _:
            assert_never(content)
