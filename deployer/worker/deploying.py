"""Deploy one tip, or go on with what was cut short; end it, and owe its statuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import structlog

from deployer.core.counts import counted
from deployer.core.model import (
    Deployment,
    Ending,
    Live,
    Running,
    State,
    StatusState,
    StepName,
    Trigger,
)
from deployer.core.reporting.commit_status import Commit, pending, waiting
from deployer.core.reporting.contexts import DEPLOY
from deployer.deployment.parts import Parts, Result
from deployer.deployment.run import Run
from deployer.errors import PreflightError
from deployer.ports import Announcement, Edits
from deployer.worker.carried import Carried, Carrying
from deployer.worker.covered import LOOKED_BACK, CoveredCommits
from deployer.worker.intake import Intake
from deployer.worker.tip import Fetched

log = structlog.get_logger()

EXAMINED_S = 0.2
"""For one look whether files that take long have been examined."""


@dataclass(eq=False)
class Deploying:
    """One deployment after the other, each from its row in the queue to its statuses."""

    parts: Parts
    intake: Intake
    carrying: Carrying
    covered: CoveredCommits
    _begun: int = 0  # the largest number of one that was begun, 0: not known yet

    def deploy(
        self,
        fetched: Fetched,
        covered: Sequence[Deployment] = (),
        requests: Sequence[Announcement] = (),
        *,
        edits: Edits | None = None,
        redo: bool = False,
        by_other: bool = False,
        otherwise: Trigger = Trigger.POLL,
    ) -> Ending:
        """Deploy a tip; return how it ended, or how far it came.

        Args:
            fetched: the tip, as git told it.
            covered: queued deployments of commits that the tip contains, which end with it.
            requests: of the teacher's, which it answers.
            edits: what somebody changed by hand in what is live: it is published anew.
            redo: judge all files, whatever is live.
            by_other: another commit's delivery set it off, so the tip's own may be on its way; as
                it may be where git was asked again for the sake of commits in `error`.
            otherwise: what triggered it, if neither `requests` nor `covered` did.
        """
        journal, tip, live = self.parts.journal, fetched.tip, self.parts.journal.live()
        by_hand = any(request.trigger is Trigger.MANUAL for request in requests)
        in_error = self.covered.forgotten(tip)
        asking = [*(one.trigger for one in requests), *(row.trigger for row in covered[-1:])]
        why = asking[0] if asking else otherwise
        deployment, of_tip = self._row_of(fetched, live.sha if live else None, why, requests)
        if by_hand:
            journal.pardon()
        if by_hand or redo:
            journal.set_live(None)
        shas = tuple(dict.fromkeys([*in_error, *(row.sha for row in covered), tip]))
        # Where it is not known what is live, it may be what was when a deployment began that died.
        died = [row for row in (*covered, *of_tip[-1:]) if row.state is State.RUNNING]
        before = dict.fromkeys(shas, live.sha) if live else {row.sha: row.base_sha for row in died}
        # It may have come while git was asked: of that, what comes after belongs to it.
        step = fetched.step
        began_at = max([step.started_at, *(row.queued_at for row in of_tip[-1:])])
        ended_at = max(step.finished_at, began_at)
        journal.start(deployment, at=began_at, base_sha=before.get(tip), covers=shas)
        journal.add_step(deployment, replace(step, started_at=began_at, finished_at=ended_at))

        # Who has a verdict, or gets it of a deployment at work, gets no other where nobody asked: a
        # file changed by hand is mended, or a worker died over that or a commit before.
        asked = requests or any(row.trigger is not Trigger.POLL for row in of_tip[-1:])
        asked_for = by_hand or redo or (asked and not (live and live.sha == tip))
        commits = [
            self.covered.commit(sha, before.get(sha), others=shas)
            for sha in shas
            if asked_for or not (sha in self.carrying.shas or self.covered.answered(sha))
        ]
        early = (
            (by_other or journal.in_error()) and not requests and self.intake.delivery_due_in_s(tip)
        )
        told = [commit for commit in commits if commit.sha != tip or not early]
        # Who shows an error keeps that until the end.
        shown = [commit for commit in told if commit.sha not in in_error]
        self.intake.owe(deployment, [status for commit in shown for status in pending(commit)])
        supersedes = [row.id for row in (*of_tip, *covered) if row.id != deployment]

        def tell(words: str) -> None:
            """Tell what a long step waits for, and everybody else that they wait for it."""
            self.intake.owe(deployment, [waiting(commit, words) for commit in shown])
            in_the_way = f"{tip[:7]}: {words.partition(':')[0]}"
            self.intake.block(in_the_way, but={deployment, *supersedes})

        with structlog.contextvars.bound_contextvars(deployment=deployment):
            log.info("started", sha=tip, covers=len(shas))
            beside, cut = self.carrying.beside(), self.intake.others.is_set
            result = Run(self.parts, deployment, beside, cut, tell, commits, edits).deploy(tip)
            self.intake.unblock()
            carried = None
            if result.pending:
                # Before anything that may fail: the pass that does drops what is carried.
                carried = self.carrying.add(deployment, result, supersedes, told)
                journal.set_verdicts(deployment, result.ending.verdicts)
                self._tell_slow(deployment, shown, result)
            else:
                live = self._with_pending(result.live)
                self.end(deployment, told, result.ending, supersedes=supersedes, live=live)
            self._note(result, carried)
        return result.ending

    def _row_of(
        self, fetched: Fetched, base_sha: str | None, why: Trigger, requests: Sequence[Announcement]
    ) -> tuple[int, Sequence[Deployment]]:
        """Return the number under which a tip is deployed, and what waits of it, oldest first.

        It is larger than that of any that was begun before: by it everybody tells what is newer,
        and what waits in a freeze has its own from before a rollback. It answers `requests`.
        """
        tip, at = fetched.tip, fetched.step.started_at
        if not self._begun:
            known = self.parts.journal.deployments(limit=LOOKED_BACK)
            self._begun = max((one.id for one in known if one.started_at), default=0)
        with self.intake.lock:
            of_tip = [row for row in self.intake.queued() if row.sha == tip]
            mine = of_tip[-1] if of_tip else None
            if mine is None or (why is Trigger.ROLLBACK and mine.trigger is not why):
                number = self.intake.queue(tip, base_sha, why, at)  # what waits: for the unfreeze
            elif mine.id < self._begun:
                number = self.intake.queue(tip, mine.base_sha, mine.trigger, mine.queued_at)
            else:
                number = mine.id
            for request in requests:
                self.parts.journal.attach(request.id, number)
        self._begun = max(self._begun, number)
        return number, of_tip

    # -- what was cut short

    def go_on(self, cut: Callable[[], bool]) -> bool:
        """Go on with a deployment that was cut short, until `cut`; False: it starts over."""
        carried = self.carrying.next
        try:
            if carried is None:
                self.carrying.wait(EXAMINED_S)
                return True
        except PreflightError as exc:
            return self._start_over(str(exc))
        with structlog.contextvars.bound_contextvars(deployment=carried.deployment):
            log.info("goes on", sha=carried.so_far.tip, files=len(carried.pending.files))
            beside = self.carrying.beside(carried)
            run = Run(self.parts, carried.deployment, beside=beside, cut=cut)
            result = run.resume(carried.so_far.tip, carried.pending)
            if result.ending.state is State.ERROR:
                return self._start_over(result.ending.reason)
            self._note(result, carried)
        return True

    def _start_over(self, reason: str) -> bool:
        """Leave what was cut short to the next deployment: the journal knows what is pending."""
        log.warning("starts over", reason=reason)
        self.carrying.drop()
        return False

    def _note(self, result: Result, mine: Carried | None = None) -> None:
        """Keep in mind what is live now, and whom that ends that was cut short."""
        journal, live = self.parts.journal, result.live
        if journal.live() is None and live is None:
            self.carrying.drop()
        if live is None:
            return
        release = self.parts.releases.live()
        self.carrying.after(result, release.name if release else "", mine=mine)
        known = self._with_pending(live)
        if known != journal.live():  # else it was written with an end
            # Dying before this line leaves it unknown what is live: all is judged once more.
            journal.set_live(known)

    def _with_pending(self, live: Live | None) -> Live | None:
        return live and replace(live, pending=tuple(sorted(self.carrying.pending)))

    def _tell_slow(self, deployment: int, commits: Sequence[Commit], result: Result) -> None:
        files = counted(result.pending.files, "file takes", "files take")
        words = f"{files} long to parse; others are not kept waiting"
        step = StepName.PREFLIGHT if result.pending.unexamined else StepName.PARSE
        self.parts.journal.doing(deployment, Running(step, self.parts.clock.now(), words))
        self.intake.owe(deployment, [waiting(commit, words) for commit in commits])

    def complete(self, carried: Carried) -> None:
        """End a deployment of which every file has its verdict now."""
        self.end(
            carried.deployment,
            carried.commits,
            carried.ending,
            supersedes=carried.supersedes,
            live=self._with_pending(self.parts.journal.live()),
        )

    def _delivery_came_meanwhile(self, tip: str, commits: Sequence[Commit]) -> bool:
        """Tell whether the tip's delivery came while it was deployed, so that it has no end yet."""
        if tip in self.carrying.shas or any(commit.sha == tip for commit in commits):
            return False
        return self.parts.journal.shown(tip, DEPLOY) is StatusState.PENDING

    def end(
        self,
        deployment: int,
        commits: Sequence[Commit],
        ending: Ending,
        *,
        supersedes: Sequence[int],
        live: Live | None = None,
    ) -> None:
        """Write how a deployment ended, and owe it to its `commits`; else as `Journal.end`."""
        journal, now = self.parts.journal, self.parts.clock.now()
        record = journal.deployment(deployment)
        since = record.queued_at if record else now
        begun = record.started_at if record and record.started_at else since
        base_sha = record.base_sha if record else None
        ending = replace(
            ending,
            seconds=max((now - since).total_seconds(), 0.0),  # below: the clock was set back
            waited_s=max((begun - since).total_seconds(), 0.0),
            broke=self.covered.broke(deployment, base_sha, ending),
        )
        final = partial(self.covered.final, ending=ending)
        said = [status for commit in commits for status in final(commit)]
        with self.intake.lock:  # else the tip may be named right after the look, and told nothing
            if record and self._delivery_came_meanwhile(ending.tip, commits):
                named = self.covered.commit(ending.tip, base_sha, record.covers)
                said += final(named)
            journal.end(deployment, ending, at=now, statuses=said, supersedes=supersedes, live=live)
        self.parts.owed()
        log.info(
            "ended",
            state=str(ending.state),
            sha=ending.tip,
            seconds=round(ending.seconds, 2),
            files=len(ending.verdicts),
            reason=ending.reason or ending.refused or "",
        )
