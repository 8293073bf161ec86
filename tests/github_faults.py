"""What GitHub does on a bad day: 5xx, rate limits, slowness, dropped connections."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from flask import Response

from deployer.demo.github import StandIn
from deployer.demo.github.statuses import error

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


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
    """A queue of faults before a stand-in; safe to use from several threads."""

    def __init__(self, stand_in: StandIn) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._serving = stand_in.thread
        self._app, stand_in.server.app = stand_in.server.app, self

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        fault = self._take("api" if environ["PATH_INFO"].startswith("/repos/") else "git")
        if fault and fault.delay_s:
            self._serving.join(fault.delay_s)  # no longer than it serves
        if fault and fault.drop:
            # The server notices when it tries to write the answer, and lets go.
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return Response()(environ, start)
        if fault and fault.status:
            said = error(fault.status, "injected before the stand-in")
            answer = Response(
                json.dumps(said), fault.status, fault.headers, content_type="application/json"
            )
            return answer(environ, start)
        return self._app(environ, start)

    def _take(self, on: Literal["api", "git"]) -> Fault | None:
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
