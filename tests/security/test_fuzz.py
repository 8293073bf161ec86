"""Each target of `fuzz`, with as many inputs as there is time for at each push."""

from __future__ import annotations

import pytest

from tests.security import fuzz


@pytest.mark.parametrize("target", fuzz.TARGETS)
def test_no_input_has_an_answer_that_is_wrong_late_or_large(target: str) -> None:
    assert fuzz.run(target, 2_000).inputs >= 1_000
