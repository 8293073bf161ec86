"""A new package on the class's Airflow in Docker Compose, both ways: how long, and how long away.

A probe asks the api-server every 0.1 s; away is the longest time from one good answer to the
next. Needs a Docker engine and the tests' images (`scripts/docker up`).
"""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Self

import httpx

from deployer.app import sample_class
from deployer.core.model import REQUIREMENTS
from scripts.benchmarks.staging import parts
from tests.compose_stack import Way
from tests.e2e.compose.classroom import BOUND_S, Classroom, classroom
from tests.e2e.watching import verdicts

EVERY_S = 0.1
PATIENCE_S = 2.0
"""A request that takes longer counts as not answered."""
ROLLOUTS = ("emoji", "inflection", "parse-type")


class Probe:
    """Asks an address all the time while it is entered."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._answered = [time.monotonic()]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def away_s(self) -> float:
        """Return the longest time without an answer."""
        pairs = zip(self._answered, self._answered[1:], strict=False)
        return max(later - earlier for earlier, later in pairs)

    def _ask(self) -> None:
        with httpx.Client(timeout=PATIENCE_S) as client:
            while not self._stop.wait(EVERY_S):
                try:
                    ok = client.get(self._url).is_success
                except httpx.HTTPError:
                    continue
                if ok:
                    self._answered.append(time.monotonic())


def run() -> dict[str, object]:
    """Return, for each way, the seconds of every rollout and of its steps."""
    return {way: _measured(way) for way in ("image", "plain")}


def _measured(way: Way) -> dict[str, object]:
    away, whole, steps = [], [], []
    with (
        tempfile.TemporaryDirectory(prefix="bench-rollout-") as folder,
        classroom(Path(folder), f"class-bench-{way}", way) as room,
    ):
        for name in ROLLOUTS:
            began = time.monotonic()
            with Probe(f"{room.stack.url}/api/v2/monitor/health") as probe:
                found = _roll(room, name)
            whole.append(round(time.monotonic() - began, 1))
            away.append(round(probe.away_s, 1))
            steps.append(found)
    names = steps[0].keys()
    return {
        "n": len(whole),
        "push_to_green_s": whole,
        "apiserver_away_s": away,
        "parts_s": {name: [round(one.get(name, 0.0), 1) for one in steps] for name in names},
    }


def _roll(room: Classroom, package: str) -> dict[str, float]:
    text = sample_class()[REQUIREMENTS].decode() + f"{package}\n"
    push = room.push("maria", f"Want {package}", {REQUIREMENTS: text})
    said = verdicts(room.stage, push, bound_s=BOUND_S)
    if said["airflow/deploy"][0] != "success":
        raise RuntimeError(f"the rollout of {package} ended as {said}")
    return parts(room.deployment(push))
