"""`scripts/soak simulate N [--seed S]`: play N histories and tell what does not hold."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tests.reliability.history import EVERY_FAULT, History, draw, draw_rollouts
from tests.reliability.planted import PLANTED, find
from tests.reliability.simulation import as_test, play, shrunk, silence


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak simulate", description=__doc__)
    parser.add_argument("histories", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first history")
    parser.add_argument("--only", type=int, nargs="+", help="the histories of these seeds")
    parser.add_argument("--rollouts", action="store_true", help="others, in which packages move")
    parser.add_argument("--story", action="store_true", help="tell what happened in one that fails")
    parser.add_argument("--all", action="store_true", help="go on after one that fails")
    parser.add_argument(
        "--planted", action="store_true", help="have it find faults that are put in; print a table"
    )
    asked = parser.parse_args(arguments)
    with silence():
        if asked.planted:
            return _find_planted()
        seeds = asked.only or range(asked.seed, asked.seed + asked.histories)
        drawing = draw_rollouts if asked.rollouts else draw
        return _play(drawing, seeds, story=asked.story, go_on=asked.all)


def _play(
    drawing: Callable[[int], History], seeds: Sequence[int], *, story: bool, go_on: bool
) -> int:
    began, total = time.process_time(), Counter[str]()
    met, within = Counter[str](), Counter[str]()
    for seed in seeds:
        played = play(drawing(seed))
        total.update(
            histories=1,
            wrong=bool(played.wrong),
            crashes=played.crashes,
            boundaries=played.boundaries,
            statuses=played.statuses,
        )
        met += played.met
        within.update({what for what, times in played.met.items() if times})
        if played.wrong:
            print(f"seed {seed}: {'; '.join(played.wrong)}", flush=True)
            if not go_on:
                smaller = shrunk(drawing(seed), lambda history: bool(play(history).wrong))
                again = play(smaller)
                print("\n".join(again.story) if story else "")
                print(as_test(smaller, "; ".join(again.wrong)))
                return 1
    took_s = time.process_time() - began
    print(
        f"{total['histories']:,} histories, {total['wrong']} wrong; {total['crashes']:,} crashes,"
        f" {total['boundaries']:,} boundaries of effects, {total['statuses']:,} statuses;"
        f" {took_s:.0f} s of processor, {total['histories'] / took_s * 60:,.0f} a minute"
    )
    print("\n| fault | happened | in histories |\n|---|---|---|")
    for what, times in sorted(met.items()):
        print(f"| {what} | {times:,} | {within[what]:,} |")
    if drawing is draw and (never := sorted(EVERY_FAULT - met.keys())):
        print(f"never: {', '.join(never)}")
    return 1 if total["wrong"] else 0


def _find_planted() -> int:
    missed = 0
    print("| planted fault | found by | after |\n|---|---|---|")
    for name in PLANTED:
        found = find(name)
        missed += found.histories is None
        print(f"| {name} | {found.by or 'nothing'} | {found.histories or '-'} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
