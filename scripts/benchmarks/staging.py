"""What the benchmarks share: the demo's stage, a class of any size, pushes timed to their end."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from deployer.core.model import DAGS, folder_of
from deployer.demo.stage import Stage
from deployer.demo.student import Push, Student, dag_file

Figures = dict[str, object]

FOLDERS = 30
"""Students of a class; its files are dealt out to them in turn."""
PAUSE_S = 4.0
"""Between two pushes, as GitHub's limits on writing are paid off meanwhile: a class of thirty
pushes now and then. Back to back, two writes a push at one a second set the pace."""
RESTED_S = 12.0
"""After this, GitHub takes a whole burst of writes from us again (core.reporting.pacing)."""
BOUND_S = 180.0
ENDS = frozenset({"success", "failure", "error"})
ENOUGH_FOR_A_PERCENTILE = 20


def say(text: str) -> None:
    """Tell whoever waits; figures alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def staged(name: str, **more: str) -> Iterator[Stage]:
    """Run the whole product with a real Airflow; `more` are settings without `DEPLOYER_`."""
    settings = {f"DEPLOYER_{key}": value for key, value in more.items()}
    with (
        tempfile.TemporaryDirectory(prefix=f"bench-{name}-") as folder,
        Stage(Path(folder), say, settings) as stage,
    ):
        yield stage


# --- a class ----------------------------------------------------------------


def student_of(number: int) -> str:
    return f"student_{number % FOLDERS:02d}"


def dag_path(number: int) -> str:
    return f"{DAGS}{student_of(number)}/part_{number // FOLDERS:03d}.py"


def dag_id(number: int) -> str:
    return f"{student_of(number)}_part_{number // FOLDERS:03d}"


def dag_text(number: int, edition: int = 0) -> str:
    """Return a small DAG; Airflow shows `edition` as its description."""
    text = dag_file(student_of(number), f"part_{number // FOLDERS:03d}", body=f"return {edition}")
    return text.replace("    schedule=None,", f'    description="{edition}",\n    schedule=None,')


def class_of(numbers: Iterable[int], edition: int = 0) -> dict[str, str]:
    """Return the text of these DAG files by path."""
    return {dag_path(number): dag_text(number, edition) for number in numbers}


# --- pushes -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Timed:
    """One push and how it went.

    Attributes:
        push_s: from just before `git push` to GitHub's stand-in having the last final status.
        delivery_s: from the delivery's arrival to the last status posted.
        verdict_s: from the delivery's arrival to the deployment's end, statuses not counted.
        deployment: the contract's JSON.
    """

    push_s: float
    delivery_s: float
    verdict_s: float
    deployment: Mapping[str, Any]


def timed(stage: Stage, student: Student, message: str, files: Mapping[str, str | bytes]) -> Timed:
    """Commit and push `files` and wait for the last status of that commit.

    Raises:
        RuntimeError: it did not end as `success`.
        TimeoutError: it did not end.
    """
    student.commit(message, files)
    push = student.push()
    ended = ended_at(stage, push, files)
    deployment = of_commit(stage, push.sha)
    if deployment["state"] != "succeeded":
        raise RuntimeError(f"{message!r} ended as {deployment['state']}: {deployment['steps'][-1]}")
    return Timed(
        push_s=ended - push.began,
        delivery_s=max(
            between(deployment["queued_at"], status["posted_at"])
            for status in deployment["statuses"]
        ),
        verdict_s=between(deployment["queued_at"], deployment["finished_at"]),
        deployment=deployment,
    )


def start_class(stage: Stage, files: Mapping[str, str | bytes]) -> None:
    """Make the class live, and wait until its statuses stand in nobody's way."""
    timed(stage, stage.student("teacher"), "Start", files)
    time.sleep(RESTED_S)


def ended_at(stage: Stage, push: Push, paths: Iterable[str], bound_s: float = BOUND_S) -> float:
    """Return when the last final status of a push that moved `paths` came (monotonic seconds)."""
    folders = {folder for path in paths if (folder := folder_of(path))}
    contexts = ["airflow/deploy", *(f"airflow/{folder}" for folder in sorted(folders))]
    received = [
        stage.hub.wait_for_status(push.sha, context, ENDS, bound_s).received_s
        for context in contexts
    ]
    return max(received)


def of_commit(stage: Stage, sha: str) -> dict[str, Any]:
    """Return the deployment that judged a commit, once all its statuses are recorded as posted."""
    until = time.monotonic() + BOUND_S
    while True:
        deployment: dict[str, Any] = stage.get(f"/api/v1/commits/{sha}").json()
        if all(status["posted_at"] for status in deployment["statuses"]):
            return deployment
        if time.monotonic() > until:
            raise TimeoutError(f"statuses of {sha} are still owed after {BOUND_S:g} s")
        time.sleep(0.05)


def parts(deployment: Mapping[str, Any]) -> dict[str, float]:
    """Return the seconds of each step, of the wait before them and of the report after."""
    found = {"wait": between(deployment["queued_at"], deployment["steps"][0]["started_at"])}
    for step in deployment["steps"]:
        found[step["name"]] = between(step["started_at"], step["finished_at"])
    last = deployment["steps"][-1]["finished_at"]
    found["report"] = max(between(last, s["posted_at"]) for s in deployment["statuses"])
    return found


def step_detail(deployment: Mapping[str, Any], name: str) -> str:
    return next(str(step["detail"]) for step in deployment["steps"] if step["name"] == name)


def between(start: str, end: str) -> float:
    """Return the seconds between two RFC 3339 times."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


# --- figures ----------------------------------------------------------------


def spread(seconds: Sequence[float]) -> Figures:
    """Return what a table shows of many seconds; the percentile only where there are enough."""
    found: Figures = {
        "n": len(seconds),
        "median_s": median(seconds),
        "max_s": round(max(seconds), 3),
    }
    if len(seconds) >= ENOUGH_FOR_A_PERCENTILE:
        found["p95_s"] = round(statistics.quantiles(seconds, n=ENOUGH_FOR_A_PERCENTILE)[-1], 3)
    return found


def median(seconds: Sequence[float]) -> float:
    return round(statistics.median(seconds), 3)


def median_parts(deployments: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the median of each part over several deployments."""
    by_part: defaultdict[str, list[float]] = defaultdict(list)
    for deployment in deployments:
        for name, seconds in parts(deployment).items():
            by_part[name].append(seconds)
    return {name: median(seconds) for name, seconds in by_part.items()}
