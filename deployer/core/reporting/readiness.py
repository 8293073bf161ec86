"""Tell whether the deployer as a whole does its job, from the traces it leaves.

Pure: what the journal holds and the time go in, the reasons against readiness come out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from deployer.core.counts import counted, lasting
from deployer.core.model import Pulse
from deployer.core.webhook import advice

BEAT_STALE = timedelta(seconds=30)
TIP_STALE = timedelta(minutes=5)
BEHIND = timedelta(minutes=10)
OWED = timedelta(minutes=10)


def reasons(pulse: Pulse, now: datetime) -> tuple[str, ...]:
    """Return one sentence for each reason why the deployer is not ready; none: it is."""
    return tuple(by_name(pulse, now).values())


def by_name(pulse: Pulse, now: datetime) -> dict[str, str]:
    """Return the reasons by what each is about; the sentence of one has another age each time.

    A bound is passed only when it is exceeded. Times ahead of `now` (two clocks) are fresh.
    """
    found: dict[str, str] = {}
    if pulse.beat_at is None:
        found["heartbeat"] = "the worker has never run"
    elif now - pulse.beat_at > BEAT_STALE:
        found["heartbeat"] = f"the worker's last heartbeat was {lasting(now - pulse.beat_at)} ago"
    if pulse.tip_checked_at is None:
        found["tip"] = "the branch's tip was never checked"
    elif now - pulse.tip_checked_at > TIP_STALE:
        found["tip"] = (
            f"the branch's tip was last checked {lasting(now - pulse.tip_checked_at)} ago"
        )
    since = pulse.tip_since if pulse.tip != pulse.live_sha else None
    if since is not None and overdue(pulse, since, now, bound=BEHIND):
        live = pulse.live_sha[:7] if pulse.live_sha else "nothing that is known"
        found["behind"] = f"{live} is live, behind the tip for {lasting(now - since)}"
    if pulse.oldest_owed is not None and now - pulse.oldest_owed > OWED:
        found["outbox"] = (
            f"{counted(pulse.owed, 'commit status waits', 'commit statuses wait')} to be posted,"
            f" the oldest for {lasting(now - pulse.oldest_owed)}"
        )
    if pulse.edited:
        found["edits"] = pulse.edited
    return found


def overdue(pulse: Pulse, since: datetime, now: datetime, *, bound: timedelta) -> bool:
    """Tell whether what is to be live since then could have been for longer than `bound`.

    In a freeze it could not, and what waited for the end of one has its time from there on.
    """
    if pulse.freeze and pulse.freeze.holds(now):
        return False
    return now - max(since, pulse.thawed_at or since) > bound


def renamed(pulse: Pulse, repo: str) -> str:
    """Return what to do about a new name of `repo`, the one that is set; empty: nothing.

    No reason against readiness: pushes are accepted and statuses posted, by GitHub's redirects,
    which end once a repository is made under the old name.
    """
    pushed = pulse.pushed
    if pushed and pushed.renamed and pushed.known_as.casefold() == repo.casefold():
        return advice(pushed)
    return ""
