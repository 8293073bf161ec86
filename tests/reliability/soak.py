"""`scripts/soak soak`: a class at work for long; exit status 1 if something was wrong or grew."""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from typing import Any

from tests.reliability.killing.forking import PR_SET_CHILD_SUBREAPER
from tests.reliability.soaking import pages, samples
from tests.reliability.soaking.classroom import Classroom

FAULTS = 0.01
KILLS = 10
"""In the first third; after it, both processes live to the end, so that it is seen if they grow."""
NIGHTS = 10
SAMPLES = 40
DEPLOYMENTS = 20_000
KEEP_DAYS = 7
GROWS = 0.1
"""What is flat grows by no more over two thirds of the pushes: a part of its median."""
FLAT = {
    "web_rss_bytes": 0,
    "web_files": 1,
    "web_threads": 1,
    "worker_rss_bytes": 0,
    "worker_files": 1,
    "worker_threads": 1,
    "deployments_kept": 0,
    "journal_bytes": 0,
}
"""What is to be flat, and less than what is no growth of it.

The mirror is left out, for it holds the class's history, and a commit adds to that; so are the
releases, of which two to four are there: how many, the invariants say.
"""


def main() -> int:
    given = argparse.ArgumentParser(prog="scripts/soak soak", description=__doc__)
    given.add_argument("pushes", type=int, nargs="?", default=2000)
    given.add_argument("--airflow", action="store_true", help="the last 100 with a real one")
    given.add_argument("--seed", type=int, default=1)
    given.add_argument("--json", action="store_true", help="print the figures as JSON")
    given.add_argument("--keep", type=Path, help="a new folder for all files, which stay")
    asked = given.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        found = soak(
            folder / "class", asked.pushes, really=100 if asked.airflow else 0, seed=asked.seed
        )
        found["pages_s"] = pages.measured(folder / "pages", DEPLOYMENTS)
        found["pruned"] = pages.pruned(folder, DEPLOYMENTS, KEEP_DAYS)
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    wrong = [*found["wrong"], *_grown(found["growth"]), *_slow(found["pages_s"])]
    if found["pruned"]["left"] > KEEP_DAYS * 24 * 60 + pages.STUDENTS:
        wrong.append(f"old deployments are kept: {found['pruned']}")
    for line in (*_words(found), *(f"WRONG: {one}" for one in wrong)):
        sys.stderr.write(f"{line}\n")
    if asked.json:
        sys.stdout.write(json.dumps({"soak": found}) + "\n")
    return int(bool(wrong))


def soak(
    folder: Path, pushes: int, *, really: int = 0, seed: int = 1, kills: int = KILLS
) -> dict[str, Any]:
    """Let a class push so often, the last `really` of them to a real Airflow."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    third, faked = pushes // 3, pushes - really
    kill_at = [third * number // (kills + 1) for number in range(1, kills + 1)]
    night_at = [pushes * number // (NIGHTS + 1) for number in range(1, NIGHTS + 1)]
    began = time.monotonic()
    with Classroom(folder, FAULTS, seed) as classroom:
        every = max(pushes // SAMPLES, 1)
        classroom.run(faked, kill_at=kill_at, night_at=night_at, every=every)
        if really:
            classroom.use_airflow()
            classroom.run(really, kill_at=(), night_at=night_at, every=every)
        took_s, wrong = time.monotonic() - began, classroom.settled()
        found = classroom.figures()
    later = [one for one in found["series"] if third < one["push"] < faked]
    numbers = [one["push"] for one in later]
    return found | {
        "pushes": pushes,
        "kills": kills,
        "took_s": round(took_s, 1),
        "verdict": _spread(at for number, at in found["verdict_s"].items() if number < faked),
        "verdict_of_airflow": _spread(
            at for number, at in found["verdict_s"].items() if number >= faked
        ),
        "redelivered": classroom.redelivered,
        "found_before_delivery": len(classroom.found),
        "growth": {
            name: round(samples.growth(numbers, [one[name] for one in later], least), 3)
            for name, least in FLAT.items()
        },
        "wrong": wrong,
    }


def _spread(times_s: Iterable[float]) -> dict[str, float]:
    sorted_s = sorted(times_s)
    if not sorted_s:
        return {}
    return {
        "median_s": round(median(sorted_s), 2),
        "p95_s": round(sorted_s[len(sorted_s) * 95 // 100], 2),
        "max_s": round(sorted_s[-1], 2),
    }


def _grown(growth: dict[str, float]) -> list[str]:
    return [
        f"{name} grew by {part:.0%} over two thirds of the pushes"
        for name, part in growth.items()
        if part > GROWS
    ]


def _slow(pages_s: dict[str, float]) -> list[str]:
    return [
        f"{address} takes {seconds * 1000:.0f} ms at {DEPLOYMENTS} deployments"
        for address, seconds in pages_s.items()
        if seconds > pages.BOUND_S
    ]


def _words(found: dict[str, Any]) -> list[str]:
    return [
        f"{name}: {value}" for name, value in found.items() if name not in {"series", "verdict_s"}
    ]


if __name__ == "__main__":
    raise SystemExit(main())
