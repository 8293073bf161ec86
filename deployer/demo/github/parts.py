"""What the pieces of the Flask app share; faults on demand: what GitHub does on a bad day."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from flask import Response, jsonify, request

from deployer.demo.github.repository import BareRepository
from deployer.demo.github.statuses import Statuses
from deployer.demo.github.webhook import Webhook

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """What the next requests meet.

    Attributes:
        status: answered instead of the real answer; None: the real answer (after `delay_s`).
        times: how many requests meet it.
        headers: of that answer.
        delay_s: waited before anything is done.
        drop: the connection is closed without an answer.
        on: which requests, those to the API or git's.
    """

    status: int | None = None
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drop: bool = False
    on: Literal["api", "git"] = "api"


class Faults:
    """A queue of faults; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self.stopping = threading.Event()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def take(self, on: Literal["api", "git"]) -> Fault | None:
        """Return the fault that this request meets, if any; used up by one."""
        with self._lock:
            for index, fault in enumerate(self._waiting):
                if fault.on != on:
                    continue
                if fault.times > 1:
                    self._waiting[index] = replace(fault, times=fault.times - 1)
                else:
                    del self._waiting[index]
                return fault
        return None

    def meet(self, on: Literal["api", "git"]) -> Response | None:
        """Let this request meet the next fault. None: it goes on as if there were none."""
        fault = self.take(on)
        if fault is None:
            return None
        if fault.delay_s:
            self.stopping.wait(fault.delay_s)
        if fault.drop:
            # The server notices when it tries to write the answer, and lets go.
            request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return Response()
        if fault.status is None:
            return None
        answer = jsonify(error(fault.status, "injected by the stand-in"))
        answer.status_code = fault.status
        answer.headers.update(fault.headers)
        return answer


@dataclass(frozen=True, slots=True)
class Parts:
    """The stand-in's state.

    Attributes:
        full_name: `owner/name`.
        token: the only one that may write.
        violations: all that was not as GitHub describes it; the demo and the tests fail on it.
    """

    full_name: str
    token: str
    repository: BareRepository
    webhook: Webhook
    violations: list[str]
    statuses: Statuses = field(default_factory=Statuses)
    faults: Faults = field(default_factory=Faults)

    def is_here(self, owner: str, name: str) -> bool:
        return f"{owner}/{name}".casefold() == self.full_name.casefold()


def base_url() -> str:
    """Return the stand-in's address as the client of this request sees it."""
    return request.host_url.rstrip("/")


def error(status: int, message: str, errors: Sequence[Json] = ()) -> Json:
    said: Json = {
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    }
    return said | ({"errors": list(errors)} if errors else {})
