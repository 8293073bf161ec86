"""`deployer check` and a push of the same working copy say the same."""

from __future__ import annotations

import pytest

from deployer.core.model import Tree
from deployer.edges.git.working_copy import WorkingCopy
from tests.reliability.parity import failing


def test_a_check_says_what_the_push_is_told() -> None:
    assert list(failing(range(20))) == []


def test_a_check_that_knows_nothing_of_what_is_gone_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def nothing(copy: WorkingCopy, tree: Tree) -> frozenset[str]:
        return frozenset()

    monkeypatch.setattr(WorkingCopy, "gone", nothing)
    assert next(failing(range(40, 80)), None) is not None
