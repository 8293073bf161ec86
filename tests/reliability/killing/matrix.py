"""A run that counts the boundaries, then a run for each: die there, start again, converge."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle, islice
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, make_url, text

from tests.reliability.killing import invariants, power
from tests.reliability.killing.acts import ACTS, change, first
from tests.reliability.killing.world import World

LOOK_EVERY_S = 0.1
REACHED_S = 60.0
"""For a boundary to be reached, or everything to end without it."""
START = "start"
"""Of a machine on which the deployer never ran, and the first deployment."""
RECOVERY = "recovery"
"""Of a worker that died in the middle of a publication: it dies again."""
MIDST = "os.rename class/releases/.live #1"
WEB = tuple(
    f"{call} {when} #1"
    for call in ("journal.record_delivery", "doorbell.ring")
    for when in ("before", "after")
)
"""Between a delivery's arrival and its answer."""
PLAYS = (*ACTS, RECOVERY, START)


@dataclass(frozen=True)
class Case:
    """Die at `boundary` of `role` in a play; `way`: and so the power fails."""

    play: str
    boundary: str
    role: str = "worker"
    way: tuple[str, str] | None = None

    def __str__(self) -> str:
        said = f"{self.play}: {self.role} at {self.boundary}"
        if self.way is None:
            return said
        return f"{said}; power cut, {self.way[0]} of the journal, {self.way[1]} of the files"


@dataclass
class Outcome:
    """What came of cases.

    Attributes:
        died: how many processes died as they were to.
        missed: cases whose boundary was not reached: threads take turns as they will.
        failed: what did not hold, by case.
        slowest_s: from the start again to the last invariant.
        slowest: which case took that.
    """

    died: int = 0
    missed: list[Case] = field(default_factory=list)
    failed: dict[Case, list[str]] = field(default_factory=dict)
    slowest_s: float = 0.0
    slowest: Case | None = None

    def took(self, seconds: float, case: Case | None) -> None:
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, case

    def add(self, other: Outcome) -> None:
        self.died += other.died
        self.missed += other.missed
        self.failed |= other.failed
        self.took(other.slowest_s, other.slowest)


@contextmanager
def class_of(journal_url: str | None = None, *, with_power: bool = False) -> Iterator[Matrix]:
    """Make a class whose first deployment has ended; both processes run."""
    folder = Path(tempfile.mkdtemp(prefix="kill-"))
    try:
        with (
            _own_schema(journal_url) as url,
            World(folder / "w", url, with_power) as world,
        ):
            first(world, 0)
            world.begin()
            if wrong := world.settled():
                raise RuntimeError(f"it did not even begin: {wrong}: {world.log('worker')}")
            yield Matrix(world)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _own_schema(url: str | None) -> Iterator[str | None]:
    """Give a database of its own in PostgreSQL."""
    if url is None:
        yield None
        return
    there = make_url(url).set(drivername="postgresql+psycopg")
    own = f"kill_{uuid4().hex}"
    engine = create_engine(there, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            connection.execute(text(f"CREATE SCHEMA {own}"))
        at = there.update_query_dict({"options": f"-csearch_path={own}"})
        yield at.render_as_string(hide_password=False)
        with engine.connect() as connection:
            connection.execute(text(f"DROP SCHEMA {own} CASCADE"))
    finally:
        engine.dispose()


class Matrix:
    """All that is tried in one class, one case after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.outcome = Outcome()
        self._texts = count(1)

    def boundaries(self, play: str) -> list[str]:
        """Play it once, with no death but what it begins with; return where the worker was."""
        world = self.world
        if play == RECOVERY:
            world.arm(MIDST)
            change(world, next(self._texts))
            if not self._dies("worker"):
                raise RuntimeError(f"nobody came to {MIDST}: {world.log('worker')}")
            self._again("worker")
        elif play == START:
            self._from_nothing("")
        else:
            world.arm("")
            ACTS[play](world, next(self._texts))
        if wrong := world.settled():
            raise RuntimeError(f"{play} without a kill: {wrong}: {world.log('worker')}")
        return list(dict.fromkeys(world.arm("")))

    def cases(
        self, play: str, *, stride: int = 1, at: int = 0, power_cuts: bool = False
    ) -> list[Case]:
        """Return a case for each `stride`-th boundary, or with power cuts four."""
        ways = power.WAYS if power_cuts else (None,)
        there = self.boundaries(play)[at::stride]
        return [Case(play, boundary, way=way) for boundary in there for way in ways]

    def try_all(self, cases: Sequence[Case]) -> Outcome:
        """Try them until one fails: that one may have spoilt what the next would find."""
        for case in cases:
            if not self.try_(case):
                break
        return self.outcome

    def try_some(self, cases: Sequence[Case], wanted: int, *, at: int = 0) -> Outcome:
        """Try `wanted` of them, spread evenly from the `at`-th on.

        Where one's boundary is not reached, those that follow it are tried until one's is.
        """
        stride = len(cases) // wanted
        for number in range(at, at + wanted * stride, stride):
            before = self.outcome.died
            for case in islice(cycle(cases), number, number + stride):
                if not self.try_(case):
                    return self.outcome
                if self.outcome.died > before:
                    break
        return self.outcome

    def try_(self, case: Case) -> bool:
        """Play it, let the process die, start it again, see what holds; return whether all does."""
        world, outcome = self.world, self.outcome
        self._begin(case)
        died = self._dies(case.role)
        outcome.died += died
        if not died:
            outcome.missed.append(case)
        if case.way:
            world.cut_power(case.way)
        began = time.monotonic()
        if case.way:
            world.start("web")
        self._again(case.role)
        world.wait_for_web()
        if case.role == "web":
            world.deliver()  # nobody answered: somebody asks GitHub for it once more
        wrong = world.settled()
        outcome.took(time.monotonic() - began, case)
        if wrong:
            outcome.failed[case] = wrong
        return not wrong

    def _begin(self, case: Case) -> None:
        world = self.world
        if case.play == START:
            self._from_nothing(case.boundary)
            return
        if case.role == "web":
            self._again("web", arm=case.boundary)
            world.wait_for_web()
        else:
            world.arm(MIDST if case.play == RECOVERY else case.boundary)
        ACTS.get(case.play, change)(world, next(self._texts))
        if case.play == RECOVERY and self._dies("worker"):
            self._again("worker", arm=case.boundary)

    def _again(self, role: str, *, arm: str = "") -> None:
        self.world.kill(role)
        self.world.start(role, arm=arm)

    def _from_nothing(self, arm: str) -> None:
        world = self.world
        world.forget()
        first(world, next(self._texts))
        world.start("web")
        world.start("worker", arm=arm)
        world.wait_for_web()

    def _dies(self, role: str) -> bool:
        """Wait for a death; False: all was done without it."""
        until = time.monotonic() + REACHED_S
        while not self.world.died(role, LOOK_EVERY_S):
            if time.monotonic() > until or not invariants.broken(self.world):
                return self.world.died(role, LOOK_EVERY_S)
        return True
