"""Deploy one tip, or go on with what was cut short; end it, and owe its statuses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import structlog

from deployer.core.model import Deployment, Ending, Live, Running, State, StepName, Trigger
from deployer.core.reporting.counts import counted
from deployer.core.reporting.status import Commit, pending, waiting
from deployer.deployment.parts import Limits, Parts, Result
from deployer.deployment.run import Run
from deployer.deployment.watching import Beside
from deployer.errors import PreflightError
from deployer.ports import Announcement, Edits
from deployer.worker.carried import Carried, Carrying
from deployer.worker.covered import CoveredCommits, every
from deployer.worker.intake import Intake
from deployer.worker.tip import Fetched

log = structlog.get_logger()

EXAMINED_S = 0.2
"""For one look whether files that take long have been examined."""


class Deploying:
    """One deployment after the other, each from its row in the queue to its statuses."""

    def __init__(
        self,
        parts: Parts,
        limits: Limits,
        intake: Intake,
        carrying: Carrying,
        covered: CoveredCommits,
        *,
        owed: Callable[[], None],
    ) -> None:
        self._parts = parts
        self._limits = limits
        self._intake = intake
        self._carrying = carrying
        self._covered = covered
        self._owed = owed  # called when the outbox was filled
        self._now_live: Live | None = None  # while those are ended that are judged with it

    def deploy(
        self,
        fetched: Fetched,
        mine: Deployment | None,
        covered: Sequence[Deployment],
        wishes: Sequence[Announcement],
        *,
        edits: Edits | None = None,
        redo: bool = False,
        otherwise: Trigger = Trigger.POLL,
    ) -> Ending:
        """Deploy a tip; return how it ended, or how far it came.

        Args:
            fetched: the tip, as git told it.
            mine: its row in the queue, if it was announced.
            covered: rows of commits that it holds, which end with it.
            wishes: by hand, which it answers.
            edits: what somebody changed by hand and is to be published anew.
            redo: all of it, whatever is live.
            otherwise: what triggered it, if nobody asked.
        """
        journal, clock, tip = self._parts.journal, self._parts.clock, fetched.tip
        live = journal.live()
        anew = any(wish.trigger is Trigger.MANUAL for wish in wishes)
        again = self._covered.forgotten(tip)
        with self._intake.lock:
            # It may have been announced since the queue was looked at.
            mine = mine or next((row for row in self._intake.rows() if row.sha == tip), None)
            if mine is None:
                asked = [*(wish.trigger for wish in wishes), *(row.trigger for row in covered[-1:])]
                why = next(iter(asked), otherwise)
                deployment = self._intake.queue(tip, live.sha if live else None, why)
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
        # Who has a verdict, or gets it of a deployment at work, gets no other where nobody asked: a
        # file changed by hand is mended, or a worker died over the files of a commit before.
        asked_for = anew or redo or ((mine or wishes) and not (live and live.sha == tip))
        commits = [
            self._covered.commit(sha, live.sha if live else None)
            for sha in shas
            if asked_for or not (sha in self._carrying.shas or self._covered.answered(sha))
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
                live = self._with_pending(result.live)
                self.end(deployment, commits, result.ending, supersedes=rows, live=live)
            self._note(result, cut_short)
        finally:
            self._intake.unblock()
            structlog.contextvars.unbind_contextvars("deployment")
        return result.ending

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
            cut=cut or self._intake.others.is_set,
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

    def go_on(self, is_due: Callable[[], bool]) -> bool:
        """Go on with a deployment that was cut short, until `is_due`; False: it starts over."""
        carried = self._carrying.next
        try:
            if carried is None:
                self._carrying.wait(EXAMINED_S)
                return True
        except PreflightError as exc:
            return self._start_over(str(exc))
        with structlog.contextvars.bound_contextvars(deployment=carried.deployment):
            log.info("goes on", sha=carried.so_far.tip, files=len(carried.pending.files))
            run = self._new_run(carried.deployment, self._carrying.beside(carried), cut=is_due)
            result = self._safely(carried.so_far.tip, lambda: run.resume(carried.pending))
            if result.ending.state is State.ERROR:
                return self._start_over(result.ending.reason)
            self._note(result, carried)
        return True

    def _start_over(self, reason: str) -> bool:
        """Leave what was cut short to the next deployment: the journal knows what is pending."""
        log.warning("starts over", reason=reason)
        self._carrying.drop()
        return False

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
        self._intake.block(f"{tip[:7]}: packages change", but={deployment, *covers})
        self._owed()

    def _tell_slow(self, deployment: int, commits: Sequence[Commit], result: Result) -> None:
        files = counted(result.pending.files, "file takes", "files take")
        words = f"{files} long to parse; others are not kept waiting"
        journal, now = self._parts.journal, self._parts.clock.now()
        step = StepName.PREFLIGHT if result.pending.unexamined else StepName.PARSE
        journal.doing(deployment, Running(step, now, words))
        journal.owe([waiting(commit, words) for commit in commits], deployment=deployment, at=now)
        self._owed()

    def complete(self, carried: Carried) -> None:
        """End a deployment of which every file has its verdict now."""
        self.end(
            carried.deployment,
            carried.commits,
            carried.ending,
            supersedes=carried.supersedes,
            live=self._with_pending(self._now_live),
        )

    def end(
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
