"""What the benchmarks compute rather than measure."""

from __future__ import annotations

from scripts.benchmarks import tables
from scripts.benchmarks.polled import expected_s


def test_waits_that_follow_each_other_add_up_in_mean_and_worst() -> None:
    assert expected_s(60, 300) == (180, 360)
    assert expected_s(60) == (30, 60)


def test_a_table_has_a_row_for_each_figure_and_a_column_for_each_half() -> None:
    half = {
        "deployments": 8,
        "statuses_posted": 60,
        "pushing_s": 9.7,
        "first_push_to_last_verdict_s": 11.2,
        "first_push_to_last_status_s": 58.1,
    }
    slow = {"files": 16, "verdict_s": 1.2, "all_s": 230.0}
    burst = {"pushes": 30, "within_10_s": half, "one_after_another": half}
    found = {"burst": {**burst, "beside_slow_files": slow}}
    lines = tables.markdown(found).splitlines()
    assert lines[2] == "| 30 pushes | within 10 s | one after another |"
    assert lines[4] == "| deployments | 8 | 8 |"
    assert {line.count("|") for line in lines[2:]} == {4}
