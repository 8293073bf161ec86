"""The isolated parse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deployer.core.model import Examined, Tree


class Examiner(Protocol):
    """The isolated parser."""

    def warm_up(self) -> None:
        """Make ready, so that the first push need not wait for it.

        Raises:
            PreflightError: the parser itself does not work.
        """

    def close(self) -> None:
        """End it; the next `examine` makes it ready again."""

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        """Parse `paths` of `tree`, each in a process of its own; one result a path, same order.

        `on_built`: with the packages of the last `Services.build`, not with those that run.

        Raises:
            PreflightError: the parser itself does not work.
        """
