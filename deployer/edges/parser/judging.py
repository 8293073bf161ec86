"""What is to be said of a file whose parse ended so or so. Pure."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

from deployer.core.model import DAGS, Examined, ParseError
from deployer.core.verdicts import trace
from deployer.edges.parser.protocol import Answer, End, Limits

_TOOK_TOO_MUCH = {"MemoryError": End.MEMORY, "BlockingIOError": End.PROCESSES}
"""What Python raises at a bound of memory, and where no process can be forked any more (EAGAIN)."""


def weighed(answer: Answer, root: Path) -> Answer:
    """Return an answer as it counts: some errors are ordinary in Airflow, and harm all the same.

    What such a file took until then, it took from all.
    """
    error = _first_error(answer, root) if answer.end is End.REPORTED else None
    for kind, end in _TOOK_TOO_MUCH.items():
        if error and error.type.endswith(kind):
            return replace(answer, end=end)
    return answer


def may_be_anothers_fault(answer: Answer) -> bool:
    """Say whether a file that was parsed at the same time could have caused it.

    One may fork up to the bound: then no parser can be made for the next, or that one can
    start no program.
    """
    return answer.end in {End.SETUP, End.PROCESSES}


def examined(answer: Answer, root: Path, limits: Limits) -> Examined:
    """Judge a weighed answer, any but that no parser could be made."""
    if answer.end is not End.REPORTED:
        return Examined(answer.path, harm=harm(answer, limits))
    return Examined(
        answer.path,
        answer.dag_ids,
        _first_error(answer, root),
        advice=answer.advice,
        brought=answer.brought,
        assets=answer.assets,
    )


def harm(answer: Answer, limits: Limits) -> str:
    """Say in one short sentence, without its subject, what the file does."""
    if answer.end is End.SIGNAL:
        name = signal.strsignal(answer.code) or "unknown"
        return f"crashes its parser (signal {answer.code}, {name.lower()})"
    return {
        End.HARMFUL: answer.what,
        End.EXIT: f"ends its parser with os._exit({answer.code})",
        End.RAISED: f"ends its parser with {answer.what}, which Airflow does not catch",
        End.TIMEOUT: f"did not finish parsing within {limits.wall_s:g} s",
        End.MEMORY: f"needs more than {limits.memory_mb} MB of memory to parse",
        End.PROCESSES: "starts more processes than one file may have",
        End.LEFT: "starts a process that outlives its parse",
        End.WARDEN: "takes down the process that watches its parser",
        End.UNEXAMINED: "was not examined: the files of this push take too long to parse",
    }[answer.end]


def _first_error(answer: Answer, root: Path) -> ParseError | None:
    """Return what Airflow would say of this file, with paths as in the repository.

    A zip may have several errors, by the absolute path of the module within.
    """
    own = answer.path.removeprefix(DAGS)
    errors = sorted(answer.errors, key=lambda error: (error[0] != own, error[0]))
    return trace.read(errors[0][1].replace(f"{root}/", ""), answer.path) if errors else None
