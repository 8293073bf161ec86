"""Whose fault it is that packages could not be installed."""

from __future__ import annotations

import pytest

from deployer.core.requirements.blame import End, Ended, Place, Task, blame, too_much
from deployer.errors import RequirementsRefused, ServicesError

PLACE = Place("a container", "Docker's network and DNS")
TASK = Task("resolve", 120, memory_mb=2048)
REFUSAL = RequirementsRefused("nosuch was not found", line=3)
FAILURES = [
    Ended(End.EXITED, 1, "not found"),
    Ended(End.EXITED, 2, "can't be read, or its host is away"),
    Ended(End.OUT_OF_TIME, -9, ""),
    Ended(End.OUT_OF_MEMORY, 137, ""),
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
    tried = Ended(End.EXITED, status, "")
    assert blame(tried, TASK, REFUSAL, silence=None, place=PLACE) is REFUSAL


def test_what_takes_too_much_is_told_with_its_bound() -> None:
    assert too_much(FAILURES[2], TASK).reason == "did not resolve within 120 s"
    assert too_much(FAILURES[3], TASK).reason == "needs more than 2048 MiB of memory to resolve"


@pytest.mark.parametrize(
    ("ended", "well"),
    [
        (Ended(End.EXITED, 0, ""), True),
        (Ended(End.EXITED, 1, ""), False),
        (Ended(End.OUT_OF_TIME, 0, ""), False),
    ],
)
def test_only_a_command_that_exits_with_0_ended_well(ended: Ended, *, well: bool) -> None:
    assert ended.well is well
