"""What the webhook has to be, and which deliveries are asked for again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from deployer.core.hooks import MOST, Delivery, Hook, amiss, body, lost, ours, to_ask_again

NOW = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
URL = "https://class.example.org/webhook"
GOOD = Hook(7, URL, "json", "0", has_secret=True, events=frozenset({"push"}), active=True)


def tried(
    guid: str, code: int, *, ago_s: float = 3600, event: str = "push", again: bool = False
) -> Delivery:
    return Delivery(
        int(ago_s * 10), guid, event, NOW - timedelta(seconds=ago_s), code, redelivery=again
    )


def test_our_hooks_are_those_that_deliver_to_us() -> None:
    other = replace(GOOD, id=8, url="https://ci.example.org/webhook")
    slashed = replace(GOOD, id=9, url=f"{URL}/")
    assert ours([GOOD, other, slashed], URL) == (GOOD, slashed)


def test_nothing_is_amiss_with_what_we_made() -> None:
    assert amiss(GOOD) == ()
    assert amiss(replace(GOOD, last_code=202)) == ()


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        (replace(GOOD, content_type="form"), "content type"),
        (replace(GOOD, insecure_ssl="1"), "certificate"),
        (replace(GOOD, has_secret=False), "no secret"),
        (replace(GOOD, last_code=401), "secrets differ"),
        (replace(GOOD, events=frozenset({"push", "issues"})), "events"),
        (replace(GOOD, active=False), "not active"),
    ],
)
def test_each_setting_that_is_not_as_it_should_be_is_named(hook: Hook, said: str) -> None:
    (reason,) = amiss(hook)
    assert said in reason


def test_github_is_sent_all_of_it() -> None:
    assert body(URL, "s" * 16) == {
        "config": {"url": URL, "content_type": "json", "insecure_ssl": "0", "secret": "s" * 16},
        "events": ["push"],
        "active": True,
    }


@pytest.mark.parametrize("code", [0, 401, 502, 504])
def test_a_push_that_never_arrived_is_lost(code: int) -> None:
    assert [one.guid for one in lost([tried("a", code)], NOW)] == ["a"]


@pytest.mark.parametrize(
    "tries",
    [
        [tried("a", 202)],
        [tried("a", 502), tried("a", 202, ago_s=60, again=True)],
        [tried("a", 502, event="ping")],
        [tried("a", 502, ago_s=59)],
        [tried("a", 502, ago_s=3 * 86_400)],
    ],
)
def test_what_arrived_is_no_push_still_comes_or_is_too_old_is_not_lost(
    tries: list[Delivery],
) -> None:
    assert lost(tries, NOW) == ()


def test_each_is_asked_for_again_once_by_its_newest_try() -> None:
    first = [tried("a", 502, ago_s=900), tried("b", 502, ago_s=800)]
    assert to_ask_again(first, NOW) == tuple(first)
    again = tried("a", 502, ago_s=100, again=True)
    assert to_ask_again([*first, again], NOW) == (first[1],)
    assert lost([*first, again], NOW) == (first[1], again)


def test_a_day_of_lost_pushes_is_asked_for_in_parts_oldest_first() -> None:
    many = [tried(str(number), 502, ago_s=1000 + number) for number in range(100)]
    asked = to_ask_again(many, NOW)
    assert len(asked) == MOST
    assert asked[0].guid == "99"
