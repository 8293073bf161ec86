"""Numbers of things, as people say them."""

import pytest

from deployer.core.counts import counted


@pytest.mark.parametrize(
    ("things", "said"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (["a"], "1 file")]
)
def test_one_thing_is_not_many(things: int | list[object], said: str) -> None:
    assert counted(things, "file") == said


def test_a_word_may_have_a_plural_of_its_own() -> None:
    assert counted(1, "status", "statuses") == "1 status"
    assert counted(2, "status", "statuses") == "2 statuses"
