"""What happens to a simulated class: events at their times, drawn from one seed.

Each is a value that prints as it is written, so that a history which fails is a test to paste.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TypeAlias

from tests.reliability.texts import HELPER, REQUIREMENTS_KINDS, Kind

PATHS = (
    "dags/anna/x.py",
    "dags/anna/y.py",
    "dags/ben/x.py",
    "dags/ben/y.py",
    "dags/cleo/x.py",
    "dags/top.py",
)
Change: TypeAlias = tuple[str, Kind, int]
"""A path, what it is to do and in which version; version 0: it is removed."""


@dataclass(frozen=True)
class Push:
    """A push to the branch.

    Attributes:
        changes: of files.
        packages: kind and version of `requirements.txt`, None: as it was.
        onto: so many commits back by force, 0: onto the tip.
        merges: so many commits back a side branch left, which comes with this push; 0: none.
        delays: seconds after which it is delivered, each time as another delivery; none: lost.
        bell: the worker's bell is heard.
    """

    changes: tuple[Change, ...] = ()
    packages: tuple[str, int] | None = None
    onto: int = 0
    merges: int = 0
    delays: tuple[float, ...] = (0.01,)
    bell: bool = True


@dataclass(frozen=True)
class Reset:
    """The branch is set back by force, so many commits."""

    back: int
    delays: tuple[float, ...] = (0.01,)


@dataclass(frozen=True)
class Revert:
    """A push that puts the files of so many commits back in place again."""

    back: int
    delays: tuple[float, ...] = (0.01,)


@dataclass(frozen=True)
class DeleteBranch:
    """The branch is away for a while, then made again where it was or so many commits back."""

    for_s: float
    back: int = 0


@dataclass(frozen=True)
class Redeliver:
    """GitHub delivers a push again, the one so many deliveries back; `same`: under its old id."""

    back: int
    same: bool = False


@dataclass(frozen=True)
class Freeze:
    """The teacher freezes, for a while or until somebody ends it."""

    for_s: float | None = None


@dataclass(frozen=True)
class Unfreeze:
    """The teacher ends it."""


@dataclass(frozen=True)
class RollBack:
    """The teacher goes back, so many commits."""

    back: int


@dataclass(frozen=True)
class DeployByHand:
    """`deployer deploy`; so many commits back, None: whatever the tip is."""

    back: int | None = None


@dataclass(frozen=True)
class Fault:
    """A part of the world does not work for a while; the parts are in `machine.Machine.fault`."""

    part: str
    for_s: float


@dataclass(frozen=True)
class FailOnce:
    """The next call of a port's method fails as it may."""

    call: str


@dataclass(frozen=True)
class Crash:
    """The worker is killed at the so-manieth boundary of an effect from now; then it is away."""

    boundary: int
    away_s: float = 1.0


@dataclass(frozen=True)
class Jump:
    """Somebody sets the clock."""

    seconds: float


@dataclass(frozen=True)
class Edited:
    """Somebody changes by hand what is live."""

    path: str


@dataclass(frozen=True)
class Task:
    """A task runs in Airflow, for so many looks."""

    looks: int


@dataclass(frozen=True)
class DagProcessorDies:
    """It is killed by chance; Docker starts it again after a moment."""


@dataclass(frozen=True)
class Rename:
    """The repository gets another name, under which it delivers from now on."""


@dataclass(frozen=True)
class Spoil:
    """A row of the journal goes wrong; the ways are in `machine.Machine.spoil`.

    In no random history: the worker finds it when it is started, or within an hour.
    """

    way: str


Event: TypeAlias = (
    Push
    | Reset
    | Revert
    | DeleteBranch
    | Redeliver
    | Freeze
    | Unfreeze
    | RollBack
    | DeployByHand
    | Fault
    | FailOnce
    | Crash
    | Jump
    | Edited
    | Task
    | DagProcessorDies
    | Rename
    | Spoil
)


@dataclass(frozen=True)
class History:
    """Events with the seconds at which they happen, in order; `sql`: over the real journal."""

    events: tuple[tuple[float, Event], ...]
    sql: bool = False
    real_board: bool = False


_FILES = Push(
    (
        ("dags/anna/x.py", Kind.FINE, 1),
        ("dags/ben/x.py", Kind.BROKEN, 1),
        ("dags/cleo/x.py", Kind.HARM, 1),
    )
)
_ONE = Push((("dags/anna/x.py", Kind.FINE, 1),))
_SLOW = Push((("dags/anna/x.py", Kind.SLOW, 2), ("dags/ben/x.py", Kind.CRAWL, 2)))
_DEADLY = Push((("dags/anna/x.py", Kind.POISON, 1),))
_OTHERS = Push((("dags/cleo/x.py", Kind.FINE, 2),))
CLASSICS = {
    "files": History(((0.5, _FILES), (0.6, _OTHERS))),
    "slow files": History(((0.5, _SLOW), (1.0, _OTHERS), (7.0, _OTHERS))),
    "a slow push that is delivered again, and another": History(
        (
            (0.0, Push((("dags/top.py", Kind.SLOW, 1),), delays=(0.3, 900.0))),
            (0.12, Push((("dags/cleo/x.py", Kind.SLOW, 3),))),
        )
    ),
    "packages": History(((0.5, Push(packages=("fine", 2))),)),
    "packages with which Airflow does not start": History(((0.5, Push(packages=("sick", 2))),)),
    "packages, while services are ill for a moment": History(
        ((0.5, FailOnce("services.wait_healthy")), (0.6, Push(packages=("fine", 2))))
    ),
    "packages that are refused, upon such": History(
        ((0.5, Push(packages=("sick", 2))), (0.6, Push(packages=("refused", 2))))
    ),
    "packages, while Docker goes away and then their commit": History(
        ((0.5, Push(packages=("fine", 2))), (0.8, Fault("docker", 60.0)), (1.0, Reset(1)))
    ),
    "a deadly file": History(((0.5, _DEADLY),)),
    "a forced push": History(((0.5, _FILES), (3.0, Reset(1)))),
    "a rollback": History(((0.5, _ONE), (3.0, RollBack(1)), (5.0, Unfreeze()))),
}
"""Each is played with a crash at each boundary of an effect in it."""

FAULTS = (
    "git",
    "github 500",
    "github 403",
    "github 429",
    "github limit",
    "github 401",
    "github timeout",
    "github lost answer",
    "github unknown commit",
    "docker",
    "airflow",
    "parser",
    "feed cut",
    "feed silent",
    "disk",
    "journal",
)
CALLS = (
    "repository.fetch",
    "releases.publish",
    "releases.restore",
    "airflow.versions_in_use",
    "examiner.examine",
    "services.tidy",
    "services.installed",
    "services.resolve",
    "services.build",
    "services.recreate",
    "services.wait_healthy",
    "services.put_back",
    "airflow.pools",
    "airflow.resize_pool",
    "airflow.busy",
    "journal.end",
    "journal.set_live",
    "journal.owe",
    "journal.queue",
    "journal.attach",
    "journal.start",
    "journal.posted",
    "journal.set_packages",
    "journal.supersede",
)
STEPS = [
    call
    for call in CALLS
    if call.startswith(("services.", "airflow.", "releases.")) and "versions" not in call
]
"""Of a rollout: in each of them one is made to fail."""
EVERY_FAULT = frozenset(
    {
        *FAULTS,
        *(f"{call} fails" for call in CALLS if call not in STEPS),
        *("a crash", "a forced push", "a branch that is deleted", "a file is changed by hand"),
        *("a delivery that gets lost", "a delivery that comes late", "a redelivery"),
        *("a push that two hooks deliver", "a delivery that was known"),
        *("a delivery under a new name", "a delivery under a name that nobody knew"),
        *("a delivery that could not be written", "the clock jumps +3600 s"),
        *("the clock jumps -3600 s", "the dag-processor dies by chance"),
        *("the dag-processor dies of a file", "Freeze", "Unfreeze", "RollBack", "DeployByHand"),
    }
)
"""What has to happen in the histories that CI plays, as `machine.Machine.met` counts it."""
GAPS = (0.0, 0.02, 0.1, 0.3, 1.0, 5.0, 30.0, 70.0, 400.0)


def failing(call: str) -> History:
    """Return a history in which a rollout takes all its steps, and that one fails."""
    push = Push((("dags/anna/x.py", Kind.POISON, 1),), packages=("sick", 2))
    return History(((0.5, Crash(40)), (0.5, FailOnce(call)), (0.6, push)))


def draw(seed: int) -> History:
    """Return the history of a seed.

    Each has some kinds of trouble and not others, so that one does not always hide the other
    (Groce et al., "Swarm testing", 2012).
    """
    drawn = _Draw(random.Random(seed)).history()  # noqa: S311 - for play
    dice = random.Random(f"of the repository, {seed}")  # noqa: S311 - likewise
    if dice.random() > 0.1:
        return drawn
    at = dice.choice(drawn.events)[0]
    events = sorted([*drawn.events, (at, Rename())], key=itemgetter(0))
    return replace(drawn, events=tuple(events))


def draw_rollouts(seed: int) -> History:
    """Return another history of a seed: packages move, and what may come in between is close by."""
    return _DrawRollouts(random.Random(seed)).history()  # noqa: S311 - for play


class _Draw:
    gaps: tuple[float, ...] = GAPS

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        harmless = [Kind.FINE, Kind.FINE, Kind.EMPTY, Kind.BROKEN]
        harmful = [k for k in Kind if k not in harmless]
        self._kinds = harmless + dice.sample(harmful, dice.choice((0, 1, 1, 2, 3)))
        self._helped = dice.random() < 0.3
        self._versions = dice.choice((2, 3, 50))
        self._packages = dice.random() < 0.45
        self._faults = dice.sample(FAULTS, dice.choice((0, 1, 2, 4)))
        self._calls = dice.sample(CALLS, dice.choice((0, 2, 4)))
        makers = [
            (self._reset, 1),
            (self._revert, 1),
            (self._delete_branch, 0.5),
            (self._redeliver, 1),
            (self._steer, 1.5),
            (self._fault, 2),
            (self._fail_once, 2),
            (self._crash, 4),
            (lambda: Jump(dice.choice((-3600.0, 3600.0, 60.0, -60.0))), 0.5),
            (lambda: Edited(dice.choice(PATHS)), 0.3),
            (lambda: Task(dice.choice((1, 5, 500))), 0.3),
            (DagProcessorDies, 0.4),
        ]
        some = dice.sample(makers, dice.choice((1, 2, 3, 5)))
        self._makers = [(self._push, 5.0), *some]

    def history(self) -> History:
        dice = self._dice
        at, events = 0.0, []
        makers, weights = zip(*self._makers, strict=True)
        for _ in range(dice.choice((3, 6, 10, 16))):
            (maker,) = dice.choices(makers, weights)
            events.append((round(at, 2), maker()))
            at += dice.choice(self.gaps)
        return History(
            tuple(events),
            sql=dice.random() < 0.03,
            real_board=dice.random() < 0.03,
        )

    def _push(self) -> Event:
        dice = self._dice
        paths = dice.sample(PATHS, dice.choice((1, 1, 1, 2, 3)))
        changes = [self._change(path) for path in paths]
        if self._helped and dice.random() < 0.3:
            kind = dice.choice((Kind.FINE, Kind.FINE, Kind.BROKEN))
            changes.append((HELPER, kind, dice.randint(1, self._versions)))
        packages = None
        if self._packages and dice.random() < 0.5:
            kinds = ("fine", "fine", *REQUIREMENTS_KINDS)
            packages = (dice.choice(kinds), dice.randint(1, 3))
            if dice.random() < 0.3:
                changes = []
        return Push(
            tuple(changes),
            packages,
            onto=dice.choice((0,) * 12 + (1, 2, 3)),
            merges=dice.choice((0,) * 12 + (1, 2, 3)),
            delays=self._delays(),
            bell=dice.random() < 0.9,
        )

    def _change(self, path: str) -> Change:
        dice = self._dice
        if dice.random() < 0.1:
            return (path, Kind.FINE, 0)
        return (path, dice.choice(self._kinds), dice.randint(1, self._versions))

    def _delays(self) -> tuple[float, ...]:
        usual = ((0.01,),) * 8
        return self._dice.choice((*usual, (), (0.01, 0.01), (5.0,), (130.0,), (0.3, 900.0)))

    def _reset(self) -> Event:
        return Reset(self._dice.choice((1, 1, 2, 4)), self._delays())

    def _revert(self) -> Event:
        return Revert(self._dice.choice((1, 1, 2, 4)), self._delays())

    def _delete_branch(self) -> Event:
        return DeleteBranch(self._dice.choice((0.5, 5.0, 100.0)), self._dice.choice((0, 0, 1, 3)))

    def _redeliver(self) -> Event:
        return Redeliver(self._dice.choice((0, 0, 1, 3)), self._dice.random() < 0.5)

    def _steer(self) -> Event:
        dice = self._dice
        return dice.choice(
            (
                Freeze(dice.choice((None, 2.0, 600.0))),
                Unfreeze(),
                Unfreeze(),
                RollBack(dice.choice((0, 1, 1, 2))),
                DeployByHand(dice.choice((None, 0, 1))),
            )
        )

    def _fault(self) -> Event:
        dice = self._dice
        if not self._faults:
            return self._push()
        return Fault(dice.choice(self._faults), dice.choice((0.05, 0.5, 4.0, 15.0, 120.0, 700.0)))

    def _fail_once(self) -> Event:
        return FailOnce(self._dice.choice(self._calls)) if self._calls else self._push()

    def _crash(self) -> Event:
        dice = self._dice
        return Crash(dice.randint(1, dice.choice((4, 30, 80))), dice.choice((0.1, 1.0, 30.0)))


class _DrawRollouts(_Draw):
    gaps = (0.02, 0.05, 0.1, 0.2, 0.3, 1.0, 5.0, 30.0, 70.0, 300.0)

    def __init__(self, dice: random.Random) -> None:
        super().__init__(dice)
        self._packages = True
        self._faults = [*FAULTS]
        self._calls = [*CALLS]
        self._makers = [
            (self._push, 4.0),
            (self._reset, 2),
            (self._revert, 1),
            (self._steer, 1.5),
            (self._fault, 2),
            (self._fail_once, 1.5),
            (self._crash, 2),
            (DagProcessorDies, 0.4),
            (lambda: Task(dice.choice((1, 5, 30))), 0.5),
        ]
