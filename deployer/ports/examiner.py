"""The isolated parse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from deployer.core.model import Examined, Tree


class Examination(Protocol):
    """Some files that are being examined; goes on by itself until all are or it is ended."""

    @property
    def results(self) -> Mapping[str, Examined]:
        """What is known so far, by path."""

    @property
    def done(self) -> bool:
        """Whether that is all."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until all are examined, a `nudge` or the time is over; return `done`.

        Raises:
            PreflightError: the parser itself does not work.
        """

    def end(self) -> None:
        """Give up what is not yet examined; safe to call again."""


class Examiner(Protocol):
    """The isolated parser."""

    def warm_up(self) -> None:
        """Make ready, so that the first push need not wait for it.

        Raises:
            PreflightError: the parser itself does not work.
        """

    def close(self) -> None:
        """End it; the next `examine` makes it ready again."""

    def begin(self, tree: Tree, paths: Sequence[str]) -> Examination:
        """Begin to parse `paths` of `tree`, each in a process of its own."""

    def nudge(self) -> None:
        """Have every `wait` return now; from any thread."""

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        """Parse `paths` of `tree`, each in a process of its own; one result a path, same order.

        `on_built`: with the packages of the last `Services.build`, not with those that run.

        Raises:
            PreflightError: the parser itself does not work.
        """
