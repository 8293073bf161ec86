"""The isolated parse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from deployer.core.model import Examined, Tree


class Examination(Protocol):
    """Some files that are being examined; goes on by itself until all are or it is ended."""

    @property
    def results(self) -> Mapping[str, Examined]:
        """What is known so far, by path.

        If packages move meanwhile, it is begun anew, and what was found with those before is
        forgotten; never once it is `done`.
        """

    @property
    def done(self) -> bool:
        """All are examined."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until all are examined, a `nudge` or the time is over; return `done`.

        Raises:
            PreflightError: the parser itself does not work, or this was ended before.
        """

    def end(self) -> None:
        """Give up what is not yet examined, and remove what was laid out; safe to call again.

        To be called in any case. It returns when nothing of it is parsed any more.
        """


class Examiner(Protocol):
    """The isolated parser. One thread uses it, but for `nudge`."""

    def warm_up(self) -> None:
        """Make ready, so that the first push need not wait for it.

        Raises:
            PreflightError: the parser itself does not work.
        """

    def close(self) -> None:
        """End it and what is under way; the next examination makes it ready again."""

    def begin(self, tree: Tree, paths: Sequence[str]) -> Examination:
        """Begin to parse `paths` of `tree`, each in a process of its own.

        What was begun last goes first, whatever is still under way.
        """

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        """Parse `paths` of `tree` and wait for it; one result a path, same order.

        `on_built`: with the packages of the last `Services.build`, not with those that run.

        Raises:
            PreflightError: the parser itself does not work.
        """

    def nudge(self) -> None:
        """Have every `wait` return now; called from another thread: a new push is there.

        If nobody waits, then the next `wait` returns at once unless it need not wait at all.
        """
