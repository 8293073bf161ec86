"""The branch's tip as git tells it, and where announced commits stand to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from deployer.core.model import Deployment, StepName, StepRecord
from deployer.deployment.parts import Parts
from deployer.errors import GitError, UnknownCommit
from deployer.ports import Announcement

REPLICATION = timedelta(seconds=60)
"""How long a commit may be announced before git shows it; after that it is gone."""
FETCH_BOUND_S = 20.0
"""Seconds for which git is asked again while somebody waits for an answer."""
FETCH_AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Fetched:
    """The branch's tip, and when and for how long git was asked."""

    tip: str
    step: StepRecord


class Ancestry(Enum):
    """Where an announced commit stands to the tip."""

    ON_BRANCH = "on branch"
    GONE = "gone"
    UNSEEN = "unseen"  # announced so recently that git may not show it yet


@dataclass(eq=False)
class Branch:
    """What git says of it; `asked_at`: when it was asked last, in monotonic seconds."""

    parts: Parts
    asked_at: float = float("-inf")

    def fetch(self, *, patient: Callable[[], bool]) -> Fetched:
        """Ask git; again for a while if it fails and somebody waits by then (`patient`).

        Raises:
            GitError
        """
        clock = self.parts.clock
        started_at, started = clock.now(), clock.monotonic()
        self.asked_at = started
        while True:
            try:
                tip = self.parts.repository.fetch()
            except GitError:
                if not patient() or clock.monotonic() - started > FETCH_BOUND_S:
                    raise
                clock.sleep(FETCH_AGAIN_S)
            else:
                step = StepRecord(StepName.FETCH, "ok", started_at, clock.now(), f"tip {tip[:7]}")
                return Fetched(tip, step)

    def ancestry(self, asking: Deployment | Announcement, fetched: Fetched) -> Ancestry:
        """Tell where the commit of a queued deployment or of a request stands to the fetched tip.

        A push may be newer than git's answer; who asks by hand for what git does not know is told
        at once. A request without a commit is for whatever the tip is.

        Raises:
            GitError: the mirror can't be read.
        """
        sha, known = asking.sha, True
        if isinstance(asking, Deployment):
            announced_at, patience = asking.queued_at, REPLICATION
        else:
            announced_at, patience = asking.received_at, timedelta(0)
        try:
            if sha is None or self.parts.repository.contains(fetched.tip, sha):
                return Ancestry.ON_BRANCH
        except UnknownCommit:
            known = self.parts.journal.forced_away(sha or "")
        age = fetched.step.started_at - announced_at  # below zero: that fetch can't have brought it
        is_new = age < (timedelta(0) if known else patience)
        was_set_back = announced_at - self.parts.clock.now() > REPLICATION  # the clock
        return Ancestry.UNSEEN if is_new and not was_set_back else Ancestry.GONE
