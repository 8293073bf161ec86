"""What the pieces of the Flask app share."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import Literal

from flask import Response, jsonify, request

from deployer.demo.github import shapes
from deployer.demo.github.faults import Faults
from deployer.demo.github.repository import BareRepository
from deployer.demo.github.statuses import Statuses
from deployer.demo.github.webhook import Webhook


class Violations:
    """Everything that was not as GitHub describes it; the demo and the tests fail on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        with self._lock:
            self._lines.append(line)

    def all(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._lines)


@dataclass(frozen=True, slots=True)
class Parts:
    """The stand-in's state. `full_name` is `owner/name`; `token` the only one that may write."""

    full_name: str
    token: str
    repository: BareRepository
    webhook: Webhook
    violations: Violations
    statuses: Statuses = field(default_factory=Statuses)
    faults: Faults = field(default_factory=Faults)

    def is_here(self, owner: str, name: str) -> bool:
        return f"{owner}/{name}".casefold() == self.full_name.casefold()


def base_url() -> str:
    """Return the stand-in's address as the client of this request sees it."""
    return request.host_url.rstrip("/")


def meet_fault(faults: Faults, on: Literal["api", "git"]) -> Response | None:
    """Let this request meet the next fault. None: it goes on as if there were none."""
    fault = faults.take(on)
    if fault is None:
        return None
    if fault.delay_s:
        faults.stopping.wait(fault.delay_s)
    if fault.drop:
        # The server notices when it tries to write the answer, and lets go.
        request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return Response()
    if fault.status is None:
        return None
    answer = jsonify(shapes.error(fault.status, fault.message))
    answer.status_code = fault.status
    answer.headers.update(fault.headers)
    return answer
