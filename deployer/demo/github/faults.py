"""Faults on demand: what GitHub does on a bad day."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fault:
    """What the next requests meet.

    Attributes:
        status: answered instead of the real answer; None: the real answer (after `delay_s`).
        times: how many requests meet it.
        headers, message: of that answer.
        delay_s: waited before anything is done.
        drop: the connection is closed without an answer.
        on: which requests, those to the API or git's.
    """

    status: int | None = None
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "injected by the stand-in"
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
