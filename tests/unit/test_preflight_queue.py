"""Whose file the isolated parser takes next."""

from __future__ import annotations

from collections import deque
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

FILES = Path(__file__).parents[2] / "include" / "airflow"

with pytest.MonkeyPatch.context() as patched:
    # As the isolated parser has it: from a directory on its path.
    patched.syspath_prepend(str(FILES))
    queue = import_module("preflight_queue")

LIMITS = None  # of no concern here


def request(number: int, waiting: int, running: int = 0, parallel: int = 2) -> Any:  # noqa: ANN401  # of a module that mypy does not see
    paths = deque(f"dags/a/{n}.py" for n in range(waiting))
    return queue.Request(number, "/r", parallel, LIMITS, paths, running)


def started(*requests: Any) -> list[int]:  # noqa: ANN401  # likewise
    """Start all that may run; return whose files, in order."""
    found = []
    while one := queue.next_to_start(requests):
        one.waiting.popleft()
        one.running += 1
        found.append(one.number)
    return found


def test_with_nothing_asked_nothing_starts() -> None:
    assert started() == []


def test_one_request_has_as_many_parsers_as_it_asked_for() -> None:
    assert started(request(1, waiting=5)) == [1, 1]
    assert started(request(1, waiting=5, running=1)) == [1]
    assert started(request(1, waiting=1)) == [1]


def test_the_last_request_waits_for_nobody() -> None:
    assert started(request(1, waiting=5, running=2), request(2, waiting=1)) == [2]
    assert started(request(1, 5, running=2), request(2, 5, running=2), request(3, 5)) == [3, 3]


def test_the_one_before_goes_on_beside_it() -> None:
    assert started(request(1, waiting=5, running=1), request(2, waiting=5)) == [2, 2, 1]


def test_all_before_it_share_as_many_parsers_and_the_later_one_goes_first() -> None:
    first, second, last = request(1, 5), request(2, 1), request(3, 5)

    assert started(first, second, last) == [3, 3, 2, 1]


def test_there_is_room_for_one_more_request_once_what_ran_has_ended() -> None:
    first, second, third = request(1, 5), request(2, 5), request(3, 5)
    started(first, second, third)

    assert started(first, second, third, request(4, waiting=2)) == [4, 4]


def test_there_are_never_more_than_three_times_as_many() -> None:
    busy = [request(number, waiting=5, running=2) for number in (1, 2, 3)]

    assert started(*busy, request(4, waiting=1)) == []
    busy[0].running = 1
    assert started(*busy, request(4, waiting=1)) == [4]


def test_when_the_last_is_done_the_one_before_has_its_parsers() -> None:
    assert started(request(1, waiting=5), request(2, waiting=5)) == [2, 2, 1, 1]


def test_a_request_is_done_when_nothing_waits_or_runs() -> None:
    assert request(1, waiting=0).done
    assert not request(1, waiting=1).done
    assert not request(1, waiting=0, running=1).done
