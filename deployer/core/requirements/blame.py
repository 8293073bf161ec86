"""Tell whose fault it is that a class's packages could not be installed.

Pure. uv's exit status alone does not tell. With uv 0.13, 1 is a text that can't be solved, a
package whose build fails or a wrong hash, and 2 an index out of reach, but a line that uv
can't read as well; with 0.9, some networks that fail are 1 (both tried). So a failure is the
author's just if the same uv, in the same place, gets Airflow itself out of the index right
after: also where a host that only the text names is out of reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from deployer.errors import RequirementsRefused, ServicesError


class End(StrEnum):
    """How a command ended."""

    EXITED = "exited"
    OUT_OF_TIME = "out of time"
    OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, its exit status, and both its streams as one text."""

    end: End
    status: int
    text: str

    @property
    def well(self) -> bool:
        return self.end is End.EXITED and self.status == 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where packages are tried.

    Attributes:
        words: as in "does not answer from …".
        look_at: what the operator sees to if the index does not answer.
    """

    words: str
    look_at: str


@dataclass(frozen=True, slots=True)
class Task:
    """What was tried: in a few words, and what it might take."""

    words: str
    within_s: float
    memory_mb: int | None = None


def blame(
    tried: Ended, task: Task, refusal: RequirementsRefused, *, silence: str | None, place: Place
) -> RequirementsRefused | ServicesError:
    """Return the error of whoever can mend what `tried` failed of.

    `refusal` is what the author is told if it ended by itself; `silence` is the index's, in
    the words of the uv that asked it right after, None: it answered.
    """
    if silence is not None:
        return ServicesError(
            f"the package index does not answer from {place.words}, so nothing can be said about "
            f"requirements.txt: see {place.look_at} ({silence})"
        )
    if tried.end is not End.EXITED:
        # A resolver that searches for ever is the author's to mend, one that waits is not.
        return too_much(tried, task)
    return refusal


def too_much(tried: Ended, task: Task) -> RequirementsRefused:
    """Return the refusal of packages that took more than they may."""
    if tried.end is End.OUT_OF_MEMORY:
        return RequirementsRefused(
            f"needs more than {task.memory_mb} MiB of memory to {task.words}"
        )
    return RequirementsRefused(f"did not {task.words} within {task.within_s:g} s")
