"""Faults that are put into the deployer on purpose: a harness that finds none of them is none.

Each is a small patch, and the simulation has to find it within the histories that CI plays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import pytest

from deployer.core.model import (
    Outcome,
    Status,
    StatusState,
    Verdict,
)
from deployer.core.reporting.status import Commit, pending
from deployer.worker import covered
from deployer.worker.covered import CoveredCommits
from deployer.worker.outbox import Outbox
from deployer.worker.reconciler import Reconciler
from tests.reliability.history import CLASSICS, draw
from tests.reliability.simulation import killed_everywhere, play

BUDGET = 500
"""Random histories that CI plays; before most of them, those with a crash at each boundary."""
FIRST = 100
Patch = Callable[[pytest.MonkeyPatch], None]
PLANTED: dict[str, Patch] = {}


@dataclass(frozen=True)
class Found:
    """By what a planted fault was found, and after how many histories; None: it was not."""

    name: str
    histories: int | None
    by: str = ""


def planted(name: str) -> Callable[[Patch], Patch]:
    def keep(patch: Patch) -> Patch:
        PLANTED[name] = patch
        return patch

    return keep


def find(name: str, *, budget: int = BUDGET) -> Found:
    """Play histories with a fault until one shows it."""
    with pytest.MonkeyPatch.context() as patch:
        PLANTED[name](patch)
        histories = chain(
            map(draw, range(FIRST)),
            chain.from_iterable(map(killed_everywhere, CLASSICS.values())),
            map(draw, range(FIRST, budget)),
        )
        for number, history in enumerate(histories, 1):
            wrong = play(history).wrong
            if wrong:
                return Found(name, number, wrong[0])
    return Found(name, None)


# -- what is told


@planted("a status is posted twice")
def _(patch: pytest.MonkeyPatch) -> None:
    record = Outbox._record

    def twice(self: Outbox, owed: Any, answer: Any, target_url: str | None) -> None:  # noqa: ANN401
        self._board.post(owed.status, target_url)
        record(self, owed, answer, target_url)

    patch.setattr(Outbox, "_record", twice)


@planted("a status leaves the outbox before it is posted")
def _(patch: pytest.MonkeyPatch) -> None:
    def target(self: Outbox, owed: Any) -> None:  # noqa: ANN401
        self._journal.posted(owed.id, at=self._clock.now(), target_url=None)

    patch.setattr(Outbox, "_target", target)


@planted("a covered commit is forgotten")
def _(patch: pytest.MonkeyPatch) -> None:
    end = Reconciler._end

    def only_the_tip(self: Reconciler, number: int, commits: Any, *a: Any, **k: Any) -> None:  # noqa: ANN401
        end(self, number, list(commits)[-1:], *a, **k)

    patch.setattr(Reconciler, "_end", only_the_tip)


@planted("for a late commit the tip is deployed once more")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CoveredCommits, "late", lambda self, rows: list(rows))


@planted("who puts a text back is not told what it does")
def _(patch: pytest.MonkeyPatch) -> None:
    new_run = Reconciler._new_run
    patch.setattr(
        Reconciler,
        "_new_run",
        lambda *a, **k: new_run(*a, **{**k, "answers_for": ()}),
    )


@planted("a final status is overwritten")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CoveredCommits, "answered", lambda self, sha: False)


@planted("a commit that a forced push removed is told as live")
def _(patch: pytest.MonkeyPatch) -> None:
    def live(commit: Commit, branch: str) -> tuple[Status, ...]:
        return tuple(replace(s, state=StatusState.SUCCESS) for s in pending(commit))

    patch.setattr(covered, "gone", live)


@planted("a commit that a forced push removed is never told so")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CoveredCommits, "dismiss", lambda self, rows: None)


@planted("an error is never told anew")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CoveredCommits, "forgotten", lambda self, tip: [])
    patch.setattr(CoveredCommits, "tell_forgotten", lambda self, tip: None)


@planted("a broken file is told as good")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Verdict, "good", property(lambda self: self.outcome is not Outcome.HELD))
