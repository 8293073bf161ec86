"""Faults that are put into the deployer on purpose: a harness that finds none of them is none.

Each is a small patch, and the simulation has to find it within the histories that CI plays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Any

import pytest

from deployer.core.model import (
    DAGS,
    Deployment,
    Live,
    Outcome,
    Proof,
    State,
    Status,
    StatusState,
    StepName,
    Verdict,
)
from deployer.core.planning import plan as planning
from deployer.core.reporting import commit_status
from deployer.core.reporting.commit_status import Commit, pending
from deployer.core.reporting.contexts import DEPLOY
from deployer.deployment import run as running
from deployer.deployment.holding import Holding
from deployer.deployment.publication import GoLive
from deployer.deployment.rollout import Drain, Rollout
from deployer.deployment.run import Run
from deployer.errors import RequirementsRefused, ServicesError
from deployer.ports import Journal
from deployer.worker import covered
from deployer.worker.covered import CoveredCommits
from deployer.worker.deploying import Deploying
from deployer.worker.intake import BY_HAND, Intake
from deployer.worker.maintenance import Maintenance
from deployer.worker.outbox import Outbox
from deployer.worker.reconciler import Reconciler
from tests.reliability.history import CLASSICS, draw
from tests.reliability.simulation import killed_everywhere, play

BUDGET = 500
"""Random histories that CI plays; before most of them, those with a crash at each boundary, one of
each classic in turn."""
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
        killed = zip_longest(*map(killed_everywhere, CLASSICS.values()))
        histories = chain(
            map(draw, range(FIRST)),
            CLASSICS.values(),
            filter(None, chain.from_iterable(killed)),
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
    post_next = Outbox.post_next

    def noted_first(self: Outbox) -> float:
        board, journal, now = self._board, self._journal, self._clock.now()

        class Noting:
            def post(self, status: Status, target_url: str | None) -> Any:  # noqa: ANN401
                for owed in journal.due(now, 100):
                    if owed.status == status:
                        journal.posted(owed.id, at=now, target_url=target_url)
                return board.post(status, target_url)

        self._board = Noting()
        try:
            return post_next(self)
        finally:
            self._board = board

    patch.setattr(Outbox, "post_next", noted_first)


@planted("a covered commit is forgotten")
def _(patch: pytest.MonkeyPatch) -> None:
    end = Deploying.end

    def only_the_tip(self: Deploying, number: int, commits: Any, *a: Any, **k: Any) -> None:  # noqa: ANN401
        end(self, number, list(commits)[-1:], *a, **k)

    patch.setattr(Deploying, "end", only_the_tip)


@planted("who puts a text back is not told what it does")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Run, "_judged_unmoved", lambda self, live: set(live.pending) - self.beside.paths)


@planted("a tip is told before its delivery says of what")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Intake, "delivery_due_in_s", lambda self, sha: 0.0)


@planted("who is known by git alone answers for the pushes of others")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(CoveredCommits, "_pushed_upon", lambda self, sha, before, others: before)


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


# -- what is live


@planted("live is set before the rename")
def _(patch: pytest.MonkeyPatch) -> None:
    def publish(self: GoLive) -> None:
        with self.step(StepName.PUBLISH):
            self.parts.journal.set_live(Live(self._tip.sha))
            self._lives = self._dag_processor.fit()
            release = self.parts.releases.publish(
                self._tip, touch=self._touch - self._held, held=self._held
            )
            self._release = release.name
            self._published_at = self.parts.clock.monotonic()

    patch.setattr(GoLive, "_publish", publish)


@planted("what is held is published")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Holding, "paths", lambda self, tip: frozenset())


@planted("what the isolated parse finds harmful goes live")
def _(patch: pytest.MonkeyPatch) -> None:
    hold = Holding.hold

    def lenient(self: Holding, path: str, reason: str, proof: Proof) -> None:
        if proof is not Proof.PREFLIGHT or not path.startswith(DAGS):
            hold(self, path, reason, proof)

    patch.setattr(Holding, "hold", lenient)


@planted("a freeze is ignored")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Intake, "_look_for_freeze", lambda self: False)


@planted("the branch is not polled")
def _(patch: pytest.MonkeyPatch) -> None:
    reconcile = Reconciler.reconcile

    def once(self: Reconciler) -> float | None:
        again_s = reconcile(self)
        return 1e9 if again_s is None else again_s

    patch.setattr(Reconciler, "reconcile", once)


# -- what a crash leaves


@planted("an announcement is attached before its deployment is queued")
def _(patch: pytest.MonkeyPatch) -> None:
    def take_in(self: Intake) -> bool:
        journal = self._parts.journal
        with self.lock:
            self._look_for_freeze()
            unseen = [a for a in journal.unseen() if a.trigger not in BY_HAND]
            for announced in unseen:
                rows = journal.deployments(limit=1)
                if rows:
                    journal.attach(announced.id, rows[0].id)
                sha = announced.sha or ""
                row = self.queue(sha, announced.before, announced.trigger)
                if not rows:
                    journal.attach(announced.id, row)
                journal.owe(pending(Commit(sha)), deployment=row, at=self._parts.clock.now())
                self._parts.owed()
                self.others.set()
        return bool(unseen or self.requests())

    patch.setattr(Intake, "take_in", take_in)


@planted("a redelivery is queued once more")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Intake, "take_in", _forgetful(Intake.take_in))


def _forgetful(take_in: Callable[[Intake], bool]) -> Callable[[Intake], bool]:
    class Blind:
        def __init__(self, journal: Journal) -> None:
            self._journal = journal

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            return getattr(self._journal, name)

        def unfinished(self) -> Sequence[Deployment]:
            return ()

        def live(self) -> None:
            return None

    def blind(self: Intake) -> bool:
        journal = self._journal
        self._journal = Blind(journal)  # type: ignore[assignment]
        try:
            return take_in(self)
        finally:
            self._journal = journal

    return blind


@planted("what a killed worker had begun is left alone")
def _(patch: pytest.MonkeyPatch) -> None:
    queued = Intake.queued
    patch.setattr(
        Intake,
        "queued",
        lambda self: [one for one in queued(self) if one.state is not State.RUNNING],
    )


@planted("old releases stay")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Maintenance, "clean_up", lambda self: None)


# -- packages


@planted("a refusal is forgotten")
def _(patch: pytest.MonkeyPatch) -> None:
    right = planning.plan
    patch.setattr(running, "plan", lambda *a, refusals, **kw: right(*a, refusals={}, **kw))


@planted("the packages that were asked for are noted, not those that run")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Rollout, "runs_on", lambda self, asked: asked)


@planted("pools do not get their slots back")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Drain, "reopen", lambda self: None)


@planted("a rollout that died is left alone")
def _(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Maintenance, "end_rollout", lambda self: None)


@planted("a rollout that Docker left in the middle is taken for over")
def _(patch: pytest.MonkeyPatch) -> None:
    right = Drain.reopen

    def reopen(self: Drain, *, over: bool = True) -> None:
        right(self)

    patch.setattr(Drain, "reopen", reopen)


@planted("packages with which Airflow does not start stay")
def _(patch: pytest.MonkeyPatch) -> None:
    def move(self: Rollout) -> None:
        try:
            self.parts.services.recreate(self._services)
            self.parts.services.wait_healthy(self._services)
        except ServicesError as exc:
            raise RequirementsRefused(f"Airflow does not start with it: {exc}") from exc

    patch.setattr(Rollout, "_move", move)


@planted("packages are blamed when Airflow did not start once")
def _(patch: pytest.MonkeyPatch) -> None:
    def move(self: Rollout) -> None:
        if why := self._try():
            raise RequirementsRefused(f"Airflow does not start with it: {why}") from why

    patch.setattr(Rollout, "_move", move)


@planted("requirements that are refused colour nobody")
def _(patch: pytest.MonkeyPatch) -> None:
    final = commit_status.final

    def lenient(commit: Commit, ending: Any) -> tuple[Status, ...]:  # noqa: ANN401
        return tuple(
            replace(s, state=StatusState.SUCCESS)
            if s.context == DEPLOY and s.state is StatusState.FAILURE and ending.refused
            else s
            for s in final(commit, ending)
        )

    patch.setattr(covered, "final", lenient)
