"""Thirty students push within ten seconds; then the same thirty, one after another.

Two ends are told apart: the verdict, as the deployer's own page shows it, and the last status
on GitHub, which takes one write a second from us. All commits are made beforehand, in one
clone: what a student's `git pull --rebase` costs is no concern of the deployer's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from deployer.demo.stage import Stage
from deployer.demo.student import Push, dag_file
from scripts.benchmarks.staging import (
    BOUND_S,
    FOLDERS,
    RESTED_S,
    Figures,
    between,
    class_of,
    dag_path,
    ended_at,
    of_commit,
    say,
    staged,
    start_class,
)

WITHIN_S = 10.0
LOOK_S = 0.05
SLOW_FILES, SLOW_S, SLOW_AHEAD_S = 16, 14, 5.0
"""Just below Airflow's bound on an import; and how long before the neighbour's they are pushed."""
SLOW_BOUND_S = 900.0


def run() -> Figures:
    """Return how many deployments there were, and the seconds to the last verdict and status."""
    with staged("burst") as stage:
        start_class(stage, class_of(range(FOLDERS)))
        together = _measured(stage, edition=1, pause=_keep_apart)
        time.sleep(RESTED_S)
        one_by_one = _measured(stage, edition=2, pause=lambda push: _await_verdict(stage, push))
        time.sleep(RESTED_S)
        beside = _beside_slow_files(stage)
    return {
        "pushes": FOLDERS,
        "within_10_s": together,
        "one_after_another": one_by_one,
        "beside_slow_files": beside,
    }


def _beside_slow_files(stage: Stage) -> Figures:
    """Let one student push files that take long to import, and another one a plain change."""
    slow, quick = stage.student("slow"), stage.student("quick")
    text = "import time\ntime.sleep({seconds})\n"
    files = {
        f"dags/slow/slow_{number:02}.py": dag_file(
            "slow", f"slow_{number:02}", imports=text.format(seconds=SLOW_S)
        )
        for number in range(SLOW_FILES)
    }
    slow.commit("Sleep", files)
    long = slow.push()
    time.sleep(SLOW_AHEAD_S)
    change = {"dags/quick/quick.py": dag_file("quick", "quick")}
    quick.commit("Be quick", change)
    push = quick.push()
    verdict_s = ended_at(stage, push, change) - push.began
    say(f"the neighbour was judged after {verdict_s:.1f} s; waiting for the slow files")
    all_s = ended_at(stage, long, files, SLOW_BOUND_S) - long.began
    return {"files": SLOW_FILES, "verdict_s": round(verdict_s, 2), "all_s": round(all_s, 1)}


def _measured(stage: Stage, *, edition: int, pause: Callable[[Push], None]) -> Figures:
    """Push a change of every student's, with a `pause` after each; wait for the last status."""
    before = stage.get("/api/v1/deployments?limit=1").json()["deployments"][0]["id"]
    students = stage.student("students")
    shas = [
        students.commit(f"Edition {edition}", class_of([number], edition))
        for number in range(FOLDERS)
    ]
    at = datetime.now(UTC).isoformat()
    pushes: list[Push] = []
    for sha in shas:
        pushes.append(Push(sha, time.monotonic()))
        students.git("push", "--quiet", "origin", f"{sha}:main")
        pause(pushes[-1])
    pushing_s = pushes[-1].began - pushes[0].began
    say(f"{FOLDERS} pushes within {pushing_s:.1f} s; waiting for their statuses")
    ended = max(ended_at(stage, push, [dag_path(n)]) for n, push in enumerate(pushes))
    judged = {row["id"]: row for row in (of_commit(stage, push.sha) for push in pushes)}
    if bad := [row["state"] for row in judged.values() if row["state"] != "succeeded"]:
        raise RuntimeError(f"of {len(judged)} deployments some ended as {bad}")
    verdict_s = max(between(at, row["finished_at"]) for row in judged.values())
    return {
        "pushing_s": round(pushing_s, 2),
        "deployments": _deployments_since(stage, before),
        "first_push_to_last_verdict_s": round(verdict_s, 2),
        "last_push_to_last_verdict_s": round(verdict_s - pushing_s, 2),
        "first_push_to_last_status_s": round(ended - pushes[0].began, 2),
        "statuses_posted": sum(len(stage.hub.statuses(push.sha)) for push in pushes),
    }


def _keep_apart(push: Push) -> None:
    """Let the next push come a thirtieth of the time after this one began."""
    time.sleep(max(0.0, push.began + WITHIN_S / FOLDERS - time.monotonic()))


def _await_verdict(stage: Stage, push: Push) -> None:
    until = time.monotonic() + BOUND_S
    while time.monotonic() < until:
        answer = stage.get(f"/api/v1/commits/{push.sha}")
        if answer.is_success and answer.json()["finished_at"]:
            return
        time.sleep(LOOK_S)
    raise TimeoutError(f"no verdict on {push.sha} after {BOUND_S:g} s")


def _deployments_since(stage: Stage, before: int) -> int:
    """Return how many deployments ran; a commit that another's covers has a row as well."""
    rows = stage.get("/api/v1/deployments?limit=100").json()["deployments"]
    return sum(row["id"] > before and row["state"] != "superseded" for row in rows)
