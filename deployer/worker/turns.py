"""Decide what to deploy next, and answer every commit that somebody announced.

A delivery means "this branch is dirty", never "deploy that sha": one turn asks git for
the tip, makes that live, and lets every announced commit that the tip contains end as
the tip did. What was announced while a turn ran is answered by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from threading import RLock

import structlog

from deployer.core.model import Deployment, State, StepName, StepRecord, Trigger
from deployer.core.status import Commit, Ending, final, pending, waiting
from deployer.deploy import Limits, Parts, Result, Run
from deployer.errors import GitError, UnknownCommit
from deployer.ports import Announcement
from deployer.worker.answers import Answers, Branch, every
from deployer.worker.upkeep import Upkeep

log = structlog.get_logger()

REPLICATION = timedelta(seconds=60)
"""How long a commit may be announced before git shows it; after that it is gone."""
FETCH_BOUND_S = 20.0
"""Seconds for which git is asked again while somebody waits for an answer."""
FETCH_AGAIN_S = 2.0
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """The branch's tip, and when and for how long git was asked."""

    tip: str
    step: StepRecord


class Place(Enum):
    """Where an announced commit stands to the tip."""

    ON_BRANCH = "on branch"
    GONE = "gone"
    UNSEEN = "unseen"  # announced so recently that git may not show it yet


class Turns:
    """One deployment after the other; `take_in` may be called from another thread."""

    def __init__(
        self, parts: Parts, limits: Limits, branch: Branch, *, owed: Callable[[], None]
    ) -> None:
        self._parts = parts
        self._limits = limits
        self._branch = branch
        self._owed = owed  # called when the outbox was filled
        self._answers = Answers(parts, branch, owed=owed)
        self._intake = RLock()
        self._failures = 0
        self._given_up: str | None = None  # a tip that its author must mend
        self.upkeep = Upkeep(parts, keep=limits.keep_releases)
        self._last_wish = 0  # the newest that was told of; it may wait for git

    # -- intake

    def take_in(self) -> bool:
        """Give each announced commit its place in the queue; True if any is new.

        A wish of the teacher's (`deployer deploy`) waits for the turn itself.
        """
        journal, clock = self._parts.journal, self._parts.clock
        found = False
        with self._intake:
            waiting = {d.sha: d.id for d in journal.unfinished()}
            live = journal.live()
            for announced in journal.unseen():
                if announced.trigger is Trigger.MANUAL:
                    found = found or announced.id > self._last_wish
                    self._last_wish = max(self._last_wish, announced.id)
                    continue
                sha = announced.sha or ""
                # A redelivery, or a push that the poll found first: answered already.
                known = waiting.get(sha)
                if known is None and live and live.sha == sha and (judged := journal.judging(sha)):
                    known = judged.id
                if known is None:
                    known = self._queue(sha, announced.before, announced.trigger)
                    journal.owe(pending(Commit(sha)), deployment=known, at=clock.now())
                    self._owed()
                    waiting[sha] = known
                    log.info("announced", sha=sha, deployment=known)
                    found = True
                # Dying before this line queues nothing twice: `waiting` knows the sha.
                journal.attach(announced.id, known)
        return found

    def _queue(self, sha: str, base_sha: str | None, trigger: Trigger) -> int:
        return self._parts.journal.queue(
            sha,
            base_sha=base_sha,
            ref=self._branch.ref,
            trigger=trigger,
            at=self._parts.clock.now(),
        )

    # -- a turn

    def turn(self) -> float | None:
        """Do what there is to do; return in how many seconds to try again, None: at the poll."""
        journal = self._parts.journal
        self.take_in()
        try:
            fetched = self._fetch(patient=bool(journal.unfinished() or self._wishes()))
        except GitError as exc:
            return self._git_failed(exc)
        tip = fetched.tip
        journal.beat(at=self._parts.clock.now(), tip=tip, tip_checked_at=self._parts.clock.now())
        self.take_in()  # what came while git was asked is probably in the tip
        with self._intake:
            rows = journal.unfinished()
            places = {
                row.id: self._place(row.sha, row.queued_at, fetched, patience=REPLICATION)
                for row in rows
            }
            asked = {
                wish: self._place(wish.sha, wish.received_at, fetched, patience=timedelta(0))
                for wish in self._wishes()
            }
        mine = next((row for row in rows if row.sha == tip), None)
        covered = [row for row in rows if row.sha != tip and places[row.id] is Place.ON_BRANCH]
        self._answers.dismiss([row for row in rows if places[row.id] is Place.GONE])
        self._answers.refuse([wish for wish, place in asked.items() if place is Place.GONE])
        wishes = [wish for wish, place in asked.items() if place is Place.ON_BRANCH]
        live = journal.live()
        behind = (live is None or live.sha != tip) and tip != self._given_up
        if mine or wishes or behind:
            return self._deploy(fetched, mine, covered, wishes)
        if covered:
            self._answers.late(tip, covered)
        unseen = Place.UNSEEN in {*places.values(), *asked.values()}
        return FETCH_AGAIN_S if unseen else None

    def _wishes(self) -> list[Announcement]:
        return [a for a in self._parts.journal.unseen() if a.trigger is Trigger.MANUAL]

    def _fetch(self, *, patient: bool) -> Fetched:
        clock = self._parts.clock
        started_at, started = clock.now(), clock.monotonic()
        while True:
            try:
                tip = self._parts.repository.fetch()
            except GitError:
                if not patient or clock.monotonic() - started > FETCH_BOUND_S:
                    raise
                clock.sleep(FETCH_AGAIN_S)
            else:
                step = StepRecord(StepName.FETCH, "ok", started_at, clock.now(), f"tip {tip[:7]}")
                return Fetched(tip, step)

    def _place(
        self, sha: str | None, announced_at: datetime, fetched: Fetched, *, patience: timedelta
    ) -> Place:
        """Tell where a commit stands to the tip that was fetched; no sha: whatever the tip is."""
        known = True
        try:
            if sha is None or self._parts.repository.contains(fetched.tip, sha):
                return Place.ON_BRANCH
        except UnknownCommit:
            known = self._parts.journal.forced_away(sha or "")
        began = fetched.step.started_at
        if announced_at > began:  # this fetch can't have brought it
            return Place.UNSEEN
        return Place.UNSEEN if not known and began - announced_at < patience else Place.GONE

    def _deploy(
        self,
        fetched: Fetched,
        mine: Deployment | None,
        covered: Sequence[Deployment],
        wishes: Sequence[Announcement],
    ) -> float | None:
        journal, clock, tip = self._parts.journal, self._parts.clock, fetched.tip
        live = journal.live()
        again = self._answers.owed_since_an_error(tip)
        with self._intake:
            if mine is None:
                why = Trigger.MANUAL if wishes else covered[-1].trigger if covered else Trigger.POLL
                deployment = self._queue(tip, live.sha if live else None, why)
            else:
                deployment = mine.id
            for wish in wishes:
                journal.attach(wish.id, deployment)
        if wishes:  # a teacher who asks by hand wants all of it judged anew
            journal.set_live(None)
        shas = tuple(dict.fromkeys([*again, *(row.sha for row in covered), tip]))
        journal.start(deployment, at=clock.now(), base_sha=live.sha if live else None, covers=shas)
        journal.add_step(deployment, fetched.step)
        commits = [self._answers.commit(sha, live.sha if live else None) for sha in shas]
        fresh = [commit for commit in commits if commit.sha not in again]
        journal.owe(every(pending(c) for c in fresh), deployment=deployment, at=clock.now())
        self._owed()
        structlog.contextvars.bind_contextvars(deployment=deployment)
        try:
            log.info("started", sha=tip, covers=len(shas))
            notes = [f"{c.sha[:7]} {note}" for c in commits for note in c.notes]
            result = self._run(deployment, tip, fresh, notes, retry_refused=bool(wishes))
            self._end(deployment, tip, commits, result, supersedes=[row.id for row in covered])
        finally:
            structlog.contextvars.unbind_contextvars("deployment")
        if result.state is State.ERROR:
            return self._later()
        self._failures = 0
        self._given_up = tip if result.state is State.FAILED else None
        self.upkeep.clean_up()
        return 0.0

    def _run(
        self,
        deployment: int,
        tip: str,
        commits: Sequence[Commit],
        notes: Sequence[str],
        *,
        retry_refused: bool,
    ) -> Result:
        journal, clock = self._parts.journal, self._parts.clock

        def tell(words: str) -> None:
            told = [waiting(commit, words) for commit in commits]
            journal.owe(told, deployment=deployment, at=clock.now())
            self._owed()

        try:
            return Run(
                self._parts,
                self._limits,
                deployment,
                tell=tell,
                notes=notes,
                retry_refused=retry_refused,
            )(tip)
        except Exception as exc:  # a fault of ours must not stop the class's deployer
            log.exception("fault")
            return Result(State.ERROR, reason=f"fault in the deployer: {type(exc).__name__}")

    def _end(
        self,
        deployment: int,
        tip: str,
        commits: Sequence[Commit],
        result: Result,
        *,
        supersedes: Sequence[int],
    ) -> None:
        journal, now = self._parts.journal, self._parts.clock.now()
        journal.set_verdicts(deployment, result.verdicts)
        record = journal.deployment(deployment)
        since = record.queued_at if record else now
        ending = Ending(
            tip,
            result.state,
            (now - since).total_seconds(),
            result.verdicts,
            result.refused,
            result.reason,
            result.duplicates,
            result.died_of,
        )
        journal.end(
            deployment,
            result.state,
            at=now,
            reason=result.reason or result.refused or "",
            statuses=every(final(commit, ending) for commit in commits),
            supersedes=supersedes,
        )
        self._owed()
        # Dying before this line leaves it unknown what is live: all is judged once more.
        if result.live is not None:
            journal.set_live(result.live)
        log.info(
            "ended",
            state=str(result.state),
            sha=tip,
            seconds=round(ending.seconds, 2),
            files=len(result.verdicts),
            reason=result.reason or result.refused or "",
        )

    # -- failures

    def _git_failed(self, exc: GitError) -> float | None:
        """End what waits for git; the next turn that reaches it covers the same commits."""
        journal, clock = self._parts.journal, self._parts.clock
        log.warning("fetch failed", reason=str(exc))
        rows = journal.unfinished()
        if not rows:
            return self._later() if self._wishes() else None
        *others, newest = rows
        shas = tuple(dict.fromkeys(row.sha for row in rows))
        journal.start(newest.id, at=clock.now(), base_sha=newest.base_sha, covers=shas)
        now = clock.now()
        journal.add_step(newest.id, StepRecord(StepName.FETCH, "failed", now, now, str(exc)))
        self._end(
            newest.id,
            newest.sha,
            [self._answers.commit(row.sha, row.base_sha) for row in rows],
            Result(State.ERROR, reason=str(exc)),
            supersedes=[row.id for row in others],
        )
        return self._later()

    def _later(self) -> float:
        self._failures += 1
        return min(FIRST_RETRY_S * 2.0 ** (self._failures - 1), LONGEST_RETRY_S)
