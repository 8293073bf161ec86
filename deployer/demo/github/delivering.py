"""Signed webhook deliveries, as GitHub sends them.

One after the other in a thread of their own, each tried once: GitHub never
redelivers by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

HOOK_ID = 292430182
TIMEOUT_S = 10.0
"""GitHub's own: a 2xx is due within it."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One try to deliver one event.

    Attributes:
        status: `OK`, or what went wrong.
        status_code: the receiver's; 502 no connection, 504 no answer in time.
        duration_s: from sending to the answer.
    """

    guid: str
    event: str
    duration_s: float
    status: str
    status_code: int
    payload: dict[str, Any]


class Webhook:
    """The repository's one webhook.

    Attributes:
        url: where deliveries go; None: the hook is switched off and events are lost,
            as they are on GitHub.
        deliveries: all that ended, oldest first.
    """

    def __init__(self, secret: str) -> None:
        self.url: str | None = None
        self._secret = secret.encode()
        self.deliveries: list[Delivery] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="github-hookshot")
        # Deliveries come from the world outside: no proxy of this machine is involved.
        self._client = httpx.Client(timeout=TIMEOUT_S, trust_env=False)

    def send(self, event: str, payload: dict[str, Any], guid: str | None = None) -> None:
        """Deliver an event soon; what can't be sent at all fails here, not unseen in the thread.

        `guid`: of the delivery that is redelivered.
        """
        if self.url is None:
            return
        guid = guid or str(uuid.uuid4())
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        signature = hmac.new(self._secret, body, hashlib.sha256).hexdigest()
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/deed0ff",
            "X-GitHub-Delivery": guid,
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": str(HOOK_ID),
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        request = self._client.build_request("POST", self.url, content=body, headers=headers)
        self._thread.submit(self._deliver, request, event, guid, payload)

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _deliver(
        self, request: httpx.Request, event: str, guid: str, payload: dict[str, Any]
    ) -> None:
        started_s = time.monotonic()
        status, status_code = self._post(request)
        took_s = time.monotonic() - started_s
        self.deliveries.append(Delivery(guid, event, took_s, status, status_code, payload))

    def _post(self, request: httpx.Request) -> tuple[str, int]:
        try:
            answer = self._client.send(request)
        except httpx.TimeoutException:
            return "timed out", 504
        except httpx.RequestError:
            return "failed to connect", 502
        status = "OK" if answer.is_success else f"Invalid HTTP Response: {answer.status_code}"
        return status, answer.status_code
