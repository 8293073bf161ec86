"""The parse feed: the class's dag-processor tells, nobody asks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from deployer.core.model import ProcessorCame, Told


class ParseFeed(Protocol):
    """The worker's end. Neither side ever waits for the other; everything may be told twice."""

    def present(self) -> Mapping[str, ProcessorCame]:
        """Return the dag-processors that are connected now, by their life."""

    def ask(self, release: str, *, first: Collection[str], later: Collection[str] = ()) -> None:
        """Have every dag-processor go to `release`, and parse those files of it.

        `first` before all else, `later` when there is time. Replaces what was asked before, and
        is said to each dag-processor that connects until `rest`. What was told before is dropped.
        """

    def rest(self) -> None:
        """Ask for nothing any more; what is told from now on is dropped."""

    def wait(self, timeout_s: float) -> tuple[Told, ...]:
        """Return what was told since the last call, as soon as there is anything.

        Nothing: `timeout_s` have passed, or somebody called `nudge`.
        """

    def close(self) -> None:
        """End all connections, and listen no more."""

    def nudge(self) -> None:
        """Have `wait` return now, or the next one at once; from any thread."""
