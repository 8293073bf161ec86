"""When the next write to GitHub may go."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.core.model import Closed
from deployer.core.reporting.pacing import (
    BURST,
    BURST_KEPT,
    LAST_RETRY_S,
    SLOW_S,
    TRIES_IF_UNKNOWN,
    WINDOW,
    WINDOW_KEPT,
    WINDOW_S,
    Pace,
    closed_for_s,
    refusal_stands,
    retry_delay_s,
)

GITHUBS = ((60.0, 80), (3600.0, 500))
"""Seconds, and how many writes GitHub takes in any such span."""


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
    assert paced([100.0] * 21) == [100.0] * 18 + [101.0, 102.0, 103.0]


def test_after_a_rest_a_whole_burst_goes_again() -> None:
    assert paced([0.0] * 10 + [10.0] * 10)[10:] == [10.0] * 10


def test_half_a_rest_gives_half_a_burst() -> None:
    assert paced([0.0] * 18 + [9.0] * 10)[18:] == [9.0] * 9 + [10.0]


def test_nobody_waits_for_the_rest_of_an_hour_in_which_too_much_went() -> None:
    went = paced([0.0] * 500)

    assert went[WINDOW - WINDOW_KEPT - 1] < WINDOW
    assert max(later - sooner for sooner, later in itertools.pairwise(went)) == SLOW_S


@settings(deadline=None)
@given(st.lists(st.floats(min_value=0, max_value=8000), max_size=700).map(sorted))
def test_no_window_ever_holds_more_than_github_allows(wishes: list[float]) -> None:
    went = paced(wishes)

    for span, most in GITHUBS:
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


def test_the_refusal_of_an_unknown_commit_stands_after_some_tries_and_any_other_at_once() -> None:
    unknown = "GitHub answered 422: No commit found for SHA: aaaa"
    tries = (1, TRIES_IF_UNKNOWN - 1, TRIES_IF_UNKNOWN, TRIES_IF_UNKNOWN + 1)
    assert [refusal_stands(unknown, attempts) for attempts in tries] == [False, False, True, True]
    assert refusal_stands("GitHub answered 422: Target url must use http(s) scheme", 1)


def test_what_a_bucket_keeps_is_left_by_who_can_wait() -> None:
    pace = Pace()
    for _ in range(BURST - BURST_KEPT):
        assert pace.next_write_at(100.0, keeping=True) == 100.0
        pace = pace.wrote(100.0)

    assert pace.next_write_at(100.0) == 100.0
    assert pace.next_write_at(100.0, keeping=True) == 101.0


@given(st.lists(st.floats(min_value=0, max_value=8000), max_size=700).map(sorted))
def test_what_went_lately_is_all_that_a_start_has_to_know(wishes: list[float]) -> None:
    went = paced(wishes)
    now = went[-1] if went else 0.0
    pace = Pace.after(went, now=now)
    lately = [at for at in went if at > now - WINDOW_S][-WINDOW:]

    assert Pace.after(lately, now=now).next_write_at(now) == pytest.approx(pace.next_write_at(now))


@pytest.mark.parametrize("off_s", [-3600.0, 3600.0])
def test_a_clock_set_by_an_hour_costs_no_more_than_the_pause_between_two(off_s: float) -> None:
    went = [off_s + at for at in paced([0.0] * WINDOW)]
    now = went[-1] - off_s

    assert Pace.after(went, now=now).next_write_at(now) <= now + SLOW_S


def test_githubs_own_word_is_waited_for_until_its_time_and_never_longer() -> None:
    word = Closed(datetime(2026, 3, 1, tzinfo=UTC), 90.0)

    assert [closed_for_s(word, ago_s=ago_s) for ago_s in (30.0, 90.0, 3600.0)] == [60.0, 0.0, 0.0]
    assert closed_for_s(word, ago_s=-3600.0) == 90.0
