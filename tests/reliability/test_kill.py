"""A part of the kill matrix: of each play some boundaries, at a fixed stride.

All of them: `scripts/soak kill`.
"""

from __future__ import annotations

from tests.integration.conftest import postgres_url  # noqa: F401  # a fixture
from tests.reliability.killing.matrix import PLAYS, WEB, Case, Outcome, class_of

TRIED = 2
"""Boundaries of each play, from one end of it to the other."""
KINDS = {
    *("journal", "git", "releases", "feed", "parser", "github", "services", "airflow"),
    *("fetch", "fsync", "open", "os", "shutil", "start"),
}
"""Of effects: what a boundary's name begins with."""


def _all_hold(outcome: Outcome, died: int) -> None:
    assert {str(case): wrong for case, wrong in outcome.failed.items()} == {}
    assert outcome.died == died


def test_a_worker_that_is_killed_at_any_effect_converges_and_every_invariant_holds() -> None:
    met = set()
    with class_of() as matrix:
        for number, play in enumerate(PLAYS):
            cases = matrix.cases(play)
            # Each play begins elsewhere, so that together they are spread over all effects.
            matrix.try_some(cases, TRIED, at=number * len(cases) // TRIED // len(PLAYS))
            met |= {case.boundary.split()[0].partition(".")[0] for case in cases}
        _all_hold(matrix.outcome, died=TRIED * len(PLAYS))
    assert met == KINDS


def test_a_web_process_that_is_killed_around_its_answer_loses_no_push() -> None:
    with class_of() as matrix:
        outcome = matrix.try_all([Case("change", boundary, "web") for boundary in WEB])
        _all_hold(outcome, died=len(WEB))


def test_a_worker_that_is_killed_converges_on_postgresql(
    postgres_url: str,  # noqa: F811
) -> None:
    with class_of(postgres_url) as matrix:
        cases = matrix.cases("packages")
        outcome = matrix.try_some(cases, TRIED, at=len(cases) // TRIED // 2)
        _all_hold(outcome, died=TRIED)


def test_a_power_cut_in_a_publication_leaves_what_converges_elsewhere() -> None:
    with class_of(with_power=True) as matrix:  # the least and the most that may be left
        cases = matrix.cases("change", power_cuts=True)
        at = [number for number, case in enumerate(cases) if "class/current" in case.boundary]
        _all_hold(matrix.try_all(cases[at[0] : at[0] + 4 : 3]), died=2)
