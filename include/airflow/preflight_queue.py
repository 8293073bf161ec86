"""Whose file is parsed next, where several requests are under way: values in, a value out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from preflight_warden import Limits

MOST = 3
"""Parsers at a time in all, in multiples of `parallel`."""


@dataclass(slots=True)
class Request:
    """Some files to be parsed.

    Attributes:
        waiting: paths that were not started yet, in their order.
        running: how many of its files are being parsed.
        cancelled: nobody wants its answers any more.
    """

    number: int
    root: str
    parallel: int
    limits: Limits
    waiting: deque[str]
    running: int = 0
    cancelled: bool = False

    @property
    def done(self) -> bool:
        return not (self.waiting or self.running)


def next_to_start(requests: Sequence[Request]) -> Request | None:
    """Return the request whose next file may start now; None: all run that may.

    `requests`, none of them done, in the order they came. The last has `parallel` parsers to
    itself, so that its quick file does not wait for somebody's slow ones. Those before it share
    as many, the later of them first; none is slowed down by more than one other so, and as a
    rule there is room for one more request. A parser that runs is never ended for another, so
    several requests that come within the time of one file may run `MOST` times `parallel`.
    """
    if not requests:
        return None
    *_, last = requests
    running = sum(request.running for request in requests)
    for request in reversed(requests):
        share = last.running if request is last else running - last.running
        if request.waiting and share < request.parallel and running < MOST * request.parallel:
            return request
    return None
