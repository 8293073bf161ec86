"""`scripts/soak kill`: every boundary; exit status 1 if anything did not hold."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration import postgres
from tests.reliability.killing.matrix import PLAYS, START, WEB, Case, Outcome, class_of

JOURNALS = ("sqlite", "postgresql", "power")
BOUND_S = 10.0
"""From the start again until every invariant holds."""


def main() -> int:
    given = argparse.ArgumentParser(prog="scripts/soak kill", description=__doc__)
    given.add_argument("--on", action="append", choices=JOURNALS, help="default: all of them")
    given.add_argument("--play", action="append", choices=PLAYS, help="default: all of them")
    given.add_argument("--stride", type=int, default=1, help="try each N-th boundary only")
    given.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked = given.parse_args()
    began, bad = time.monotonic(), False
    figures: dict[str, dict[str, object]] = {}
    for kind in asked.on or JOURNALS:
        outcome = Outcome()
        with _journal(kind) as url:
            for play in asked.play or PLAYS:
                if play != START or not url:
                    outcome.add(_play(play, url, stride=asked.stride, power=kind == "power"))
        bad = bad or bool(outcome.failed) or outcome.slowest_s > BOUND_S
        figures[kind] = {
            "died": outcome.died,
            "missed": len(outcome.missed),
            "failed": len(outcome.failed),
            "slowest_s": round(outcome.slowest_s, 1),
            "slowest": str(outcome.slowest),
        }
        _say(f"{kind}: {figures[kind]}")
    _say(f"{time.monotonic() - began:.0f} s")
    if asked.json:
        sys.stdout.write(json.dumps({"kill": figures}) + "\n")
    return int(bad)


def _play(play: str, url: str | None, *, stride: int, power: bool) -> Outcome:
    """Try all of a play; in a new class after each case that failed."""
    outcome, left = Outcome(), None
    while left is None or left:
        with class_of(url, with_power=power) as matrix:
            if left is None:
                left = matrix.cases(play, stride=stride, power_cuts=power)
                left += [Case(play, boundary, "web") for boundary in WEB if play == "change"]
                _say(f"{play}: {len(left)} cases")
            while left and not matrix.outcome.failed:
                matrix.try_all([left.pop(0)])
            for case, wrong in matrix.outcome.failed.items():
                _say(f"FAILED {case}", *wrong, matrix.world.log("worker"))
            outcome.add(matrix.outcome)
    return outcome


@contextmanager
def _journal(kind: str) -> Iterator[str | None]:
    if kind != "postgresql":
        yield None
        return
    if named := os.environ.get("TEST_POSTGRES_URL"):
        yield named
        return
    programs = postgres.binaries()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed: `scripts/test` does so as root on Debian")
    with postgres.server(programs) as url:
        yield url


def _say(*lines: str) -> None:
    sys.stderr.write("\n  ".join(lines) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())
