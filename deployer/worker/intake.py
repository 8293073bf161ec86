"""Take in what was announced: each commit gets its place in the queue, and is told why it waits.

Called from the doorbell's thread while a pass runs in another; whoever reads the queue and writes
upon it holds `Intake.lock` meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from threading import Event, RLock

import structlog

from deployer.core.model import Deployment, Freeze, Status, Trigger
from deployer.core.reporting.commit_status import Commit, frozen, pending, waiting
from deployer.core.reporting.contexts import DEPLOY
from deployer.deployment.parts import Parts
from deployer.ports import Announcement
from deployer.worker.carried import Carrying

log = structlog.get_logger()

NAMED_WITHIN_S = 5.0
"""For the delivery of a push that git showed before: GitHub takes a second, as a rule."""
BY_HAND = {Trigger.MANUAL, Trigger.ROLLBACK}


class Intake:
    """The queue.

    Attributes:
        freeze: as it was when something was taken in last.
        others: set when somebody waits whom the deployment at work does not answer.
    """

    def __init__(self, parts: Parts, carrying: Carrying) -> None:
        self._parts = parts
        self._journal = parts.journal
        self._clock = parts.clock
        self._carrying = carrying
        self._in_the_way: str | None = None  # what everybody waits for who comes now
        self._seen: dict[str, float] = {}  # tips, when git showed them first; monotonic
        self._last_request = 0  # the newest that was told of; it may wait for git
        self.lock = RLock()
        self.others = Event()
        self.freeze: Freeze | None = None

    def take_in(self) -> bool:
        """Give each announced commit its place in the queue; True if there is work for a pass.

        A request of the teacher's (`deployer deploy`, `rollback`) waits for the pass itself.
        """
        journal, found = self._journal, False
        with self.lock:
            freeze_moved = self._look_for_freeze()
            by_sha = {d.sha: d.id for d in journal.unfinished()}
            live = journal.live()
            for announced in journal.unseen():
                if announced.trigger in BY_HAND:
                    found = found or announced.id > self._last_request
                    self._last_request = max(self._last_request, announced.id)
                    continue
                sha = announced.sha or ""
                known = by_sha.get(sha)
                untold = journal.shown(sha, DEPLOY) is None
                if known is None and live and live.sha == sha and not untold:
                    # A redelivery, or a push that the poll found first: answered already.
                    known = judged.id if (judged := journal.judging(sha)) else None
                is_new = known is None
                if known is None:
                    known = by_sha[sha] = self.queue(
                        sha, announced.before, announced.trigger, announced.received_at
                    )
                    log.info("announced", sha=sha, deployment=known)
                    found = True
                if is_new and (why := self.freeze or self._in_the_way):
                    self.let_wait({known: sha}, why)
                elif is_new or untold:  # one that git showed first is being deployed
                    self.owe(known, pending(Commit(sha)))
                # Dying before this line queues nothing twice: `by_sha` knows it then.
                journal.attach(announced.id, known)
            if found:
                self.others.set()
        if found:
            self._parts.feed.nudge()
            self._parts.examiner.nudge()
        return found or freeze_moved

    def _look_for_freeze(self) -> bool:
        """Tell whether somebody froze deployments or let them go on, or the time is over."""
        before, self.freeze = self.freeze, self._journal.frozen(self._clock.now())
        if before == self.freeze:
            return False
        if self.freeze:
            log.info("frozen", why=self.freeze.words, by=self.freeze.by)
        else:
            log.info("no longer frozen")
        return True

    def queue(
        self, sha: str, base_sha: str | None, trigger: Trigger, at: datetime | None = None
    ) -> int:
        return self._journal.queue(
            sha,
            base_sha=base_sha,
            ref=f"refs/heads/{self._parts.settings.branch}",
            trigger=trigger,
            at=at or self._clock.now(),
        )

    def saw_tip(self, tip: str) -> None:
        """Note when git showed a tip first; its delivery may be on its way."""
        now = self._clock.monotonic()
        recent = {sha: at for sha, at in self._seen.items() if now - at < NAMED_WITHIN_S}
        self._seen = {**recent, tip: self._seen.get(tip, now)}

    def delivery_due_in_s(self, sha: str) -> float:
        """Return for how long the delivery of a commit may be on its way; 0: it came, or is lost.

        What a commit is told hangs on the tip that its delivery names before it: it is told when
        that has come (`Deploying.end`; later, like any commit that is late), or is too late
        (`Reconciler._announce_live`).
        """
        if sha not in self._seen or self._journal.shown(sha, DEPLOY) is not None:
            return 0.0
        return max(self._seen[sha] + NAMED_WITHIN_S - self._clock.monotonic(), 0.0)

    def owe(self, deployment: int, statuses: Sequence[Status]) -> None:
        self._journal.owe(statuses, deployment=deployment, at=self._clock.now())
        self._parts.owed()

    def queued(self) -> list[Deployment]:
        """Return the deployments that nobody has begun, or not since the worker started."""
        carried = self._carrying.ids
        return [row for row in self._journal.unfinished() if row.id not in carried]

    def requests(self, trigger: Trigger = Trigger.MANUAL) -> list[Announcement]:
        return [a for a in self._journal.unseen() if a.trigger is trigger]

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody waits whom no deployment at work answers."""
        return bool(self.others.is_set() or self.requests() or self.queued())

    def let_wait(self, rows: Mapping[int, str], why: str | Freeze) -> None:
        """Say what deployments wait for, given as commits by their ids."""
        commits = [Commit(sha) for sha in rows.values()]
        if isinstance(why, Freeze):
            words, said = of_freeze(why), [frozen(commit, why) for commit in commits]
        else:
            words, said = why, [waiting(commit, f"waits for {why}") for commit in commits]
        self._journal.wait_for(list(rows), words, at=self._clock.now(), statuses=said)
        self._parts.owed()

    def block(self, why: str, *, but: Collection[int]) -> None:
        """Let everybody wait for what takes long, until `unblock`; `but`: whom that answers."""
        with self.lock:
            if self._in_the_way != why:
                self._in_the_way = why
                others = [row for row in self.queued() if row.id not in but]
                self.let_wait({row.id: row.sha for row in others}, why)

    def unblock(self) -> None:
        self._in_the_way = None


def of_freeze(freeze: Freeze) -> str:
    """Return what the deployments wait for that a freeze holds up."""
    return f"the end of a freeze: {freeze.words}"
