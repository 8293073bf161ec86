"""`POST /webhook`: a 202 leaves only after the delivery is on disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO

import structlog
from flask import Blueprint, Response, jsonify, request

from deployer.core.webhook import (
    BODY_LIMIT,
    Ignored,
    Push,
    advice,
    receive,
    refuse_unsigned,
)
from deployer.errors import WebhookRejected
from deployer.ports import Bell, Journal

log = structlog.get_logger()

SMALL = 1024 * 1024
"""Bytes of a body that any thread may hold; of larger ones there is one in memory at a time."""
LARGE_WAIT_S = 8.0
"""How long a large body waits for its turn: GitHub waits 10 s for the answer."""
_PIECE = 64 * 1024


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


def blueprint(journal: Journal, bell: Bell, receiving: Receiving) -> Blueprint:
    webhook = Blueprint("webhook", __name__)
    large = threading.Lock()

    @webhook.post("/webhook")
    def deliver() -> tuple[Response, int]:
        began = time.perf_counter()
        headers = dict(request.headers)
        with _body(headers, large) as body:
            delivery = receive(
                headers,
                body,
                secrets=receiving.secrets,
                repo=receiving.repo,
                branch=receiving.branch,
                newest=lambda: journal.pulse().pushed,
            )
        result, reason, payload = _entry(delivery.content)
        new = journal.record_delivery(
            guid=delivery.guid, event=delivery.event, result=result, reason=reason, payload=payload
        )
        if not new:
            result, reason = "duplicate", "it is known already"
        # If we die here, the delivery is on disk; the worker finds it at its next look.
        bell.ring()
        say = log.warning if delivery.content.settings_wrong else log.info
        say(
            "delivery",
            guid=delivery.guid,
            kind=delivery.event,
            result=result,
            reason=reason,
            ms=round((time.perf_counter() - began) * 1000, 1),
        )
        return jsonify({"delivery": delivery.guid, "result": result, "reason": reason}), 202

    return webhook


@contextmanager
def _body(headers: Mapping[str, str], large: threading.Lock) -> Iterator[bytes]:
    """Hand out the body as delivered: the signature is over these very bytes.

    That a signature is wrong is known only after the last byte, and anybody may send such bodies:
    so each thread reads up to `SMALL` bytes, and only one at a time reads on, up to `BODY_LIMIT`.

    Raises:
        WebhookRejected: the headers are no delivery's: nothing was read; the body is over the
            limit: hardly more than the limit was read; it is not all there; others are being
            read for too long.
    """
    if (request.content_length or 0) > BODY_LIMIT:
        raise WebhookRejected(413, f"the body is over {BODY_LIMIT} bytes")
    refuse_unsigned(headers)
    body = _read(request.stream, SMALL)
    with ExitStack() as turn:
        if len(body) == SMALL:
            if not large.acquire(timeout=LARGE_WAIT_S):
                raise WebhookRejected(
                    503, "too many large deliveries at once; the next poll finds what was pushed"
                )
            turn.callback(large.release)
            body += _read(request.stream, BODY_LIMIT + 1 - SMALL)
        if len(body) > BODY_LIMIT:
            raise WebhookRejected(413, f"the body is over {BODY_LIMIT} bytes")
        if len(body) < (request.content_length or 0):
            # A client that hangs up half-way looks like the body's end to gunicorn.
            raise WebhookRejected(400, "the body is not all there")
        yield body


def _read(stream: IO[bytes], most: int) -> bytes:
    """Return what is left of a body, `most` bytes at most.

    Raises:
        WebhookRejected: it ends before its end, or its chunks are malformed.
    """
    read = bytearray()
    try:
        while len(read) < most and (piece := stream.read(min(_PIECE, most - len(read)))):
            read += piece
    except Exception as exc:  # each server has its own for a body that is cut short or malformed
        raise WebhookRejected(400, "the body is not all there") from exc
    return bytes(read)


def _entry(content: Push | Ignored) -> tuple[str, str, Mapping[str, object]]:
    """Return result, reason and payload as the journal takes them."""
    if isinstance(content, Ignored):
        return "ignored", content.reason, {}
    payload = asdict(content)
    payload |= payload.pop("origin")
    reason = f"push to {content.ref.removeprefix('refs/heads/')}"
    if content.origin.renamed:
        reason += f"; {advice(content.origin)}"
    return "queued", reason, payload
