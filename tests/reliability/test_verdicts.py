"""What the oracle finds: nothing in the deployer, and what is put into it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import pytest

from deployer.core.dependencies import affected
from deployer.core.model import Ending, File, Tree, Verdict
from deployer.core.planning import held
from deployer.core.reporting import commit_status
from deployer.core.reporting.commit_status import Commit
from tests.reliability.verdicts import failing

real_modules = affected.modules


def test_what_is_live_and_told_is_what_the_texts_decide() -> None:
    assert [(seed, played.wrong) for seed, played in failing(range(300))] == []


@pytest.mark.parametrize("seed", [85063, 5000906])
def test_who_breaks_what_only_stays_in_the_place_of_a_dangling_link_is_told(seed: int) -> None:
    assert [played.wrong for _, played in failing(range(seed, seed + 1))] == []


def _held_for_a_file_that_was_never_live(
    live: Tree | None,
    tip: Tree,
    harmful: Collection[str],
    *,
    held: Collection[str],
    published: Mapping[str, File],
) -> dict[str, str]:
    known = live.files if live else {}
    return real_modules(live, tip, harmful, held=held, published=known)


def _never_judged_anew(*files: object) -> set[str]:
    return set()


def _of_others_is_green(commit: Commit, ending: Ending) -> list[Verdict]:
    return []


def _nobody_has_it(*claims: object) -> list[str]:
    return []


FAULTS: Mapping[str, tuple[object, str, Callable[..., object], range]] = {
    "a helper is held for a file that was never live": (
        affected,
        "modules",
        _held_for_a_file_that_was_never_live,
        range(5),
    ),
    "what is held stays so when what it needs moves": (
        affected.Held,
        "woken",
        _never_judged_anew,
        range(5),
    ),
    "what a commit broke of others is green": (
        commit_status,
        "_harmed",
        _of_others_is_green,
        range(40, 45),
    ),
    "who has a dag_id loses it to others": (held, "_keepers", _nobody_has_it, range(8, 12)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, faulty, seeds = FAULTS[fault]
    monkeypatch.setattr(where, name, faulty)
    assert next(failing(seeds), None) is not None
