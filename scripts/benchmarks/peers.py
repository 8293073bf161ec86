"""The same class by three ways, one after the other on this machine: push to verdict.

ours    the deployer, its isolated parse included: until the last final status is posted
cron    `git pull` every minute and Airflow's defaults: until Airflow's REST API shows the new text
tuned   `git pull` every second and Airflow looking at each tick: the same

All times begin just before `git push`. Half of the pushes bring a new file, half change one.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from scripts.benchmarks.polled import Polled, expected_s, polled
from scripts.benchmarks.staging import (
    PAUSE_S,
    Figures,
    class_of,
    median,
    median_parts,
    say,
    spread,
    staged,
    start_class,
    timed,
)

FILES = 30
PUSHES = 20
CRON_PUSHES = 3
PULL_S, REFRESH_S = 60.0, 300.0
"""cron's finest interval, and the default of `[dag_processor] refresh_interval`."""
CRON_BOUND_S = 800.0
CRON_LOOK_S, TUNED_LOOK_S = 0.5, 0.05
TUNED_BOUND_S = 60.0
TUNED = {
    "DAG_PROCESSOR__REFRESH_INTERVAL": "1",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "0",
}
SEED = 5
"""Of the phases at which pushes come; so that two runs are alike."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Seconds from each push to its verdict."""

    new: list[float]
    changed: list[float]

    def add(self, number: int, seconds: float) -> None:
        (self.changed if number % 2 else self.new).append(seconds)

    def figures(self) -> Figures:
        return {
            **spread([*self.new, *self.changed]),
            "new_file": spread(self.new),
            "changed_file": spread(self.changed),
        }


def run() -> Figures:
    """Return seconds for each side, and how many times the deployer is faster."""
    ours, tuned, cron = _ours(), _tuned(), _cron()
    mean_s, worst_s = expected_s(PULL_S, REFRESH_S)
    changed_mean_s, changed_worst_s = expected_s(PULL_S)
    computed = {
        "new_file_mean_s": mean_s,
        "new_file_worst_s": worst_s,
        "changed_file_mean_s": changed_mean_s,
        "changed_file_worst_s": changed_worst_s,
    }
    whole, new, changed = (
        median([*ours.seen.new, *ours.seen.changed]),
        median(ours.seen.new),
        median(ours.seen.changed),
    )
    return {
        "class_files": FILES,
        "ours": {
            **ours.seen.figures(),
            "delivery_to_last_status_median_s": ours.delivery_s,
            "parts_s": ours.parts_s,
        },
        "cron": {**cron.figures(), "computed": computed},
        "tuned": tuned.figures(),
        "times_faster": {
            "than_cron_computed_new_file": round(mean_s / new, 1),
            "than_cron_computed_changed_file": round(changed_mean_s / changed, 1),
            "than_cron_measured_new_file": round(median(cron.new) / new, 1),
            "than_cron_measured_changed_file": round(median(cron.changed) / changed, 1),
            "than_tuned": round(median([*tuned.new, *tuned.changed]) / whole, 2),
        },
    }


def _files(number: int) -> tuple[int, int]:
    """Return which DAG the push of that number brings, and which edition of it."""
    return FILES + number // 2, number % 2


@dataclass(frozen=True, slots=True)
class _Ours:
    seen: Seen
    delivery_s: float
    parts_s: dict[str, float]


def _ours() -> _Ours:
    seen, runs = Seen([], []), []
    with staged("peers") as stage:
        start_class(stage, class_of(range(FILES)))
        student = stage.student("student")
        for number in range(PUSHES):
            time.sleep(PAUSE_S)
            dag, edition = _files(number)
            runs.append(timed(stage, student, f"Push {number}", class_of([dag], edition)))
            seen.add(number, runs[-1].push_s)
    return _Ours(
        seen,
        median([one.delivery_s for one in runs]),
        median_parts([one.deployment for one in runs]),
    )


def _tuned() -> Seen:
    seen, chance = Seen([], []), random.Random(SEED)  # noqa: S311  # no secret
    say(f"git pull every second, Airflow tuned: {PUSHES} pushes")
    with polled(FILES, pull_every_s=1.0, tuned=TUNED) as peer:
        for number in range(PUSHES):
            time.sleep(chance.uniform(1.0, 3.0))
            began = _push(peer, number, [_files(number)])
            peer.rest.wait([_files(number)], every_s=TUNED_LOOK_S, bound_s=TUNED_BOUND_S)
            seen.add(number, time.monotonic() - began)
    return seen


def _cron() -> Seen:
    """Push at chance moments, one in each third of Airflow's interval: a new file and a change."""
    seen, chance = Seen([], []), random.Random(SEED)  # noqa: S311  # no secret
    third_s = REFRESH_S / CRON_PUSHES
    due = [third_s * (number + chance.random()) for number in range(CRON_PUSHES)]
    first_pull_s = chance.uniform(0, PULL_S)
    say(f"cron and Airflow's defaults: {CRON_PUSHES} pushes, 5 to 11 minutes")
    waiting: dict[tuple[int, int], tuple[float, list[float]]] = {}
    with polled(FILES, pull_every_s=PULL_S, first_pull_s=first_pull_s, tuned={}) as peer:
        start = time.monotonic()
        while due or waiting:
            if due and time.monotonic() - start >= due[0]:
                due.pop(0)
                number = len(due)
                new, changed = (FILES + number, 0), (number, 1)
                began = _push(peer, number, [new, changed])
                waiting |= {new: (began, seen.new), changed: (began, seen.changed)}
            for one in [one for one in waiting if peer.rest.shows(*one)]:
                began, seconds = waiting.pop(one)
                seconds.append(time.monotonic() - began)
                say(f"shown after {seconds[-1]:.1f} s")
            if time.monotonic() - start > CRON_BOUND_S:
                raise TimeoutError(f"Airflow does not show {sorted(waiting)}")
            time.sleep(CRON_LOOK_S)
    return seen


def _push(peer: Polled, number: int, dags: list[tuple[int, int]]) -> float:
    """Push these editions; return when that began."""
    files = {path: text for dag, edition in dags for path, text in class_of([dag], edition).items()}
    peer.student.commit(f"Push {number}", files)
    return peer.student.push().began
