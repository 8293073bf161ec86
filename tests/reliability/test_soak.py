"""A small soak: what `scripts/soak soak` does for long."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.reliability import soak
from tests.reliability.soaking import pages, samples

PUSHES = 30
DEPLOYMENTS = 2000


def test_a_class_at_work_over_a_bad_network_loses_nothing_and_is_told_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "FAULTS", 0.03)
    found = soak.soak(tmp_path / "class", PUSHES, kills=2)
    assert found["wrong"] == []
    assert len(found["verdict_s"]) == PUSHES
    assert sum(map(Counter.total, map(Counter, found["faults"].values()))) > 0


def test_what_is_old_goes_out_of_the_journal_and_the_rest_stays(tmp_path: Path) -> None:
    found = pages.pruned(tmp_path, DEPLOYMENTS, keep_days=1)
    assert found["left"] == 24 * 60


def test_growth_is_told_from_ups_and_downs() -> None:
    assert samples.growth([0, 1, 2, 3], [100, 102, 98, 100]) == pytest.approx(-0.012)
    assert samples.growth([0, 1, 2, 3], [100, 110, 120, 130]) == pytest.approx(30 / 115)
