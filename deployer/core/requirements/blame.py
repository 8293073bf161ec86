"""Tell whose fault it is that a class's packages could not be installed.

Pure. uv's exit status alone does not tell. With uv 0.13, 1 is a text that can't be solved, a
package whose build fails or a wrong hash, and 2 an index out of reach, but a line that uv
can't read as well; with 0.9, some networks that fail are 1 (both tried). So a failure is the
author's just if the same uv, in the same place, gets Airflow itself out of the index right
after: also where a host that only the text names is out of reach.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from deployer.errors import RequirementsRefused, ServicesError

_KILLED = 137
"""The status of what SIGKILL ended, 128 more than the signal's number."""
_CHILD_KILLED = re.compile(r"\bKilled\b|\bSIGKILL\b")
"""As a shell, uv, pip and compilers tell it of a child."""
_LAST_LINES = 20


class CommandEnd(StrEnum):
    """How a command ended."""

    EXITED = "exited"
    OUT_OF_TIME = "out of time"
    OUT_OF_MEMORY = "out of memory"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, its exit status, and both its streams as one text."""

    end: CommandEnd
    status: int
    text: str

    @property
    def well(self) -> bool:
        return self.end is CommandEnd.EXITED and self.status == 0


def ended_in_time(status: int, text: str, *, told: bool = False) -> Ended:
    """Return the end of a command in a container that nobody but the kernel kills.

    The kernel does so for memory's sake alone. Where it killed a child, the parent fails in its
    own way and Docker may not hear of it (`OOMKilled`, here `told`): with cgroups v1 it was not
    told on Linux 6.18, though the kernel had counted the kill.
    """
    last = "\n".join(text.splitlines()[-_LAST_LINES:])
    killed = status == _KILLED or (status and (told or _CHILD_KILLED.search(last)))
    return Ended(CommandEnd.OUT_OF_MEMORY if killed else CommandEnd.EXITED, status, text)


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
    if tried.end is not CommandEnd.EXITED:
        # A resolver that searches for ever is the author's to mend, one that waits is not.
        return too_much(tried, task)
    return refusal


def too_much(tried: Ended, task: Task) -> RequirementsRefused:
    """Return the refusal of packages that took more than they may."""
    if tried.end is CommandEnd.OUT_OF_MEMORY:
        return RequirementsRefused(
            f"needs more than {task.memory_mb} MiB of memory to {task.words}"
        )
    return RequirementsRefused(f"did not {task.words} within {task.within_s:g} s")
