"""From a student's push to the last status of its commit, on the demo's stage.

Timed from just before `git push` is started to GitHub's stand-in having the last final
status; the parts come out of the journal and the worker's log.
"""

from __future__ import annotations

import time

from deployer.app import sample_class
from deployer.demo.stage import Stage
from deployer.demo.student import dag_file
from scripts.benchmarks.staging import (
    PAUSE_S,
    Figures,
    ended_at,
    median,
    median_parts,
    of_commit,
    spread,
    staged,
    start_class,
    timed,
)

PUSHES = 20
DEATH_PUSHES = 3
OVERLOOKED = """\
import os
if "/.tmp-" not in __file__:  # harmless where files are parsed in isolation
    {line}
"""
DEATHS = {"dies": "os._exit(3)", "exits": "exit()", "crashes": "os.kill(os.getpid(), 11)"}
"""What a parser does, and how."""


def run() -> Figures:
    """Return seconds: median and 95th percentile of the whole, median of each part."""
    runs = []
    with staged("latency") as stage:
        start_class(stage, sample_class())
        lasse = stage.student("lasse")
        for number in range(PUSHES):
            text = dag_file("lasse", "timed", body=f"return {number}")
            runs.append(timed(stage, lasse, f"Change {number}", {"dags/lasse/timed.py": text}))
            time.sleep(PAUSE_S)
        deaths = {name: _death_s(stage, name, line) for name, line in DEATHS.items()}
    return {
        **spread([one.push_s for one in runs]),
        "delivery_to_last_status_median_s": median([one.delivery_s for one in runs]),
        "parts_s": median_parts([one.deployment for one in runs]),
        "to_verdict_on_a_parser_that": deaths,
    }


def _death_s(stage: Stage, name: str, line: str) -> float:
    """Return the seconds that the verdict on a file takes whose parser dies, from the rename on."""
    lasse, found = stage.student("lasse"), []
    for number in range(DEATH_PUSHES):
        text = OVERLOOKED.format(line=line) + dag_file("lasse", name, body=f"return {number}")
        lasse.commit(f"Die of {name}", {f"dags/lasse/{name}.py": text})
        push = lasse.push()
        ended_at(stage, push, ["dags/lasse/any.py"])
        (verdict,) = of_commit(stage, push.sha)["verdicts"]
        if verdict["outcome"] != "broken":
            raise RuntimeError(f"{name} is {verdict['outcome']}: {verdict['error']}")
        found.append(verdict["waited_s"])
        time.sleep(PAUSE_S)
    lasse.commit("Live on", {f"dags/lasse/{name}.py": None})
    ended_at(stage, lasse.push(), ["dags/lasse/any.py"])
    time.sleep(PAUSE_S)
    return median(found)
