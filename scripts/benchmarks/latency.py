"""From a student's push to the last status of its commit, on the demo's stage.

Timed from just before `git push` is started to GitHub's stand-in having the last final
status; the parts come out of the journal and the worker's log.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from deployer.demo import samples
from deployer.demo.stage import Stage
from deployer.demo.student import Push

PUSHES = 20
PAUSE_S = 4.0
"""Between two pushes, as GitHub's limits on writing are paid off meanwhile: a class of thirty
pushes now and then. Back to back, two writes a push at one a second set the pace."""
BOUND_S = 120.0
ENDS = frozenset({"success", "failure", "error"})


def run() -> dict[str, object]:
    """Return seconds: median and 95th percentile of the whole, median of each part."""
    totals: list[float] = []
    since_delivery: list[float] = []
    by_part: defaultdict[str, list[float]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory(prefix="bench-latency-") as folder,
        Stage(Path(folder), lambda text: print(text, file=sys.stderr)) as stage,
    ):
        teacher = stage.student("teacher")
        teacher.commit("Start the class repository", samples.class_repository())
        _ended_at(stage, teacher.push(), "airflow/lasse")
        lasse = stage.student("lasse")
        for number in range(PUSHES):
            text = samples.dag("lasse", "timed", body=f"return {number}")
            lasse.commit(f"Change {number}", {"dags/lasse/timed.py": text})
            push = lasse.push()
            ended = _ended_at(stage, push, "airflow/lasse")
            totals.append(ended - push.began)
            deployment = stage.get(f"/api/v1/commits/{push.sha}").json()
            for name, seconds in parts(deployment).items():
                by_part[name].append(seconds)
            since_delivery.append(_last_posted_s(deployment))
            time.sleep(PAUSE_S)
        for seconds in _pokes(stage):
            by_part["poke"].append(seconds)
    return {
        "n": len(totals),
        "median_s": round(statistics.median(totals), 3),
        "p95_s": round(statistics.quantiles(totals, n=20)[-1], 3),
        "max_s": round(max(totals), 3),
        "delivery_to_last_status_median_s": round(statistics.median(since_delivery), 3),
        "parts_s": {name: round(statistics.median(all_), 3) for name, all_ in by_part.items()},
    }


def _ended_at(stage: Stage, push: Push, folder: str) -> float:
    """Return when the last final status of a push came (monotonic seconds)."""
    return max(
        stage.hub.wait_for_status(push.sha, context, ENDS, BOUND_S).received_s
        for context in ("airflow/deploy", folder)
    )


def parts(deployment: dict[str, Any]) -> dict[str, float]:
    """Return the seconds of each step, of the wait before them and of the report after."""
    found = {"wait": _between(deployment["queued_at"], deployment["steps"][0]["started_at"])}
    for step in deployment["steps"]:
        found[step["name"]] = _between(step["started_at"], step["finished_at"])
    last = deployment["steps"][-1]["finished_at"]
    found["report"] = max(_between(last, s["posted_at"]) for s in deployment["statuses"])
    return found


def _last_posted_s(deployment: dict[str, Any]) -> float:
    """Return the seconds from the delivery's arrival to the last status."""
    return max(_between(deployment["queued_at"], s["posted_at"]) for s in deployment["statuses"])


def _between(start: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def _pokes(stage: Stage) -> list[float]:
    log = stage.settings.state_dir / "logs" / "worker.jsonl"
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [event["seconds"] for event in events if event["event"] == "poked"]
