"""Decide what to deploy next, and answer every commit that somebody announced.

A delivery means "this branch is dirty", never "deploy that sha": one pass asks git for
the tip, makes that live, and lets every announced commit that the tip contains end as
the tip did. What was announced while a pass ran is answered by the next.
"""

from __future__ import annotations

import structlog

from deployer.core.model import Ending, Freeze, State, StepName, StepRecord, Trigger
from deployer.core.reporting.commit_status import rolled_back
from deployer.core.reporting.contexts import DEPLOY
from deployer.deployment.parts import Parts
from deployer.errors import DiskError, GitError
from deployer.ports import Announcement, Edits
from deployer.worker.carried import Carried, Carrying
from deployer.worker.covered import TAKEN_BACK, CoveredCommits
from deployer.worker.deploying import Deploying
from deployer.worker.intake import Intake, of_freeze
from deployer.worker.maintenance import Invariants, Maintenance
from deployer.worker.tip import FETCH_AGAIN_S, Ancestry, Branch, Fetched

log = structlog.get_logger()

FIRST_RETRY_S, LONGEST_RETRY_S = 5.0, 300.0
FETCH_EVERY_S = 60.0
"""For a delivery that got lost while slow files are waited for."""


class Reconciler:
    """One deployment after the other; `take_in` may be called from another thread."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._failures = 0
        self._given_up: str | None = None  # a tip that its author must mend
        self._branch = Branch(parts)
        self._carrying = Carrying(self._complete)
        self._intake = Intake(parts, self._carrying)
        self._covered = CoveredCommits(parts, self._intake, self._carrying)
        self._deploying = Deploying(parts, self._intake, self._carrying, self._covered)
        self.maintenance = Maintenance(parts)
        self._invariants = Invariants(parts, self._intake)
        self._told_edits: str | None = None  # None: of a worker before this one
        self._told_rollback: Freeze | None = None  # of which commits were told

    def _complete(self, carried: Carried) -> None:
        self._deploying.complete(carried)

    def take_in(self) -> bool:
        """Give each announced commit its place in the queue; True if there is work for a pass."""
        return self._intake.take_in()

    # -- a pass

    def reconcile(self) -> float | None:
        """Do what there is to do; return in how many seconds to try again, None: at the poll."""
        try:
            return self._reconcile()
        except Exception:
            # It may be behind the journal, which says what is pending, as after a crash.
            self._carrying.drop()
            raise

    def _reconcile(self) -> float | None:
        self.take_in()
        if self._carrying and not self._must_cut_short():
            goes_on = self._deploying.go_on(cut=self._must_cut_short)
            return 0.0 if goes_on else self._back_off()
        freeze = self._intake.freeze
        if freeze and freeze.sha and self._has_to_roll_back(freeze.sha):
            return self._roll_back(freeze, freeze.sha)
        edits = self._look_for_edits()
        self._invariants.look()
        try:
            fetched = self._branch.fetch(
                patient=lambda: bool(self._intake.queued() or self._intake.requests())
            )
        except GitError as exc:
            return self._git_failed(exc)
        self._intake.saw_tip(fetched.tip)
        now = self._parts.clock.now()
        self._parts.journal.beat(at=now, tip=fetched.tip, tip_checked_at=now)
        rollbacks = self._intake.requests(Trigger.ROLLBACK)
        self.take_in()  # what came while git was asked is probably in the tip
        freeze = self._intake.freeze
        goal = freeze and freeze.sha
        # Each was written together with its freeze, and read before that: another holds by now.
        self._covered.refuse([one for one in rollbacks if one.sha != goal], TAKEN_BACK)
        return self._stay_frozen(freeze, fetched) if freeze else self._deploy_tip(fetched, edits)

    def _deploy_tip(self, fetched: Fetched, edits: Edits | None) -> float | None:
        """Deploy the tip, or answer those who need no deployment of it."""
        tip = fetched.tip
        with self._intake.lock:
            self._intake.others.clear()
            if self._intake.requests():  # a teacher who asks by hand wants all of it judged anew
                self._carrying.drop()
            self._drop_gone(fetched)
            rows = self._intake.queued()
            ancestry = {row.id: self._branch.ancestry(row, fetched) for row in rows}
            asked = {one: self._branch.ancestry(one, fetched) for one in self._intake.requests()}
        behind = edits or self._is_behind(tip)
        of_tip = [row for row in rows if row.sha == tip and (behind or asked)]
        left = self._covered.close_answered([row for row in rows if row not in of_tip])
        covered = [row for row in left if ancestry[row.id] is Ancestry.ON_BRANCH]
        gone = [row for row in left if ancestry[row.id] is Ancestry.GONE]
        # Its delivery tells what its push changed: that may be on its way.
        unnamed = [row for row in gone if self._intake.delivery_due_in_s(row.sha)]
        self._covered.dismiss([row for row in gone if row not in unnamed])
        self._covered.refuse([one for one, found in asked.items() if found is Ancestry.GONE])
        requests = [one for one, found in asked.items() if found is Ancestry.ON_BRANCH]
        is_due = of_tip or requests or (behind and tip != self._given_up)
        if not is_due:
            covered = self._covered.answer_late(covered)
        if is_due or covered:
            covered = [row for row in covered if row.sha != tip]
            by_other = any(row.sha != tip for row in left)
            deploy = self._deploying.deploy
            ending = deploy(fetched, covered, requests, edits=edits, by_other=by_other)
            return self._after(ending, edits)
        unseen = Ancestry.UNSEEN in {*ancestry.values(), *asked.values()}
        return self._nothing_to_deploy(fetched, awaited=unseen or bool(unnamed))

    def _nothing_to_deploy(self, fetched: Fetched, *, awaited: bool) -> float | None:
        """Do what is due while the tip is live; `awaited`: a commit from git, or its delivery."""
        tip = fetched.tip
        self._covered.tell_forgotten(tip)
        if awaited:
            in_s = self._announce_live()
            return FETCH_AGAIN_S if in_s is None else min(FETCH_AGAIN_S, in_s)
        if not self._carrying and self.maintenance.is_repair_due(tip):
            ending = self._deploying.deploy(fetched, redo=True)
            self.maintenance.tried_to_repair(tip)
            return self._after(ending)
        return self._maintain()

    def _stay_frozen(self, freeze: Freeze, fetched: Fetched) -> float | None:
        """Deploy nothing but what was begun before the freeze, and say so of all that waits.

        Requests wait too. Dying in here changes nothing: the freeze is in the journal.
        """
        self._tell_rolled_back(freeze)  # a worker before this one died in it
        rows, is_on = self._intake.queued(), self._covered.is_on
        running = [row for row in rows if row.state is State.RUNNING]
        begun = [row for row in running if is_on(fetched.tip, row.sha)]
        if begun and not freeze.sha:  # a worker before this one died in it
            tip = begun[-1].sha
            live = self._parts.journal.live() or self._parts.releases.live()
            if live and is_on(live.sha, tip) and is_on(fetched.tip, live.sha):
                tip = live.sha  # what was begun was cut short, and carried
            contained = [row for row in rows if row.sha != tip and is_on(tip, row.sha)]
            covered = self._covered.close_answered(contained)
            return self._after(self._deploying.deploy(Fetched(tip, fetched.step), covered))
        with self._intake.lock:
            is_queued = fetched.tip in {row.sha for row in self._intake.queued()}
            if not is_queued and self._parts.journal.shown(fetched.tip, DEPLOY) is None:
                self._intake.queue(fetched.tip, None, Trigger.POLL)  # no delivery named it
            # What went live before the freeze, and is named in it, waits for nothing.
            live, rows = self._parts.journal.live(), self._intake.queued()
            self._covered.answer_late([row for row in rows if live and row.sha == live.sha])
            rows = self._intake.queued()
            untold = {row.id: row.sha for row in rows if row.waits_for != of_freeze(freeze)}
            if untold:
                self._intake.let_wait(untold, freeze)
        self._maintain()
        return None

    def _has_to_roll_back(self, sha: str) -> bool:
        """Tell whether what a rollback named is not live yet, as far as that can be."""
        behind = self._is_behind(sha) and sha != self._given_up
        return behind or bool(self._requests_to_go_back(sha))

    def _requests_to_go_back(self, sha: str) -> list[Announcement]:
        return [one for one in self._intake.requests(Trigger.ROLLBACK) if one.sha == sha]

    def _roll_back(self, freeze: Freeze, sha: str) -> float | None:
        """Make an earlier commit live, without asking git: that may be what is out of order.

        Dying in here: the freeze names the commit, and the next worker comes here again.
        """
        now = self._parts.clock.now()
        skipped = StepRecord(StepName.FETCH, "skipped", now, now, f"rolled back by {freeze.by}")
        with self._intake.lock:
            self._intake.others.clear()
            self._carrying.drop()
            requests = self._requests_to_go_back(sha)
        back = Fetched(sha, skipped)
        ending = self._deploying.deploy(back, requests=requests, otherwise=Trigger.ROLLBACK)
        again_s = self._after(ending)
        self._tell_rolled_back(freeze)
        return 0.0 if again_s is None else again_s  # what waits is told why

    def _tell_rolled_back(self, freeze: Freeze) -> None:
        """Say so of the commits that are live no longer, and queue them anew for the unfreeze.

        Once the commit of the rollback is live; a freeze without one has nothing to tell.
        """
        journal, now = self._parts.journal, self._parts.clock.now()
        live = journal.live()
        if self._told_rollback == freeze or live is None or live.sha != freeze.sha:
            return
        with self._intake.lock:
            rows = {row.sha: row for row in self._intake.queued()}
            for commit in self._covered.judged_beyond(live.sha):
                row = rows.get(commit)
                if row and row.waits_for:
                    continue
                number = row.id if row else self._intake.queue(commit, None, Trigger.POLL)
                said = rolled_back(self._covered.commit(commit, None), freeze)
                journal.owe(said, deployment=number, at=now)
                # Dying before this line: it is said again, which adds nothing.
                journal.wait_for([number], of_freeze(freeze), at=now, statuses=said[:1])
        self._told_rollback = freeze
        self._parts.owed()

    def _look_for_edits(self) -> Edits | None:
        """Tell whether somebody changed by hand what is live; the deployment that follows mends it.

        Dying before that is done: it is found once more.
        """
        try:
            edits = self._parts.releases.edits()
        except DiskError as exc:
            self._tell_edits(f"what was changed by hand is not mended: {exc}")
            return None
        if edits is None and self._parts.journal.live() and self._parts.releases.live() is None:
            edits = Edits("all releases were removed")  # with what is written down beside them
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

    def _maintain(self) -> float | None:
        """Do what nobody waits for; return in how many seconds to look again, None: at the poll."""
        self.maintenance.end_rollout()
        self.maintenance.make_ready()
        if self._carrying:
            return 0.0
        self._parts.feed.rest()  # else what is told unasked is kept for nobody
        self.maintenance.clean_up()
        again = [self._announce_live(), self.maintenance.repair_in_s]
        return min((in_s for in_s in again if in_s is not None), default=None)

    def _announce_live(self) -> float | None:
        """Queue what is live where its delivery does not come, for its commit is told nothing yet.

        Return in how many seconds it is too late, or 0: it is queued; None: nobody has to be told.
        Dying before that: the next worker finds it untold as well.
        """
        live = self._parts.journal.live()
        if live is None or self._parts.journal.shown(live.sha, DEPLOY) is not None:
            return None
        judged = self._parts.journal.judging(live.sha)
        if judged is None or judged.finished_at is None:
            return None
        if in_s := self._intake.delivery_due_in_s(live.sha):
            return in_s
        self._intake.queue(live.sha, None, Trigger.POLL)
        return 0.0

    def _is_behind(self, tip: str) -> bool:
        """Tell whether anything of `tip` is not live, or nobody is about to judge it."""
        live = self._parts.journal.live()
        if live is None or live.sha != tip:
            return True
        return not self._carrying.pending.issuperset(live.pending)

    def _must_cut_short(self) -> bool:
        """Tell whether slow files have to wait: somebody else does, or git is to be asked."""
        if freeze := self._intake.freeze:
            return bool(freeze.sha and self._has_to_roll_back(freeze.sha))
        if self._intake.is_waited_for:
            return True
        return self._parts.clock.monotonic() - self._branch.asked_at >= FETCH_EVERY_S

    def _drop_gone(self, fetched: Fetched) -> None:
        """Leave to themselves deployments whose commit a forced push has removed."""
        for row in self._parts.journal.unfinished():
            carried = row.id in self._carrying.ids
            if carried and self._branch.ancestry(row, fetched) is Ancestry.GONE:
                self._carrying.drop({row.id})

    def _after(self, ending: Ending, edits: Edits | None = None) -> float | None:
        """Take note of how a deployment ended, which mended `edits`; return when to look again."""
        if ending.state is State.ERROR:
            self.maintenance.untidy = True
            self.maintenance.end_rollout()
            return self._back_off()
        if edits:
            self._tell_edits("")
        self._failures = 0
        self._given_up = ending.tip if ending.state is State.FAILED else None
        self.maintenance.deployed = ending.tip
        if self._intake.is_waited_for:
            return 0.0
        return self._maintain()  # what was pushed meanwhile is announced, or found by the poll

    # -- failures

    def _git_failed(self, exc: GitError) -> float | None:
        """End what waits for git; the next pass that reaches it covers the same commits."""
        journal, clock = self._parts.journal, self._parts.clock
        log.warning("fetch failed", reason=str(exc))
        self.maintenance.end_rollout()
        waiting = self._intake.queued()
        rows = [row for row in waiting if not self._covered.answered(row.sha)]
        if not rows or self._intake.freeze:  # what is frozen does not wait for git
            return self._back_off() if waiting or self._intake.requests() else None
        *others, newest = rows
        shas = tuple(dict.fromkeys(row.sha for row in rows))
        journal.start(newest.id, at=clock.now(), base_sha=newest.base_sha, covers=shas)
        now = clock.now()
        journal.add_step(newest.id, StepRecord(StepName.FETCH, "failed", now, now, str(exc)))
        self._deploying.end(
            newest.id,
            [self._covered.commit(row.sha, row.base_sha) for row in rows],
            Ending(newest.sha, State.ERROR, reason=str(exc)),
            supersedes=[row.id for row in others],
        )
        return self._back_off()

    def _back_off(self) -> float:
        """Return in how many seconds to try again: twice as many after each failure in a row."""
        self._failures += 1
        return min(FIRST_RETRY_S * 2.0 ** (self._failures - 1), LONGEST_RETRY_S)
