"""Thirty students push within ten seconds; then the same thirty, one after another.

Two ends are told apart: the verdict, as the deployer's own page shows it, and the last status
on GitHub, which takes one write a second from us.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from deployer.demo.stage import Stage
from deployer.demo.student import Push
from scripts.benchmarks.staging import (
    FOLDERS,
    Figures,
    between,
    class_of,
    dag_path,
    ended_at,
    of_commit,
    say,
    staged,
    student_of,
    timed,
)

WITHIN_S = 10.0
REST_S = 30.0
"""Until GitHub's limits on writing are paid off, in which one half must not pay for the other."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """One student's push; `at`: when it began, on the wall clock."""

    number: int
    push: Push
    at: datetime


def run() -> Figures:
    """Return how many deployments there were, and the seconds to the last verdict and status."""
    with staged("burst") as stage:
        timed(stage, stage.student("teacher"), "Start", class_of(range(FOLDERS)))
        for number in range(FOLDERS):
            stage.student(student_of(number))  # clones, before the clock runs
        time.sleep(REST_S)
        together = _measured(stage, edition=1, pause=_pacer(WITHIN_S / FOLDERS))
        time.sleep(REST_S)
        one_by_one = _measured(stage, edition=2, pause=lambda pushed: _await_verdict(stage, pushed))
    return {"pushes": FOLDERS, "within_10_s": together, "one_after_another": one_by_one}


def _measured(stage: Stage, *, edition: int, pause: Callable[[Pushed], None]) -> Figures:
    """Let every student push, with a `pause` after each, and wait for the last status."""
    before = stage.get("/api/v1/deployments?limit=1").json()["deployments"][0]["id"]
    pushed: list[Pushed] = []
    for number in range(FOLDERS):
        student = stage.student(student_of(number))
        student.commit(f"Edition {edition}", class_of([number], edition))
        at = datetime.now(UTC)
        pushed.append(Pushed(number, student.push(), at))
        pause(pushed[-1])
    say(f"{FOLDERS} pushes within {pushed[-1].push.began - pushed[0].push.began:.1f} s")
    ended = max(ended_at(stage, one.push, [dag_path(one.number)]) for one in pushed)
    judged = {row["id"]: row for row in (of_commit(stage, one.push.sha) for one in pushed)}
    if bad := [row["state"] for row in judged.values() if row["state"] != "succeeded"]:
        raise RuntimeError(f"of {len(judged)} deployments some ended as {bad}")
    first, began = pushed[0], pushed[0].at.isoformat()
    verdict_s = max(between(began, row["finished_at"]) for row in judged.values())
    return {
        "pushing_s": round(pushed[-1].push.began - first.push.began, 2),
        "deployments": _deployments_since(stage, before),
        "first_push_to_last_verdict_s": round(verdict_s, 2),
        "first_push_to_last_status_s": round(ended - first.push.began, 2),
        "statuses_posted": sum(len(stage.hub.statuses(one.push.sha)) for one in pushed),
    }


def _pacer(every_s: float) -> Callable[[Pushed], None]:
    """Return a pause that keeps pushes `every_s` apart, however long a push takes."""
    due = [0.0]

    def pause(pushed: Pushed) -> None:
        due[0] = max(due[0], pushed.push.began) + every_s
        time.sleep(max(0.0, due[0] - time.monotonic()))

    return pause


def _await_verdict(stage: Stage, pushed: Pushed) -> None:
    answer = stage.get(f"/api/v1/commits/{pushed.push.sha}")
    while not (answer.is_success and answer.json()["finished_at"]):
        time.sleep(0.05)
        answer = stage.get(f"/api/v1/commits/{pushed.push.sha}")


def _deployments_since(stage: Stage, before: int) -> int:
    """Return how many deployments really ran; commits covered by another's are no more rows."""
    rows = stage.get("/api/v1/deployments?limit=200").json()["deployments"]
    return sum(row["id"] > before and row["state"] != "superseded" for row in rows)
