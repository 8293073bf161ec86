"""What `scripts/soak soak` makes of its figures; it is run by hand, for it takes an hour."""

from __future__ import annotations

import pytest

from tests.reliability.soaking import samples


def test_growth_is_told_from_ups_and_downs() -> None:
    assert samples.growth([0, 1, 2, 3], [100, 102, 98, 100]) == pytest.approx(-0.012)
    assert samples.growth([0, 1, 2, 3], [100, 110, 120, 130]) == pytest.approx(30 / 115)


def test_half_a_thread_more_is_no_growth_and_one_is() -> None:
    assert samples.growth([0, 1, 2, 3], [3, 3, 3, 4], least=1) == 0
    assert samples.growth([0, 1, 2, 3], [3, 4, 4, 5], least=1) == pytest.approx(1.8 / 4)
