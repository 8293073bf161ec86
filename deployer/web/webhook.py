"""`POST /webhook`: a 202 leaves only after the delivery is on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import structlog
from flask import Blueprint, Response, jsonify, request

from deployer.core.webhook import Delivery, Ignored, Ping, Push, receive
from deployer.errors import WebhookRejected
from deployer.ports import Bell, Journal

log = structlog.get_logger()

BODY_LIMIT = 25 * 1024 * 1024
"""Bytes; GitHub delivers no larger payload (GITHUB.md)."""


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

    @webhook.post("/webhook")
    def deliver() -> tuple[Response, int]:
        began = time.perf_counter()
        delivery = receive(
            dict(request.headers),
            _body(),
            secrets=receiving.secrets,
            repo=receiving.repo,
            branch=receiving.branch,
        )
        result, reason, payload = _entry(delivery)
        new = journal.record_delivery(
            guid=delivery.guid,
            event=delivery.event,
            result=result,
            reason=reason,
            payload=payload,
        )
        if not new:
            result, reason = "duplicate", "it is known already"
        # If we die here, the delivery is on disk; the worker finds it at its next poll.
        bell.ring()
        log.info(
            "delivery",
            guid=delivery.guid,
            kind=delivery.event,
            result=result,
            reason=reason,
            ms=round((time.perf_counter() - began) * 1000, 1),
        )
        return jsonify({"delivery": delivery.guid, "result": result, "reason": reason}), 202

    return webhook


def _body() -> bytes:
    """Return the body as delivered: the signature is over these very bytes.

    Raises:
        WebhookRejected: it is over the limit; hardly more than the limit was read.
    """
    announced = request.content_length
    if announced is not None and announced > BODY_LIMIT:
        raise WebhookRejected(413, f"the body is over {BODY_LIMIT} bytes")
    # In chunks: the server knows where it ends, and Werkzeug's own limit would cut in silence.
    chunked = announced is None and request.environ.get("wsgi.input_terminated")
    try:
        stream = request.environ["wsgi.input"]
        body: bytes = stream.read(BODY_LIMIT + 1) if chunked else request.get_data(cache=False)
    except Exception as exc:  # each server has its own for a body that is cut short or malformed
        raise WebhookRejected(400, "the body is not all there") from exc
    if len(body) > BODY_LIMIT:
        raise WebhookRejected(413, f"the body is over {BODY_LIMIT} bytes")
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
