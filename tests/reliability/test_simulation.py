"""What the simulation finds: nothing in the deployer, everything that is put into it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.reliability.history import CLASSICS, FailOnce, History, Push, draw
from tests.reliability.planted import BUDGET, PLANTED, find
from tests.reliability.simulation import as_test, killed_everywhere, play, shrunk, silence
from tests.reliability.texts import Kind


@pytest.fixture(autouse=True)
def _silent() -> Iterator[None]:
    with silence():
        yield


def test_nothing_announced_is_lost_or_told_wrong() -> None:
    for seed in range(BUDGET):
        wrong = play(draw(seed)).wrong
        if wrong:
            smaller = shrunk(draw(seed), lambda history: bool(play(history).wrong))
            pytest.fail(f"seed {seed}\n{as_test(smaller, '; '.join(play(smaller).wrong))}")


@pytest.mark.parametrize("history", CLASSICS.values(), ids=CLASSICS.keys())
def test_a_crash_at_any_boundary_of_an_effect_loses_nothing(history: History) -> None:
    for crashed in killed_everywhere(history):
        played = play(crashed)
        assert not played.wrong, as_test(crashed, "; ".join(played.wrong))


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


def test_a_failing_history_prints_as_a_test() -> None:
    history = History(((0.5, Push((("dags/anna/x.py", Kind.FINE, 1),))),))
    printed = as_test(history, "nothing")
    scope: dict[str, object] = {"History": History, "Push": Push, "Kind": Kind, "play": play}
    exec(printed, scope)  # noqa: S102 - it is our own
    assert "test_found" in scope
