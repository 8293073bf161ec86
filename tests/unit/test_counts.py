"""Numbers of things, as people say them."""

from datetime import timedelta

import pytest

from deployer.core.counts import counted, lasting


@pytest.mark.parametrize(
    ("things", "said"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (["a"], "1 file")]
)
def test_one_thing_is_not_many(things: int | list[object], said: str) -> None:
    assert counted(things, "file") == said


def test_a_word_may_have_a_plural_of_its_own() -> None:
    assert counted(1, "status", "statuses") == "1 status"
    assert counted(2, "status", "statuses") == "2 statuses"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (90_000, "25 h"), (172_800, "2 days")],
)
def test_a_span_is_told_in_the_largest_unit_of_which_it_has_two(seconds: int, said: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == said
