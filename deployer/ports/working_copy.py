"""A student's working copy, and new packages tried beside Airflow's own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deployer.core.model import Tree, Verdict


class WorkingCopy(Protocol):
    """The class repository as it lies on somebody's disk."""

    def tree(self) -> Tree:
        """Return what the commit of all that is there would be.

        Raises:
            DiskError
        """

    def mention(self, tree: Tree, paths: Collection[str], words: Collection[str]) -> list[str]:
        """Return those of `paths` in whose bytes one of `words` occurs.

        Raises:
            DiskError
        """


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went.

    Attributes:
        verdict: on `requirements.txt`.
        python: the interpreter that has the packages, None: they were refused.
        added: what they add to Airflow's own, as `name==version`.
    """

    verdict: Verdict
    python: Path | None = None
    added: tuple[str, ...] = ()
