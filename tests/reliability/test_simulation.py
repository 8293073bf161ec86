"""What the simulation finds: nothing in the deployer, everything that is put into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.reliability.history import (
    CLASSICS,
    EVERY_FAULT,
    STEPS,
    Crash,
    Event,
    FailOnce,
    History,
    Push,
    Spoil,
    draw,
    draw_rollouts,
    failing,
)
from tests.reliability.planted import BUDGET, PLANTED, find
from tests.reliability.simulation import as_test, killed_everywhere, play, shrunk, silence
from tests.reliability.texts import Kind


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    with silence():
        yield


def test_nothing_announced_is_lost_or_told_wrong() -> None:
    assert met(draw, BUDGET) >= EVERY_FAULT


def test_nothing_is_lost_or_told_wrong_whatever_comes_between_the_steps_of_a_rollout() -> None:
    assert met(draw_rollouts, 150) >= {"a crash", "docker", "disk", "a forced push"}


def met(drawing: Callable[[int], History], histories: int) -> set[str]:
    """Play them, and return which faults the worker met."""
    found = Counter[str]()
    for seed in range(histories):
        played = play(drawing(seed))
        found += played.met
        if played.wrong:
            smaller = shrunk(drawing(seed), lambda history: bool(play(history).wrong))
            pytest.fail(f"seed {seed}\n{as_test(smaller, '; '.join(play(smaller).wrong))}")
    return set(found)


@pytest.mark.parametrize("call", STEPS)
def test_a_rollout_that_fails_in_any_step_loses_nothing(call: str) -> None:
    played = play(failing(call))
    assert played.wrong == ()
    assert played.met[f"{call} fails"]


@pytest.mark.parametrize("history", CLASSICS.values(), ids=CLASSICS.keys())
def test_a_crash_at_any_boundary_of_an_effect_loses_nothing(history: History) -> None:
    for crashed in killed_everywhere(history):
        played = play(crashed)
        assert not played.wrong, as_test(crashed, "; ".join(played.wrong))


@pytest.mark.parametrize(
    ("way", "told", "pushes"),
    [
        ("a commit is pending again", "1 commit without an end", 2),
        ("what is live is pending again", "1 commit without an end", 2),
        ("a push is taken for answered", "1 commit without an end", 3),
        ("what is live was never judged", "no deployment has judged it", 3),
    ],
)
@pytest.mark.parametrize("sql", [False, True])
def test_a_row_that_goes_wrong_is_mended_when_the_worker_starts(
    way: str, told: str, pushes: int, *, sql: bool
) -> None:
    pushed: list[tuple[float, Event]] = [
        (0.5, Push((("dags/anna/x.py", Kind.BROKEN, 1),))),
        (3.0, Push((("dags/anna/y.py", Kind.FINE, 1),))),
        (6.1, Push((("dags/ben/x.py", Kind.FINE, 1),))),
    ]
    crash = ((6.0, Crash(1, away_s=5.0)), *pushed[2:pushes], (6.2, Spoil(way)))
    history = History((*pushed[:2], *crash), sql=sql)
    played = play(history)
    assert played.wrong == ()
    assert len(played.mended) == 1
    assert told in played.mended[0]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str) -> None:
    assert find(name).histories is not None


def test_a_seed_gives_the_same_history_and_the_same_end() -> None:
    assert draw(7) == draw(7)
    assert play(draw(7)) == play(draw(7))


def test_a_failing_history_shrinks_to_what_makes_it_fail() -> None:
    push = Push((("dags/anna/x.py", Kind.FINE, 1),))
    pushes = [(float(at), push) for at in range(5)]
    history = History((*pushes, (9.0, FailOnce("journal.end"))))
    smaller = shrunk(
        history, lambda it: any(event == FailOnce("journal.end") for _, event in it.events)
    )
    assert smaller.events == ((9.0, FailOnce("journal.end")),)


def played_by(test: Callable[[], None], scope: dict[str, Any]) -> History:
    """Return the history that a printed test plays; nothing is wrong in it."""
    played: list[History] = []

    def note(history: History) -> Any:  # noqa: ANN401 - what `play` returns
        played.append(history)
        return play(History(()))

    scope["play"] = note
    test()
    return played[0]


def test_a_failing_history_prints_as_a_test() -> None:
    lost = Push((("dags/anna/x.py", Kind.BROKEN, 1),), delays=())
    history = History(((0.5, lost), (0.6, Crash(3))), sql=True)
    scope: dict[str, Any] = {}
    exec(as_test(history, "nothing"), scope)  # noqa: S102 - it is our own
    assert played_by(scope["test_found"], scope) == history
