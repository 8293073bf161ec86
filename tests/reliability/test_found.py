"""Histories that the simulation found, in their smallest form, and what was wrong in each."""

from __future__ import annotations

import pytest

from tests.reliability.history import (
    Crash,
    DagProcessorDies,
    DeleteBranch,
    Edited,
    Event,
    FailOnce,
    Fault,
    Freeze,
    History,
    Jump,
    Push,
    Reset,
    Revert,
    RollBack,
    Unfreeze,
)
from tests.reliability.simulation import play, silence
from tests.reliability.texts import HELPER, Kind

FOUND = {
    "a file of the root was taken for a module: no deployment ended that broke another's file": (
        (0.5, Push((("dags/ben/y.py", Kind.FINE, 2), (HELPER, Kind.FINE, 1)))),
        (5.0, Push((("dags/ben/y.py", Kind.FINE, 2),))),
        (9.0, Push(((HELPER, Kind.BROKEN, 1),), packages=("fine", 2))),
    ),
    "the simulated dag-processor told of a file before it died of it": (
        (0.0, Push((("dags/anna/y.py", Kind.POISON, 2),))),
        (0.0, DagProcessorDies()),
    ),
    "a commit was begun before its delivery came, and live long after": (
        (0.3, Push((("dags/ben/x.py", Kind.BROKEN, 2),), onto=1)),
        (
            0.3,
            Push(
                (("dags/cleo/x.py", Kind.POISON, 1), ("dags/ben/x.py", Kind.FINE, 0)),
                packages=("sick", 3),
                delays=(0.3, 900.0),
            ),
        ),
    ),
    "a commit came late whose file a newer tip, deployed meanwhile, had put back as it was live": (
        (70.0, Push((("dags/ben/y.py", Kind.FINE, 2),), onto=1, delays=(0.3, 900.0))),
        (70.3, Push((("dags/top.py", Kind.BROKEN, 1),), delays=(0.01,))),
        (70.34, Push((("dags/anna/x.py", Kind.FINE, 1),), delays=(0.01,))),
        (70.64, Push((("dags/top.py", Kind.FINE, 0),), onto=1, delays=(0.3, 900.0))),
        (70.74, Revert(back=1, delays=())),
    ),
    "the same, while the deployment of the newer tip was at work on slow files": (
        (
            405.4,
            Push(
                (
                    ("dags/top.py", Kind.FINE, 2),
                    ("dags/anna/y.py", Kind.CRAWL, 25),
                    ("dags/anna/x.py", Kind.FINE, 22),
                ),
                onto=1,
                delays=(),
            ),
        ),
        (876.4, Push((("dags/anna/x.py", Kind.FINE, 12),), delays=(0.01,))),
        (
            1677.72,
            Push(
                (
                    ("dags/anna/x.py", Kind.FINE, 20),
                    ("dags/anna/y.py", Kind.FINE, 0),
                    ("dags/cleo/x.py", Kind.HARM, 48),
                ),
                delays=(0.3, 900.0),
            ),
        ),
        (1677.72, Revert(back=2, delays=(0.01,))),
    ),
    "a forced push removed what git alone had shown, and it was told of all that was not live": (
        (
            955.1,
            Push(
                (
                    ("dags/ben/x.py", Kind.EMPTY, 36),
                    ("dags/cleo/x.py", Kind.FINE, 32),
                    ("dags/anna/x.py", Kind.BROKEN, 26),
                ),
                delays=(0.01,),
            ),
        ),
        (
            955.1,
            Push(
                (("dags/ben/x.py", Kind.SLOW, 18), ("include/helper.py", Kind.FINE, 5)),
                delays=(),
                bell=False,
            ),
        ),
        (956.5, Push((("dags/ben/y.py", Kind.FINE, 31),), onto=3, delays=(0.01,))),
    ),
    "the simulation took a freeze for older than a push because the clock was set": (
        (0.12, RollBack(back=1)),
        (0.14, Jump(seconds=3600.0)),
    ),
    "the simulation took what a rollback makes live for a push, as the branch went back to it": (
        (30.0, RollBack(back=1)),
        (30.04, Push((("dags/anna/x.py", Kind.BROKEN, 3),), merges=3, delays=(0.01,), bell=False)),
        (30.06, Reset(back=4, delays=(0.01,))),
    ),
    "between two equal words others were owed, and never posted": (
        (
            30.0,
            Push((("dags/anna/x.py", Kind.POISON, 2),), packages=("unbuildable", 2), onto=2),
        ),
        (
            30.02,
            Push((("dags/top.py", Kind.CLAIM, 1),), packages=("sick", 1), merges=1, bell=False),
        ),
    ),
    "between two equal verdicts a rollback was owed, and never posted": (
        (30.0, Push((("dags/cleo/x.py", Kind.CRAWL, 23),), onto=2, delays=(0.3, 900.0))),
        (35.0, Push((("dags/anna/x.py", Kind.EMPTY, 25),), delays=(5.0,))),
        (40.0, RollBack(back=2)),
        (40.3, Fault("github 429", for_s=120.0)),
        (40.3, Unfreeze()),
    ),
    "of two commits before a tip that nobody named, the older one was taken for what it came of": (
        (510.0, Push((("dags/anna/x.py", Kind.FINE, 35),), delays=(130.0,), bell=False)),
        (510.0, Push((("dags/ben/y.py", Kind.SLOW, 5),), delays=(0.3, 900.0))),
        (540.0, Push((("dags/cleo/x.py", Kind.BROKEN, 30),), delays=(0.01,))),
        (610.02, Push((("dags/cleo/x.py", Kind.BROKEN, 22),), delays=(0.01,))),
        (611.02, Push((), ("fine", 2), onto=2, merges=2, delays=(), bell=False)),
    ),
    "a tip was compared with a commit that came late, as a crash had made what was live unknown": (
        (0.3, Push((("dags/anna/x.py", Kind.FINE, 0),), delays=(130.0,))),
        (30.32, Crash(boundary=3, away_s=0.1)),
        (60.32, Push((("dags/ben/x.py", Kind.EMPTY, 3),), delays=(0.01, 0.01))),
        (130.32, Push((("dags/anna/x.py", Kind.EMPTY, 1),), delays=(5.0,))),
        (130.42, Crash(boundary=14, away_s=0.1)),
        (130.52, Push((("dags/top.py", Kind.FINE, 2),), delays=(0.01,))),
    ),
    "a push whose packages were refused was judged with those that a failed deployment had left": (
        (70.0, Push((), ("fine", 2), onto=2, merges=1, delays=(5.0,))),
        (70.32, FailOnce("releases.publish")),
        (75.34, Push((("dags/cleo/x.py", Kind.PICKY, 3),), ("sick", 3), delays=(0.01,))),
    ),
    "a worker died while pools were empty, and the branch went back to what was live": (
        (70.0, Crash(boundary=77, away_s=30.0)),
        (70.04, Push((("dags/anna/y.py", Kind.BROKEN, 2),), ("fine", 2), delays=(0.01,))),
        (100.04, Reset(back=2, delays=(0.01,))),
    ),
    "a deployment that mended a file changed by hand failed once, and told its commit anew": (
        (0.0, Push((("dags/anna/x.py", Kind.EMPTY, 2),), delays=(0.01,))),
        (401.0, FailOnce("journal.end")),
        (401.02, Edited("dags/anna/x.py")),
        (836.32, Push((("dags/top.py", Kind.FINE, 2),), onto=2, delays=(0.01, 0.01))),
    ),
    "a tip was found for others' sake, who were in error, before its delivery came": (
        (406.1, Fault("parser", for_s=15.0)),
        (406.2, Push((("dags/ben/y.py", Kind.FINE, 13),), onto=2, delays=(0.01,))),
        (406.3, Push((("dags/cleo/x.py", Kind.FINE, 8),), delays=())),
        (411.3, Push((("dags/anna/y.py", Kind.FINE, 0),), delays=(5.0,))),
    ),
    "a file was judged with a module's live version, as the new one waited for a slow file": (
        (
            470.44,
            Push(
                (("dags/ben/y.py", Kind.CRAWL, 2), (HELPER, Kind.FINE, 48)),
                merges=3,
                delays=(5.0,),
            ),
        ),
        (
            475.44,
            Push((("dags/ben/y.py", Kind.CRAWL, 4), (HELPER, Kind.BROKEN, 47)), delays=(0.01,)),
        ),
        (
            505.44,
            Push(
                (
                    ("dags/ben/x.py", Kind.CRAWL, 17),
                    ("dags/anna/x.py", Kind.FINE, 20),
                    (HELPER, Kind.FINE, 21),
                ),
                delays=(0.01,),
            ),
        ),
        (
            506.44,
            Push((("dags/cleo/x.py", Kind.PICKY, 6), (HELPER, Kind.FINE, 16)), delays=(0.01,)),
        ),
    ),
    "a module stayed held with a file that needed it no longer": (
        (861.7, Push(((HELPER, Kind.FINE, 2),), delays=(0.3, 900.0))),
        (891.7, Push((("dags/top.py", Kind.HARM, 2), (HELPER, Kind.FINE, 2)), delays=(130.0,))),
        (892.7, Push((("dags/anna/x.py", Kind.HARM, 2),), delays=(130.0,))),
        (892.7, Push((("dags/ben/x.py", Kind.FINE, 2),), delays=(0.01,))),
        (
            892.7,
            Push(
                (("dags/top.py", Kind.FINE, 1), (HELPER, Kind.BROKEN, 2)), merges=2, delays=(0.01,)
            ),
        ),
        (893.7, Push((("dags/anna/y.py", Kind.FINE, 2),), onto=3, merges=1, delays=(0.01,))),
        (894.7, Push((("dags/top.py", Kind.EMPTY, 1),), delays=(0.01,))),
    ),
    "a file changed by hand could not be mended, and its commit, a green one, was told an error": (
        (0.0, Push((("dags/anna/x.py", Kind.EMPTY, 2),), ("fine", 1), delays=(0.01, 0.01))),
        (70.0, Push((), ("unbuildable", 1), delays=(0.01,))),
        (75.0, Push((), ("refused", 1), delays=(0.01,))),
        (76.0, Push((("dags/top.py", Kind.FINE, 0),), ("fine", 1), onto=1, delays=(0.01,))),
        (86.1, Edited("dags/anna/x.py")),
        (86.2, Fault("parser", for_s=700.0)),
        (198.5, Revert(back=2, delays=(130.0,))),
    ),
    "what was live became unknown while a tip was deployed, which was told late": (
        (400.0, Push((("dags/cleo/x.py", Kind.FINE, 2),), delays=(0.3, 900.0))),
        (400.0, Push((("dags/cleo/x.py", Kind.FINE, 3),), merges=1, delays=(0.01,))),
        (400.3, Crash(boundary=52, away_s=0.1)),
        (400.32, Push((("dags/anna/x.py", Kind.FINE, 2),), delays=(130.0,))),
    ),
    "those of before were other packages, as a deployment went live that was never judged": (
        (475.4, Push((("dags/ben/x.py", Kind.EMPTY, 7),), ("fine", 2), delays=(130.0,))),
        (875.5, Fault("feed silent", for_s=700.0)),
        (945.5, Revert(back=1, delays=(0.01,))),
        (946.5, Push((("dags/cleo/x.py", Kind.PICKY, 36),), delays=(0.01,))),
        (979.52, Push((), ("unbuildable", 1), delays=(0.01,))),
    ),
    "a refusal for a file's sake stood though the file had moved beside other requirements": (
        (
            0.0,
            Push(
                (("dags/anna/y.py", Kind.BROKEN, 37), ("dags/anna/x.py", Kind.FINE, 13)),
                ("sick", 1),
                delays=(0.01,),
            ),
        ),
        (
            0.1,
            Push(
                (("dags/ben/x.py", Kind.FINE, 16), ("dags/ben/y.py", Kind.PICKY, 18)),
                delays=(0.01,),
            ),
        ),
        (
            475.42,
            Push(
                (
                    ("dags/anna/y.py", Kind.PICKY, 4),
                    ("dags/anna/x.py", Kind.BROKEN, 14),
                    ("dags/cleo/x.py", Kind.FINE, 31),
                ),
                merges=3,
                delays=(0.01, 0.01),
            ),
        ),
        (480.42, Push((("dags/anna/x.py", Kind.PICKY, 29),), delays=(0.01,))),
        (481.42, Push((("dags/top.py", Kind.EMPTY, 46),), ("fine", 3), onto=3, delays=(0.3, 900))),
        (
            486.74,
            Push(
                (
                    ("dags/ben/x.py", Kind.FINE, 0),
                    ("dags/anna/y.py", Kind.PICKY, 21),
                    ("dags/cleo/x.py", Kind.FINE, 14),
                ),
                ("fine", 2),
                delays=(0.01,),
            ),
        ),
        (
            491.74,
            Push((("dags/ben/y.py", Kind.FINE, 42),), onto=2, merges=3, delays=(0.01,), bell=False),
        ),
        (
            891.94,
            Push(
                (("dags/cleo/x.py", Kind.FINE, 5), ("dags/anna/x.py", Kind.FINE, 35)),
                ("fine", 2),
                merges=3,
                delays=(0.01,),
            ),
        ),
    ),
    "the clock was set while GitHub did not know the commit yet": (
        (0.0, Push((("dags/ben/x.py", Kind.PICKY, 2),), delays=(0.01,))),
        (0.02, Fault("github unknown commit", for_s=4.0)),
        (1.02, Jump(seconds=3600.0)),
    ),
    "a commit that a crash had left unjudged was told what came after it and was live": (
        (0.0, Crash(boundary=22, away_s=30.0)),
        (
            30.1,
            Push((("dags/anna/x.py", Kind.SLOW, 8),), ("unbuildable", 2), merges=2, delays=(5.0,)),
        ),
        (31.1, Push((), ("fine", 3), merges=1, delays=(0.01,))),
        (31.1, DeleteBranch(for_s=100.0)),
        (61.1, Crash(boundary=33, away_s=0.1)),
    ),
    "the same where a forced push had removed what was live": (
        (0.0, Crash(boundary=16, away_s=30.0)),
        (
            1.0,
            Push(
                (("dags/ben/x.py", Kind.CRAWL, 3), ("include/helper.py", Kind.FINE, 3)),
                delays=(0.01,),
            ),
        ),
        (31.0, Push((("dags/cleo/x.py", Kind.FINE, 1),), onto=2, delays=(0.01,))),
    ),
    "after the packages of before were put back, a red push that had been taken back was green": (
        (
            1.0,
            Push(
                (("dags/anna/x.py", Kind.FINE, 2), ("dags/cleo/x.py", Kind.POISON, 2)),
                ("fine", 2),
                delays=(0.01, 0.01),
            ),
        ),
        (1.3, Push((), ("unbuildable", 1), delays=(0.3, 900.0), bell=False)),
        (1.4, FailOnce("releases.publish")),
        (1.42, Push((("dags/anna/y.py", Kind.FINE, 2),), delays=(0.01,), bell=False)),
    ),
    "an old commit named late was what a forced push that nobody had named came of": (
        (5.3, Push((("dags/ben/y.py", Kind.FINE, 2),), delays=(130.0,), bell=False)),
        (
            10.3,
            Push(
                (
                    ("dags/cleo/x.py", Kind.POISON, 1),
                    ("dags/anna/x.py", Kind.FINE, 3),
                    ("dags/top.py", Kind.FINE, 2),
                ),
                merges=2,
                delays=(0.01,),
            ),
        ),
        (80.3, Push((("dags/ben/y.py", Kind.HARM, 1),), merges=2, delays=(0.01,))),
        (
            80.3,
            Push(
                (("dags/ben/x.py", Kind.BROKEN, 1), ("dags/anna/x.py", Kind.FINE, 0)),
                merges=1,
                delays=(5.0,),
            ),
        ),
        (81.3, Push((("dags/anna/y.py", Kind.FINE, 3),), delays=(0.01,))),
        (
            81.3,
            Push(
                (("dags/ben/y.py", Kind.SLOW, 1), ("dags/anna/x.py", Kind.HARM, 3)),
                onto=3,
                delays=(130.0,),
            ),
        ),
        (86.7, Fault("feed cut", for_s=700.0)),
        (86.7, Revert(back=1, delays=(0.3, 900.0))),
    ),
    "packages were noted whose files a full disk had kept from going live, when the worker died": (
        (0.5, Push(packages=("fine", 2))),
        (0.7, FailOnce("releases.publish")),
        (0.75, Crash(boundary=71, away_s=0.1)),
        (0.95, Push(packages=("unbuildable", 3))),
        (1.0, Reset(2)),
    ),
    "packages were noted that had been put in place by a deployment whose note of them failed": (
        (80.0, Push(packages=("fine", 2), merges=1)),
        (380.24, FailOnce("journal.set_packages")),
        (380.44, Reset(1, delays=(0.01, 0.01))),
        (
            380.64,
            Push(
                (
                    ("dags/ben/y.py", Kind.SLOW, 2),
                    ("dags/ben/x.py", Kind.PICKY, 2),
                    ("dags/cleo/x.py", Kind.FINE, 2),
                ),
                packages=("sick", 3),
                delays=(5.0,),
            ),
        ),
    ),
    "packages were not put back, as the turn that was to do it failed": (
        (400.35, Push(packages=("fine", 2), delays=(0.3, 900.0))),
        (400.65, Push((("dags/ben/x.py", Kind.BROKEN, 1),), packages=("fine", 1), delays=())),
        (400.67, Fault("disk", for_s=700.0)),
        (400.72, Revert(1)),
        (
            400.74,
            Push(
                (
                    ("dags/anna/y.py", Kind.FINE, 2),
                    ("dags/ben/x.py", Kind.BROKEN, 1),
                    ("dags/cleo/x.py", Kind.EMPTY, 1),
                )
            ),
        ),
        (700.79, Freeze(for_s=600.0)),
        (771.09, FailOnce("journal.set_live")),
        (841.29, Reset(4)),
    ),
    "a tip without its delivery came of one to which the branch had been set back": (
        (
            331.82,
            Push(
                (("dags/ben/y.py", Kind.HARM, 1), ("dags/anna/y.py", Kind.EMPTY, 2)),
                packages=("fine", 1),
            ),
        ),
        (337.82, Reset(1)),
        (337.87, Fault("docker", for_s=15.0)),
        (
            342.87,
            Push(
                (
                    ("dags/anna/x.py", Kind.HARM, 3),
                    ("dags/anna/y.py", Kind.HARM, 1),
                    ("dags/top.py", Kind.FINE, 2),
                ),
                delays=(5.0,),
                bell=False,
            ),
        ),
        (343.07, Revert(1)),
    ),
    "after a turn that failed, a commit waited for a file that a later push had seen to": (
        (
            0.0,
            Push(
                (
                    ("dags/anna/y.py", Kind.CRAWL, 1),
                    ("dags/ben/x.py", Kind.FINE, 0),
                    ("dags/ben/y.py", Kind.POISON, 1),
                ),
                delays=(0.01,),
            ),
        ),
        (0.3, Push((("dags/cleo/x.py", Kind.BROKEN, 1),), delays=(0.01, 0.01))),
        (0.4, FailOnce("journal.end")),
        (0.42, Push((("dags/anna/y.py", Kind.FINE, 0),), delays=(5.0,))),
    ),
    "in a freeze, the way back to an answered commit that had failed left it pending": (
        (0.1, Push((("dags/ben/x.py", Kind.POISON, 23),), packages=("fine", 3))),
        (30.1, Reset(1)),
        (30.17, Freeze(2.0)),
        (30.37, FailOnce("services.recreate")),
        (30.47, FailOnce("journal.end")),
    ),
    "a tip that failed before its delivery came was told with the next push": (
        (0.0, Revert(2, delays=())),
        (5.0, Reset(1)),
        (5.02, Push((("dags/cleo/x.py", Kind.EMPTY, 1),), onto=1, delays=(5.0,))),
        (5.04, Push(packages=("sick", 2), delays=(5.0,))),
        (5.24, FailOnce("examiner.examine")),
        (5.34, Push((("dags/ben/x.py", Kind.FINE, 0),), delays=(0.3, 900.0))),
    ),
    "a push removed in a freeze, its delivery lost, was told what the push before changed": (
        (1.0, Freeze(for_s=None)),
        (71.0, Push((("dags/anna/y.py", Kind.FINE, 2),), delays=())),
        (171.0, Push((("dags/ben/y.py", Kind.FINE, 3),), delays=())),
        (471.0, Reset(1)),
    ),
    "a tip was removed before its delivery came, and told what a push before it changed": (
        (
            0.0,
            Push(
                (
                    ("dags/anna/y.py", Kind.SLOW, 1),
                    ("dags/anna/x.py", Kind.SLOW, 1),
                    (HELPER, Kind.FINE, 1),
                ),
                onto=2,
            ),
        ),
        (
            0.0,
            Push(
                (
                    ("dags/top.py", Kind.BROKEN, 1),
                    ("dags/cleo/x.py", Kind.EMPTY, 2),
                    ("dags/anna/x.py", Kind.FINE, 1),
                ),
                delays=(),
            ),
        ),
        (0.0, Push((("dags/top.py", Kind.BROKEN, 2),), delays=(5.0,))),
        (
            2.0,
            Push((("dags/top.py", Kind.EMPTY, 2), ("dags/cleo/x.py", Kind.BROKEN, 2)), onto=2),
        ),
    ),
}


@pytest.mark.parametrize("events", FOUND.values(), ids=FOUND)
def test_what_was_found_does_not_come_back(events: tuple[tuple[float, Event], ...]) -> None:
    with silence():
        assert play(History(events)).wrong == ()
