"""From a student's push to the last status of its commit, on the demo's stage.

Timed from just before `git push` is started to GitHub's stand-in having the last final
status; the parts come out of the journal and the worker's log.
"""

from __future__ import annotations

import json
import time

from deployer.demo import samples
from deployer.demo.stage import Stage
from scripts.benchmarks.staging import (
    PAUSE_S,
    Figures,
    median,
    median_parts,
    spread,
    staged,
    start_class,
    timed,
)

PUSHES = 20


def run() -> Figures:
    """Return seconds: median and 95th percentile of the whole, median of each part."""
    runs = []
    with staged("latency") as stage:
        start_class(stage, samples.class_repository())
        lasse = stage.student("lasse")
        for number in range(PUSHES):
            text = samples.dag("lasse", "timed", body=f"return {number}")
            runs.append(timed(stage, lasse, f"Change {number}", {"dags/lasse/timed.py": text}))
            time.sleep(PAUSE_S)
        poke_s = median(_pokes_s(stage))
    return {
        **spread([one.push_s for one in runs]),
        "delivery_to_last_status_median_s": median([one.delivery_s for one in runs]),
        "parts_s": {**median_parts([one.deployment for one in runs]), "poke": poke_s},
    }


def _pokes_s(stage: Stage) -> list[float]:
    log = stage.settings.state_dir / "logs" / "worker.jsonl"
    events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    return [event["seconds"] for event in events if event["event"] == "poked"]
