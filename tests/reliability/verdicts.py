"""`scripts/soak verdicts N [--seed S]`: hold N histories against the oracle."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from deployer.core.model import State
from tests.reliability import oracle
from tests.reliability.pushes import Draw, told
from tests.reliability.simulation import silence
from tests.reliability.text_world import TextWorld
from tests.reliability.texts_decide import (
    DAG_FILES,
    HELPERS,
    QUERY,
    SHARED,
    Commit,
    Kind,
    Standing,
    written,
)


@dataclass(frozen=True)
class Played:
    """What came of a history: what is wrong, and what happened."""

    wrong: tuple[str, ...]
    story: tuple[str, ...]


class _Play:
    """One history, played as it is drawn.

    Attributes:
        before: how the class stood before what was pushed and not yet settled, None: it was on
            its way somewhere, so that no colour can be told from it.
        unsettled: these pushes.
    """

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)  # noqa: S311 - for play
        self.draw = Draw(dice)
        self.world = TextWorld()
        self.story: list[str] = []
        self.wrong: list[str] = []
        self.frozen = False
        self.before: Standing | None = None
        self.unsettled: list[Commit] = []
        self.piles = dice.choice((0, 0, 0.4, 0.8))
        self.slow = dice.random() < 0.25
        events = [self._request, self._restart, self._roll_back, self._freeze, self._force]
        self.events = dice.choice((*([one] for one in events), [], events))
        self.often = dice.choice((0.3, 0.3, 0.6))

    def play(self) -> Played:
        there = [QUERY, *(path for path in (*HELPERS, *SHARED) if self.dice.random() < 0.7)]
        self._push({path: written(path, Kind.FINE, 1) for path in there})
        self._settle()
        for _ in range(self.dice.choice((4, 5, 6, 8, 10))):
            self._go_on()
            if self.wrong:
                break
        else:
            self._come_to_rest()
        return Played(tuple(self.wrong), tuple(self.story))

    def _go_on(self) -> None:
        dice, world = self.dice, self.world
        if self.slow:
            world.examiner.slow = {p: 4.0 for p in DAG_FILES if dice.random() < 0.2}
            world.feed.slow = {p: 4.0 for p in DAG_FILES if dice.random() < 0.2}
        if self.events and dice.random() < self.often:
            self.before = None
            dice.choice(self.events)()
            return
        changes = self.draw.push(world.repository._files[self._tip])
        if not changes:
            return
        self._push(changes)
        if dice.random() >= self.piles:
            self._settle()
        elif dice.random() < 0.3:
            self._tell("(the worker begins)")
            world.reconciler.reconcile()
            self.before = None

    def _come_to_rest(self) -> None:
        """End what goes on; then judge the tip once more, which is to change nothing."""
        if self.frozen:
            self._unfreeze()
        self._settle()
        if self.wrong:
            return
        before = self.world.standing()
        again = self.dice.choice(("request", "restart", "unknown", "back"))
        if again == "back":
            self.frozen = True
            self._back()
            self._settle()
            back = self.world.standing()
            self._unfreeze()
            self.wrong += oracle.told_after_rollback(before, back, self.world.standing())
            return
        if again != "request":
            self._restart()
        if again == "unknown":
            self._tell("nothing is known to be live")
            self.world.journal.set_live(None)
            self._settle()
        else:
            self._request()
        self.wrong += oracle.judged_anew(before, self.world.standing())

    # -- what happens

    def _push(self, changes: Mapping[str, str | None]) -> None:
        world, old = self.world, self._tip
        if not self.unsettled:
            calm = self.world.standing()
            is_calm = calm.live_sha == old and not calm.pending and not self.frozen
            self.before = calm if is_calm else None
        sha = world.repository.push(changes)
        world.deliver(sha, old)
        self._tell(f"push {sha[:7]}: {told(changes)}")
        self.unsettled.append(
            Commit(sha, world.pushed(sha), world.pushed(old), world.asked(sha), world.asked(old))
        )

    def _request(self) -> None:
        self._tell("deploy by hand")
        self.world.request()
        self._settle()

    def _restart(self) -> None:
        self._tell("another worker")
        self.world.reconciler = self.world.worker()

    def _roll_back(self) -> None:
        self.frozen = True
        self._back()
        if self.dice.random() < 0.7:
            self._settle()
        if self.dice.random() < 0.6:
            self._unfreeze()

    def _back(self) -> None:
        ended = (State.SUCCEEDED, State.BROKEN)
        records = self.world.journal.records.values()
        to = self.dice.choice([one.sha for one in records if one.state in ended])
        self._tell(f"roll back to {to[:7]}")
        self.world.roll_back(to)

    def _freeze(self) -> None:
        if self.frozen:
            self._unfreeze()
            return
        self._tell("freeze")
        self.frozen = True
        self.world.freeze()
        self._settle()

    def _unfreeze(self) -> None:
        self._tell("unfreeze")
        self.world.unfreeze()
        self.frozen = False
        self._settle()

    def _force(self) -> None:
        world, old = self.world, self._tip
        onto = next(iter(world.repository._parents[old]), None)
        if onto is None or not world.repository._parents[onto]:
            return
        changes = self.draw.push(world.repository._files[onto])
        if changes:
            sha = world.repository.push(changes, onto=onto)
            world.deliver(sha, old, forced=True)
            self._tell(f"push {sha[:7]} by force onto {onto[:7]}: {told(changes)}")
            self._settle()

    # -- what comes of it

    @property
    def _tip(self) -> str:
        assert self.world.repository.tip is not None
        return self.world.repository.tip

    def _tell(self, words: str) -> None:
        self.story.append(words)

    def _settle(self) -> None:
        """Let the dust settle, and hold what is found against the oracle."""
        unsettled, self.unsettled = self.unsettled, []
        if not self.world.settle():
            self.wrong.append("it does not come to rest")
        for release in self.world.shown:
            self.wrong += oracle.shows_harm(release)
            self.wrong += oracle.shares_an_id(release)
        self.world.shown.clear()
        if self.frozen:
            return
        now = self.world.standing()
        for rule in (oracle.is_behind, oracle.holds_too_much, oracle.tells_wrong):
            self.wrong += rule(now)
        if self.before and unsettled:
            self.wrong += oracle.takes_an_id(unsettled, self.before, now)
            for commit in unsettled:
                self.wrong += oracle.colours_wrong(commit, self.before, now)


def play(seed: int) -> Played:
    """Play the history of a seed."""
    return _Play(seed).play()


def failing(seeds: range) -> Iterator[tuple[int, Played]]:
    """Play the histories of these seeds; yield those in which something is wrong."""
    with silence():
        for seed in seeds:
            played = play(seed)
            if played.wrong:
                yield seed, played


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak verdicts", description=__doc__)
    parser.add_argument("histories", type=int, nargs="?", default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first history")
    asked = parser.parse_args(arguments)
    began, wrong = time.process_time(), 0
    for seed, played in failing(range(asked.seed, asked.seed + asked.histories)):
        wrong += 1
        print("\n  ".join((f"seed {seed}: {'; '.join(played.wrong)}", *played.story)), flush=True)
    took_s = time.process_time() - began
    print(f"{asked.histories:,} histories, {wrong} wrong; {took_s:.0f} s of processor")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
