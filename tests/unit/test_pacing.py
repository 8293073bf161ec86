"""When the next write to GitHub may go."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.core.pacing import BURST, LAST_RETRY_S, WINDOWS, Pace, refusal_stands, retry_delay_s


def paced(wishes: list[float]) -> list[float]:
    """Return when writes go that are wished for at those times, one after the other."""
    pace, went, now = Pace(), [], 0.0
    for wish in wishes:
        now = max(now, wish)
        now = pace.next_write_at(now)
        pace = pace.wrote(now)
        went.append(now)
    return went


def test_the_first_write_goes_at_once() -> None:
    assert Pace().next_write_at(1234.5) == 1234.5


def test_a_burst_goes_back_to_back_and_then_one_a_second() -> None:
    assert paced([100.0] * 13) == [100.0] * 10 + [101.0, 102.0, 103.0]


def test_after_a_rest_a_whole_burst_goes_again() -> None:
    assert paced([0.0] * 10 + [10.0] * 10)[10:] == [10.0] * 10


def test_half_a_rest_gives_half_a_burst() -> None:
    assert paced([0.0] * 10 + [5.0] * 6)[10:] == [5.0] * 5 + [6.0]


def test_after_500_writes_in_an_hour_the_next_waits_for_the_first_to_be_an_hour_old() -> None:
    went = paced([0.0] * 501)

    assert went[499] < 500.0
    assert went[500] == 3600.0


def test_no_more_writes_are_remembered_than_a_decision_needs() -> None:
    pace = Pace()
    for second in range(2000):
        pace = pace.wrote(float(second))

    assert len(pace.writes) == 500


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=8000), max_size=700).map(sorted))
def test_no_window_ever_holds_more_than_github_allows(wishes: list[float]) -> None:
    went = paced(wishes)

    for span, most in WINDOWS:
        for first, beyond in zip(went, went[most:], strict=False):
            assert beyond >= first + span
    for first, beyond in zip(went, went[BURST:], strict=False):
        assert beyond - first >= 1.0 - 1e-6


def test_the_clock_may_start_below_zero() -> None:
    pace = Pace().wrote(-50.0)

    assert pace.next_write_at(-50.0) == -50.0


def test_retries_double_from_one_second_to_five_minutes() -> None:
    delays = [retry_delay_s(attempts) for attempts in range(1, 12)]

    assert delays[:4] == [1.0, 2.0, 4.0, 8.0]
    assert delays[-2:] == [LAST_RETRY_S, LAST_RETRY_S]
    assert all(later >= sooner for sooner, later in itertools.pairwise(delays))


def test_a_million_attempts_are_no_overflow() -> None:
    assert retry_delay_s(1_000_000) == LAST_RETRY_S


def test_githubs_own_word_is_waited_for_and_grows_with_each_attempt() -> None:
    assert [retry_delay_s(attempts, 60.0) for attempts in (1, 2, 3)] == [61.0, 62.0, 64.0]


@pytest.mark.parametrize(
    ("attempts", "age_s", "stands"),
    [(1, 0.0, False), (4, 59.9, False), (5, 0.0, True), (1, 60.0, True)],
)
def test_a_refusal_of_something_new_stands_after_a_few_tries(
    attempts: int, age_s: float, *, stands: bool
) -> None:
    assert refusal_stands(attempts, age_s) is stands


def test_jitter_stretches_the_doubling_alone() -> None:
    assert retry_delay_s(3, 60.0, jitter=0.5) == pytest.approx(66.0)


def test_the_room_left_in_the_burst_is_counted() -> None:
    pace = Pace()
    assert pace.room(100.0) == BURST
    pace = pace.wrote(100.0).wrote(100.0)
    assert pace.room(100.0) == BURST - 2
    assert pace.room(101.5) == BURST - 1
    assert pace.room(200.0) == BURST
