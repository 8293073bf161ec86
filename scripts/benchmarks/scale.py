"""One changed file among 30, 300 and 3,000; and 300 files changed by one push.

A class of thirty folders grows on one stage. At each size: what one push of one changed file
writes, parses, asks of Airflow and takes.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deployer.demo.stage import Stage
from scripts.benchmarks.access_log import AccessLog
from scripts.benchmarks.staging import (
    PAUSE_S,
    RESTED_S,
    Figures,
    Timed,
    class_of,
    ended_at,
    median,
    median_parts,
    of_commit,
    parts,
    say,
    spread,
    staged,
    step_detail,
    timed,
)

SIZES = (30, 300, 3000)
AT_ONCE = 300
TRIES = 7
GROWTH_BOUND_S = 1500.0
"""Airflow parses some 5 to 10 new files a second on two cores."""
_WRITTEN = re.compile(r"(\d+) written")


@dataclass(frozen=True, slots=True)
class Try:
    """One push of one changed file, and the calls that it cost."""

    timed: Timed
    calls: Counter[str]

    @property
    def deployment(self) -> Mapping[str, Any]:
        return self.timed.deployment


def run() -> Figures:
    """Return the figures by size, and how they grow from the smallest to the largest."""
    sizes: dict[str, Figures] = {}
    at_once: Figures = {}
    with staged("scale") as stage:
        log, there = AccessLog(stage), 0
        for size in SIZES:
            first_s = _grow(stage, there, size)
            there = size
            log.calls_once_quiet()
            sizes[str(size)] = {"first_deployment_s": first_s, **_measure(stage, log, size)}
            if size == AT_ONCE:
                at_once = _all_at_once(stage, log, size)
    small, large = sizes[str(SIZES[0])], sizes[str(SIZES[-1])]
    return {
        "sizes": sizes,
        "at_once": at_once,
        "growth": {
            key: round(float(str(large[key])) / float(str(small[key])), 2)
            for key in ("median_s", "files_parsed")
        },
    }


def _grow(stage: Stage, there: int, size: int) -> float:
    """Push the files that are missing to `size`, all at once; return the seconds it took."""
    say(f"growing from {there} to {size} files")
    teacher = stage.student("teacher")
    files = class_of(range(there, size))
    teacher.commit(f"Grow to {size}", files)
    push = teacher.push()
    ended = ended_at(stage, push, ["requirements.txt"], GROWTH_BOUND_S)
    say(f"live and parsed after {ended - push.began:.0f} s; its statuses follow")
    of_commit(stage, push.sha)
    time.sleep(RESTED_S)
    return round(ended - push.began, 1)


def _measure(stage: Stage, log: AccessLog, size: int) -> Figures:
    tries = []
    student = stage.student("student")
    for number in range(TRIES):
        time.sleep(PAUSE_S)
        log.mark()
        files = class_of([number], edition=size + number)
        done = timed(stage, student, f"Change one of {size}", files)
        tries.append(Try(done, log.calls_once_quiet()))
        say(f"one of {size}: {done.push_s:.2f} s")
    return {
        **spread([one.timed.push_s for one in tries]),
        "parts_s": median_parts([one.deployment for one in tries]),
        "files_written": _most([_written(one.deployment) for one in tries]),
        "files_parsed": _most([len(one.deployment["plan"]["dag_files"]) for one in tries]),
        "rest_calls": median([one.calls.total() for one in tries]),
        "rest_calls_by_kind": _by_kind([one.calls for one in tries]),
    }


def _all_at_once(stage: Stage, log: AccessLog, size: int) -> Figures:
    """Change every file by one push."""
    say(f"changing {size} files at once")
    teacher = stage.student("teacher")
    log.mark()
    teacher.commit("Change all", class_of(range(size), edition=-1))
    push = teacher.push()
    ended = ended_at(stage, push, ["requirements.txt"], GROWTH_BOUND_S)
    deployment = of_commit(stage, push.sha)
    return {
        "files_changed": size,
        "files_written": _written(deployment),
        "files_parsed": len(deployment["plan"]["dag_files"]),
        "push_to_deploy_status_s": round(ended - push.began, 2),
        "statuses": len(deployment["statuses"]),
        "parts_s": {name: round(seconds, 2) for name, seconds in parts(deployment).items()},
        "rest_calls": log.calls_once_quiet().total(),
    }


def _written(deployment: Mapping[str, Any]) -> int:
    found = _WRITTEN.search(step_detail(deployment, "publish"))
    return int(found[1]) if found else 0


def _by_kind(calls: Sequence[Counter[str]]) -> dict[str, float]:
    kinds = sorted({kind for one in calls for kind in one})
    return {kind: median([one[kind] for one in calls]) for kind in kinds}


def _most(counts: Sequence[int]) -> int:
    return max(counts)
