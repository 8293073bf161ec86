"""Whose fault it is that packages could not be installed."""

from __future__ import annotations

import pytest

from deployer.core.requirements.blame import (
    CommandEnd,
    Ended,
    Place,
    Task,
    blame,
    ended_in_time,
    too_much,
)
from deployer.errors import RequirementsRefused, ServicesError

PLACE = Place("a container", "Docker's network and DNS")
TASK = Task("resolve", 120, memory_mb=2048)
REFUSAL = RequirementsRefused("nosuch was not found", line=3)
FAILURES = [
    Ended(CommandEnd.EXITED, 1, "not found"),
    Ended(CommandEnd.EXITED, 2, "can't be read, or its host is away"),
    Ended(CommandEnd.OUT_OF_TIME, -9, ""),
    Ended(CommandEnd.OUT_OF_MEMORY, 137, ""),
]


@pytest.mark.parametrize("tried", FAILURES)
def test_no_author_is_blamed_while_the_index_does_not_answer(tried: Ended) -> None:
    error = blame(tried, TASK, REFUSAL, silence="dns error", place=PLACE)
    assert isinstance(error, ServicesError)
    assert "does not answer from a container" in str(error)
    assert "see Docker's network and DNS (dns error)" in str(error)


@pytest.mark.parametrize("tried", FAILURES)
def test_the_author_is_blamed_for_any_failure_while_the_index_answers(tried: Ended) -> None:
    error = blame(tried, TASK, REFUSAL, silence=None, place=PLACE)
    assert isinstance(error, RequirementsRefused)


@pytest.mark.parametrize("status", [1, 2])
def test_the_author_is_told_what_uv_said(status: int) -> None:
    tried = Ended(CommandEnd.EXITED, status, "")
    assert blame(tried, TASK, REFUSAL, silence=None, place=PLACE) is REFUSAL


def test_what_takes_too_much_is_told_with_its_bound() -> None:
    assert too_much(FAILURES[2], TASK).reason == "did not resolve within 120 s"
    assert too_much(FAILURES[3], TASK).reason == "needs more than 2048 MiB of memory to resolve"


@pytest.mark.parametrize(
    ("ended", "well"),
    [
        (Ended(CommandEnd.EXITED, 0, ""), True),
        (Ended(CommandEnd.EXITED, 1, ""), False),
        (Ended(CommandEnd.OUT_OF_TIME, 0, ""), False),
    ],
)
def test_only_a_command_that_exits_with_0_ended_well(ended: Ended, *, well: bool) -> None:
    assert ended.well is well


@pytest.mark.parametrize(
    ("status", "text", "told", "end"),
    [
        (0, "", False, CommandEnd.EXITED),
        (0, "Killed by the moonlight", True, CommandEnd.EXITED),
        (1, "error: not found", False, CommandEnd.EXITED),
        (1, "error: not found", True, CommandEnd.OUT_OF_MEMORY),
        (137, "", False, CommandEnd.OUT_OF_MEMORY),
        (5, "bash: line 1:     7 Killed                  python", False, CommandEnd.OUT_OF_MEMORY),
        (1, "Call to `build_wheel` failed (signal: 9 (SIGKILL))", False, CommandEnd.OUT_OF_MEMORY),
        (1, "died with <Signals.SIGKILL: 9>.", False, CommandEnd.OUT_OF_MEMORY),
        (1, "gcc: fatal error: Killed signal terminated program", False, CommandEnd.OUT_OF_MEMORY),
        (1, "Killed\n" + "later\n" * 20, False, CommandEnd.EXITED),
        (1, "SkilledWorker 1.0", False, CommandEnd.EXITED),
    ],
)
def test_a_command_of_which_anything_was_killed_had_too_little_memory(
    status: int, text: str, end: CommandEnd, *, told: bool
) -> None:
    assert ended_in_time(status, text, told=told) == Ended(end, status, text)
