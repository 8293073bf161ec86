"""Decide what to deploy next, and answer every commit that somebody announced.

A delivery means "this branch is dirty", never "deploy that sha": one turn asks git for
the tip, makes that live, and lets every announced commit that the tip contains end as
the tip did. What was announced while a turn ran is answered by the next.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from threading import Event, RLock

import structlog

from deployer.core.model import (
    Deployment,
    Ending,
    Freeze,
    Live,
    Running,
    State,
    StepName,
    StepRecord,
    Trigger,
)
from deployer.core.reporting.contexts import DEPLOY
from deployer.core.reporting.counts import counted
from deployer.core.reporting.status import Commit, frozen, pending, rolled_back, waiting
from deployer.deployment.run import Limits, Parts, Result, Run
from deployer.deployment.watching import Beside
from deployer.errors import DiskError, GitError, PreflightError, UnknownCommit
from deployer.ports import Announcement, Edits
from deployer.worker.carried import Carried, Carrying
from deployer.worker.covered import Branch, CoveredCommits, every
from deployer.worker.maintenance import Maintenance

log = structlog.get_logger()

BY_HAND = {Trigger.MANUAL, Trigger.ROLLBACK}
REPLICATION = timedelta(seconds=60)
"""How long a commit may be announced before git shows it; after that it is gone."""
FETCH_BOUND_S = 20.0
"""Seconds for which git is asked again while somebody waits for an answer."""
FETCH_AGAIN_S = 2.0
FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
FETCH_EVERY_S = 60.0
"""For a delivery that got lost while slow files are waited for."""
EXAMINED_S = 0.2
"""For one look whether files that take long have been examined."""


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


class Reconciler:
    """One deployment after the other; `take_in` may be called from another thread."""

    def __init__(
        self, parts: Parts, limits: Limits, branch: Branch, *, owed: Callable[[], None]
    ) -> None:
        self._parts = parts
        self._limits = limits
        self._branch = branch
        self._owed = owed  # called when the outbox was filled
        self._intake = RLock()
        self._in_the_way: str | None = None  # what everybody waits for who comes now
        self._failures = 0
        self._given_up: str | None = None  # a tip that its author must mend
        self._others = Event()  # somebody waits whom the deployment at work does not answer
        self._fetched_at = float("-inf")  # monotonic
        self._carrying = Carrying(self._complete)
        self._covered = CoveredCommits(parts, branch, self._carrying, owed=owed)
        self.maintenance = Maintenance(parts, keep=limits.keep_releases)
        self._told_edits: str | None = None  # None: of a worker before this one
        self._freeze: Freeze | None = None  # as it was at the last intake
        self._told_of: Freeze | None = None  # the rollback of which commits were told
        self._last_wish = 0  # the newest that was told of; it may wait for git
        self._now_live: Live | None = None  # while those are ended that are judged with it

    # -- intake

    def take_in(self) -> bool:
        """Give each announced commit its place in the queue; True if there is a turn to take.

        A wish of the teacher's (`deployer deploy`, `rollback`) waits for the turn itself.
        """
        journal, clock = self._parts.journal, self._parts.clock
        found = False
        with self._intake:
            steered = self._look_for_freeze()
            waiting = {d.sha: d.id for d in journal.unfinished()}
            live = journal.live()
            for announced in journal.unseen():
                if announced.trigger in BY_HAND:
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
                    if self._freeze:
                        self._let_wait_frozen({known: sha}, self._freeze)
                    elif self._in_the_way:
                        self._let_wait({known: sha}, self._in_the_way)
                    else:
                        journal.owe(pending(Commit(sha)), deployment=known, at=clock.now())
                    self._owed()
                    waiting[sha] = known
                    log.info("announced", sha=sha, deployment=known)
                    found = True
                # Dying before this line queues nothing twice: `waiting` knows the sha.
                journal.attach(announced.id, known)
            if found:
                self._others.set()
        if found:
            self._parts.feed.nudge()
            self._parts.examiner.nudge()
        return found or steered

    def _look_for_freeze(self) -> bool:
        """Tell whether somebody froze deployments or let them go on, or the time is over."""
        before, self._freeze = self._freeze, self._parts.journal.frozen(self._parts.clock.now())
        if before == self._freeze:
            return False
        if self._freeze:
            log.info("frozen", why=self._freeze.words, by=self._freeze.by)
        else:
            log.info("no longer frozen")
        return True

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
        self.take_in()
        if self._carrying and not self._is_due():
            return self._go_on()
        if self._freeze and self._freeze.sha and self._has_to_roll_back:
            return self._roll_back(self._freeze, self._freeze.sha)
        edits = self._look_for_edits()
        try:
            fetched = self._fetch(patient=bool(self._new_rows() or self._wishes()))
        except GitError as exc:
            return self._git_failed(exc)
        now = self._parts.clock.now()
        self._parts.journal.beat(at=now, tip=fetched.tip, tip_checked_at=now)
        back = self._wishes(Trigger.ROLLBACK)
        self.take_in()  # what came while git was asked is probably in the tip
        goal = self._freeze and self._freeze.sha
        # Each was written together with its freeze, and read before that: another holds by now.
        self._covered.take_back([wish for wish in back if wish.sha != goal])
        return self._stay(self._freeze, fetched) if self._freeze else self._go(fetched, edits)

    def _go(self, fetched: Fetched, edits: Edits | None) -> float | None:
        """Deploy the tip, or answer those who need no deployment of it."""
        tip = fetched.tip
        with self._intake:
            self._others.clear()
            if self._wishes():  # a teacher who asks by hand wants all of it judged anew
                self._carrying.drop()
            self._drop_gone(fetched)
            rows = self._new_rows()
            places = {
                row.id: self._place(row.sha, row.queued_at, fetched, patience=REPLICATION)
                for row in rows
            }
            asked = {
                wish: self._place(wish.sha, wish.received_at, fetched, patience=timedelta(0))
                for wish in self._wishes()
            }
        mine = next((row for row in rows if row.sha == tip), None)
        answered = [row for row in rows if row.sha != tip and self._covered.answered(row.sha)]
        self._covered.close(answered)
        rows = [row for row in rows if row not in answered]
        covered = [row for row in rows if row.sha != tip and places[row.id] is Place.ON_BRANCH]
        self._covered.dismiss([row for row in rows if places[row.id] is Place.GONE])
        self._covered.refuse([wish for wish, place in asked.items() if place is Place.GONE])
        wishes = [wish for wish, place in asked.items() if place is Place.ON_BRANCH]
        behind = (edits or self._is_behind(tip)) and tip != self._given_up
        if not (mine or wishes or behind):
            covered = self._covered.late(covered)
        if mine or wishes or behind or covered:
            return self._deploy(fetched, mine, covered, wishes, edits=edits)
        if tip != self._given_up:
            self._covered.tell_forgotten(tip)
        if Place.UNSEEN in {*places.values(), *asked.values()}:
            return FETCH_AGAIN_S
        if not self._carrying and self.maintenance.is_mending_due(tip):
            return self._deploy(fetched, None, [], [], redo=True)
        return self._rest()

    def _stay(self, freeze: Freeze, fetched: Fetched) -> float | None:
        """Deploy nothing but what was begun before the freeze, and say so of all that waits.

        Wishes wait too. Dying in here changes nothing: the freeze is in the journal.
        """
        if freeze.sha:
            self._tell_rolled_back(freeze, freeze.sha)  # a worker before this one died in it
        rows = self._new_rows()
        begun = [
            row
            for row in rows
            if row.state is State.RUNNING and self._covered.is_on(fetched.tip, row.sha)
        ]
        if begun and not freeze.sha:  # a worker before this one died in it
            mine = begun[-1]
            held = [row for row in rows if row.sha != mine.sha]
            covered = [row for row in held if self._covered.is_on(mine.sha, row.sha)]
            return self._deploy(Fetched(mine.sha, fetched.step), mine, covered, [])
        with self._intake:
            if self._parts.journal.shown(fetched.tip, DEPLOY) is None and all(
                row.sha != fetched.tip for row in self._new_rows()
            ):  # no delivery named it
                self._queue(fetched.tip, None, Trigger.POLL)
            rows = self._new_rows()
            untold = {row.id: row.sha for row in rows if row.waits_for != _of_freeze(freeze)}
            self._let_wait_frozen(untold, freeze)
        if untold:
            self._owed()
        self._rest()
        return None

    @property
    def _has_to_roll_back(self) -> bool:
        """Whether what a rollback named is not live yet, as far as that can be."""
        sha = self._freeze and self._freeze.sha
        if not sha:
            return False
        return bool(
            self._wishes_to_go_back(sha) or (self._is_behind(sha) and sha != self._given_up)
        )

    def _wishes_to_go_back(self, sha: str) -> list[Announcement]:
        return [wish for wish in self._wishes(Trigger.ROLLBACK) if wish.sha == sha]

    def _roll_back(self, freeze: Freeze, sha: str) -> float | None:
        """Make an earlier commit live, without asking git: that may be what is out of order.

        Dying in here: the freeze names the commit, and the next worker comes here again.
        """
        now = self._parts.clock.now()
        skipped = StepRecord(StepName.FETCH, "skipped", now, now, f"rolled back by {freeze.by}")
        with self._intake:
            self._others.clear()
            self._carrying.drop()
            mine = next((row for row in self._new_rows() if row.sha == sha), None)
            wishes = self._wishes_to_go_back(sha)
        again_s = self._deploy(Fetched(sha, skipped), mine, [], wishes, otherwise=Trigger.ROLLBACK)
        self._tell_rolled_back(freeze, sha)
        return 0.0 if again_s is None else again_s  # what waits is told why

    def _tell_rolled_back(self, freeze: Freeze, sha: str) -> None:
        """Say so of the commits that are live no longer, and queue them anew for the unfreeze."""
        journal, now = self._parts.journal, self._parts.clock.now()
        live = journal.live()
        if self._told_of == freeze or live is None or live.sha != sha:
            return
        with self._intake:
            rows = {row.sha: row for row in self._new_rows()}
            for commit in self._covered.judged_beyond(sha):
                row = rows.get(commit)
                if row and row.waits_for:
                    continue
                number = row.id if row else self._queue(commit, None, Trigger.POLL)
                said = rolled_back(self._covered.commit(commit, None), freeze)
                journal.owe(said, deployment=number, at=now)
                # Dying before this line: it is said again, which adds nothing.
                journal.wait_for([number], _of_freeze(freeze), at=now, statuses=said[:1])
        self._told_of = freeze
        self._owed()

    def _look_for_edits(self) -> Edits | None:
        """Tell whether somebody changed by hand what is live; the deployment that follows mends it.

        Dying before that is done: it is found once more.
        """
        try:
            edits = self._parts.releases.edits()
        except DiskError as exc:
            self._tell_edits(f"what was changed by hand is not mended: {exc}")
            return None
        self._tell_edits(edits.words if edits else "")
        if edits and edits.paths is None:
            self._parts.journal.set_live(None)
        return edits

    def _tell_edits(self, words: str) -> None:
        if words != self._told_edits:
            self._parts.journal.beat(at=self._parts.clock.now(), edited=words)
            self._told_edits = words
            if words:
                log.warning("changed by hand", what=words)

    def _rest(self) -> float | None:
        """Do what nobody waits for; return when to look again."""
        self.maintenance.make_ready()
        if self._carrying:
            return 0.0
        self._parts.feed.rest()  # else what is told unasked is kept for nobody
        self.maintenance.clean_up()
        return self.maintenance.mending_in_s

    def _is_behind(self, tip: str) -> bool:
        """Tell whether anything of `tip` is not live, or nobody is about to judge it."""
        live = self._parts.journal.live()
        if live is None or live.sha != tip:
            return True
        return not self._carrying.pending.issuperset(live.pending)

    def _new_rows(self) -> list[Deployment]:
        """Return the deployments that nobody has begun, or not since the worker started."""
        carried = self._carrying.rows
        return [row for row in self._parts.journal.unfinished() if row.id not in carried]

    def _is_due(self) -> bool:
        """Tell whether git has to be asked before slow files are gone on with."""
        if self._freeze:
            return self._has_to_roll_back
        if self._is_waited_for():
            return True
        return self._parts.clock.monotonic() - self._fetched_at >= FETCH_EVERY_S

    def _is_waited_for(self) -> bool:
        return bool(self._others.is_set() or self._wishes() or self._new_rows())

    def _drop_gone(self, fetched: Fetched) -> None:
        """Leave to themselves deployments whose commit a forced push has removed."""
        carried = self._carrying.rows
        for row in [row for row in self._parts.journal.unfinished() if row.id in carried]:
            place = self._place(row.sha, row.queued_at, fetched, patience=REPLICATION)
            if place is Place.GONE:
                self._carrying.drop({row.id})

    def _wishes(self, trigger: Trigger = Trigger.MANUAL) -> list[Announcement]:
        return [a for a in self._parts.journal.unseen() if a.trigger is trigger]

    def _fetch(self, *, patient: bool) -> Fetched:
        clock = self._parts.clock
        started_at, started = clock.now(), clock.monotonic()
        self._fetched_at = started
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
        *,
        edits: Edits | None = None,
        redo: bool = False,
        otherwise: Trigger = Trigger.POLL,
    ) -> float | None:
        journal, clock, tip = self._parts.journal, self._parts.clock, fetched.tip
        live = journal.live()
        anew = any(wish.trigger is Trigger.MANUAL for wish in wishes)
        again = self._covered.forgotten(tip)
        with self._intake:
            if mine is None:
                asked = [*(wish.trigger for wish in wishes), *(row.trigger for row in covered[-1:])]
                why = next(iter(asked), otherwise)
                deployment = self._queue(tip, live.sha if live else None, why)
            else:
                deployment = mine.id
            for wish in wishes:
                journal.attach(wish.id, deployment)
        if anew:
            journal.pardon()
        if anew or redo:
            journal.set_live(None)
        shas = tuple(dict.fromkeys([*again, *(row.sha for row in covered), tip]))
        journal.start(deployment, at=clock.now(), base_sha=live.sha if live else None, covers=shas)
        journal.add_step(deployment, fetched.step)
        # Who has a verdict gets no other where nobody asked: a file changed by hand is mended,
        # or a worker died over the files of a commit before.
        asked_for = anew or redo or ((mine or wishes) and not (live and live.sha == tip))
        commits = [
            self._covered.commit(sha, live.sha if live else None)
            for sha in shas
            if asked_for or not self._covered.answered(sha)
        ]
        fresh = [commit for commit in commits if commit.sha not in again]
        journal.owe(every(pending(c) for c in fresh), deployment=deployment, at=clock.now())
        self._owed()
        structlog.contextvars.bind_contextvars(deployment=deployment)
        try:
            log.info("started", sha=tip, covers=len(shas))
            notes = [f"{c.sha[:7]} {note}" for c in commits for note in c.notes]
            rows = [row.id for row in covered]
            run = self._new_run(
                deployment,
                self._carrying.beside(),
                [edits.words, *notes] if edits else notes,
                tell=lambda words: self._tell_long(deployment, tip, fresh, words, covers=rows),
                edited=(edits and edits.paths) or (),
                answers_for={path for commit in commits for path in commit.changed},
                retry_refused=anew,
            )
            result = self._safely(tip, lambda: run(tip))
            cut_short = None
            if result.pending:
                journal.set_verdicts(deployment, result.ending.verdicts)
                cut_short = self._carrying.add(deployment, result, supersedes=rows, commits=commits)
                self._tell_slow(deployment, fresh, result)
            else:
                self._end(
                    deployment,
                    commits,
                    result.ending,
                    supersedes=rows,
                    live=self._with_pending(result.live),
                )
            self._note(result, cut_short)
        finally:
            self._in_the_way = None
            structlog.contextvars.unbind_contextvars("deployment")
        if result.ending.state is State.ERROR:
            return self._later()
        if edits:
            self._tell_edits("")
        self._failures = 0
        self._given_up = tip if result.ending.state is State.FAILED else None
        self.maintenance.deployed = tip
        if self._is_waited_for():
            return 0.0
        return self._rest()  # what was pushed meanwhile is announced, or found by the poll

    def _new_run(
        self,
        deployment: int,
        beside: Beside,
        notes: Sequence[str] = (),
        *,
        tell: Callable[[str], None] = lambda _: None,
        edited: Collection[str] = (),
        answers_for: Collection[str] = (),
        retry_refused: bool = False,
        cut: Callable[[], bool] | None = None,
    ) -> Run:
        return Run(
            self._parts,
            self._limits,
            deployment,
            tell=tell,
            beside=beside,
            cut=cut or self._others.is_set,
            notes=notes,
            edited=edited,
            answers_for=answers_for,
            retry_refused=retry_refused,
        )

    def _safely(self, tip: str, work: Callable[[], Result]) -> Result:
        try:
            return work()
        except Exception as exc:  # a fault of ours must not stop the class's deployer
            log.exception("fault")
            reason = f"fault in the deployer: {type(exc).__name__}"
            return Result(Ending(tip, State.ERROR, reason=reason))

    # -- what was cut short

    def _go_on(self) -> float:
        """Go on with a deployment that was cut short; return when to look again."""
        carried = self._carrying.next
        try:
            if carried is None:
                self._carrying.wait(EXAMINED_S)
                return 0.0
        except PreflightError as exc:
            return self._start_over(str(exc))
        with structlog.contextvars.bound_contextvars(deployment=carried.deployment):
            log.info("goes on", sha=carried.so_far.tip, files=len(carried.pending.files))
            run = self._new_run(
                carried.deployment, self._carrying.beside(carried), cut=self._is_due
            )
            result = self._safely(carried.so_far.tip, lambda: run.resume(carried.pending))
            if result.ending.state is State.ERROR:
                return self._start_over(result.ending.reason)
            self._note(result, carried)
        return 0.0

    def _start_over(self, reason: str) -> float:
        """Leave what was cut short to the next deployment: the journal knows what is pending."""
        log.warning("starts over", reason=reason)
        self._carrying.drop()
        return self._later()

    def _note(self, result: Result, mine: Carried | None = None) -> None:
        """Keep in mind what is live now, and whom that ends that was cut short."""
        journal, live = self._parts.journal, result.live
        if journal.live() is None and live is None:
            self._carrying.drop()
        if live is None:
            return
        release = self._parts.releases.live()
        self._now_live = live
        self._carrying.after(result, release.name if release else "", mine=mine)
        self._now_live = None
        known = self._with_pending(live)
        if known != journal.live():  # else it was written with an end
            # Dying before this line leaves it unknown what is live: all is judged once more.
            journal.set_live(known)

    def _with_pending(self, live: Live | None) -> Live | None:
        return live and replace(live, pending=tuple(sorted(self._carrying.pending)))

    def _tell_long(
        self,
        deployment: int,
        tip: str,
        commits: Sequence[Commit],
        words: str,
        *,
        covers: Sequence[int],
    ) -> None:
        """Tell what a long step waits for, and everybody else that they wait for it."""
        journal, now = self._parts.journal, self._parts.clock.now()
        told = [waiting(commit, words) for commit in commits]
        journal.owe(told, deployment=deployment, at=now)
        with self._intake:
            if self._in_the_way is None:
                self._in_the_way = f"{tip[:7]}: packages change"
                others = [row for row in self._new_rows() if row.id not in {deployment, *covers}]
                self._let_wait({row.id: row.sha for row in others}, self._in_the_way)
        self._owed()

    def _let_wait(self, rows: Mapping[int, str], why: str) -> None:
        """Say what deployments wait for, given as commits by their ids."""
        self._parts.journal.wait_for(
            list(rows),
            why,
            at=self._parts.clock.now(),
            statuses=[waiting(Commit(sha), f"waits for {why}") for sha in rows.values()],
        )

    def _let_wait_frozen(self, rows: Mapping[int, str], freeze: Freeze) -> None:
        self._parts.journal.wait_for(
            list(rows),
            _of_freeze(freeze),
            at=self._parts.clock.now(),
            statuses=[frozen(Commit(sha), freeze) for sha in rows.values()],
        )

    def _tell_slow(self, deployment: int, commits: Sequence[Commit], result: Result) -> None:
        files = counted(result.pending.files, "file takes", "files take")
        words = f"{files} long to parse; others are not kept waiting"
        journal, now = self._parts.journal, self._parts.clock.now()
        step = StepName.PREFLIGHT if result.pending.unexamined else StepName.PARSE
        journal.doing(deployment, Running(step, now, words))
        journal.owe([waiting(commit, words) for commit in commits], deployment=deployment, at=now)
        self._owed()

    def _complete(self, carried: Carried) -> None:
        """End a deployment of which every file has its verdict now."""
        self._end(
            carried.deployment,
            carried.commits,
            carried.ending,
            supersedes=carried.supersedes,
            live=self._with_pending(self._now_live),
        )

    def _end(
        self,
        deployment: int,
        commits: Sequence[Commit],
        ending: Ending,
        *,
        supersedes: Sequence[int],
        live: Live | None = None,
    ) -> None:
        journal, now = self._parts.journal, self._parts.clock.now()
        record = journal.deployment(deployment)
        since = record.queued_at if record else now
        begun = record.started_at if record and record.started_at else since
        base_sha = record.base_sha if record else None
        ending = replace(
            ending,
            seconds=(now - since).total_seconds(),
            waited_s=(begun - since).total_seconds(),
            broke=self._covered.broke(deployment, base_sha, ending),
        )
        journal.end(
            deployment,
            ending,
            at=now,
            statuses=every(self._covered.final(commit, ending) for commit in commits),
            supersedes=supersedes,
            live=live,
        )
        self._owed()
        log.info(
            "ended",
            state=str(ending.state),
            sha=ending.tip,
            seconds=round(ending.seconds, 2),
            files=len(ending.verdicts),
            reason=ending.reason or ending.refused or "",
        )

    # -- failures

    def _git_failed(self, exc: GitError) -> float | None:
        """End what waits for git; the next turn that reaches it covers the same commits."""
        journal, clock = self._parts.journal, self._parts.clock
        log.warning("fetch failed", reason=str(exc))
        waiting = self._new_rows()
        rows = [row for row in waiting if not self._covered.answered(row.sha)]
        if not rows or self._freeze:  # what is frozen does not wait for git
            return self._later() if waiting or self._wishes() else None
        *others, newest = rows
        shas = tuple(dict.fromkeys(row.sha for row in rows))
        journal.start(newest.id, at=clock.now(), base_sha=newest.base_sha, covers=shas)
        now = clock.now()
        journal.add_step(newest.id, StepRecord(StepName.FETCH, "failed", now, now, str(exc)))
        self._end(
            newest.id,
            [self._covered.commit(row.sha, row.base_sha) for row in rows],
            Ending(newest.sha, State.ERROR, reason=str(exc)),
            supersedes=[row.id for row in others],
        )
        return self._later()

    def _later(self) -> float:
        self._failures += 1
        return min(FIRST_RETRY_S * 2.0 ** (self._failures - 1), LONGEST_RETRY_S)


def _of_freeze(freeze: Freeze) -> str:
    return f"the end of a freeze: {freeze.words}"
