"""`deployer doctor --repair`: what nothing mends by itself, each after it was asked for.

No worker runs meanwhile. What the worker mends at its start, or at each poll, is left to it or done
by the same code: containers of ours that no service owns, files changed by hand, old releases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from deployer.core.counts import counted
from deployer.core.doctor import rebuilt
from deployer.core.model import StatusRecord, Trigger
from deployer.errors import DeployerError
from deployer.ports import Edits, Journal
from deployer.ports.doctor import ClassRepository, JournalPlace, PublishedReleases

LATELY: Final = 50
"""Commits of the branch whose statuses GitHub is asked for."""


@dataclass(frozen=True, slots=True)
class Broken:
    """What may have to be repaired.

    Attributes:
        ref: the branch, as a push names it.
        told: returns what GitHub was told of a commit, newest first; None: there is no token, and
            no status was ever posted.
        sockets: places at which a worker listens.
    """

    ref: str
    repository: ClassRepository
    journal: JournalPlace
    told: Callable[[str], Sequence[StatusRecord]] | None
    releases: PublishedReleases
    sockets: Sequence[Path]
    now: datetime


Wrong = tuple[str, Callable[[], str]]
"""What is wrong and what is done about it, in words; what does it, and says what was done."""


def repair(broken: Broken, *, agreed: Callable[[str], bool], tell: Callable[[str], None]) -> bool:
    """Mend what is wrong and agreed to; return whether all is well now.

    The mirror first: of it the journal is rebuilt, and of that one hears what is live.
    """
    well = True
    for look in (_mirror, _journal, _releases, _leftovers):
        try:
            if (wrong := look(broken)) is None:
                continue
            words, mend = wrong
            if agreed(words):
                tell(mend())
            else:
                well = False
        except DeployerError as exc:
            tell(f"not repaired: {exc}")
            well = False
    return well


def _mirror(broken: Broken) -> Wrong | None:
    repository = broken.repository
    if not repository.path.exists() or repository.check() is not None:
        return None
    return (
        f"the mirror {repository.path} is damaged: clone it anew",
        lambda: f"the mirror is cloned anew, at {repository.fetch()[:7]}",
    )


def _journal(broken: Broken) -> Wrong | None:
    damage = broken.journal.damage()
    words = (
        f"the journal {damage}: keep it aside and rebuild it without its history (a backup has"
        " that: `deployer restore`)"
    )
    return (words, lambda: _rebuild(broken)) if damage else None


def _releases(broken: Broken) -> Wrong | None:
    journal, releases = broken.journal, broken.releases

    def is_lost(edits: Edits | None) -> bool:
        return releases.live() is None or (edits is not None and edits.paths is None)

    def mend() -> str:
        edits = releases.edits()
        if not is_lost(edits):
            return edits.words if edits else "`current` leads to what is live"
        journal.opened(lambda known: known.set_live(None))
        return "the worker publishes the branch's tip anew when it starts"

    edits = releases.edits(mend=False)
    if edits and edits.paths == frozenset():
        return edits.words, mend
    if not is_lost(edits) or journal.opened(lambda known: known.live()) is None:
        return None
    words = edits.words if edits else "`current` leads to no release"
    return f"{words}: have all of the branch's tip published and judged anew", mend


def _leftovers(broken: Broken) -> Wrong | None:
    releases = broken.releases

    def remove() -> str:
        for place in filter(Path.is_socket, broken.sockets):
            place.unlink()
        removed = releases.prune(0, releases.beyond(0))  # torn ones, and no whole one
        return f"sockets and {counted(removed, 'half-written release')} are removed"

    left = [str(place) for place in broken.sockets if place.is_socket()]
    left += [f"the half-written release {name}" for name in releases.torn()]
    return (f"of a worker that is dead: {', '.join(left)}: remove", remove) if left else None


def _rebuild(broken: Broken) -> str:
    """Rebuild the journal out of what GitHub was told; nothing is changed before all is known."""
    tip, ask = broken.repository.fetch(), broken.told
    told = {sha: ask(sha) for sha in broken.repository.latest(LATELY)} if ask else {}
    remembered = rebuilt(told)

    def fill(journal: Journal) -> None:
        for one in remembered:
            number = journal.queue(
                one.sha, base_sha=one.before, ref=broken.ref, trigger=Trigger.POLL, at=broken.now
            )
            posted = {record.status.context: record for record in one.records}
            said = [record.status for record in one.records]
            journal.owe(said, deployment=number, at=broken.now)
            while owed := journal.due(broken.now):
                record = posted[owed[0].status.context]
                journal.posted(
                    owed[0].id, at=record.posted_at or broken.now, target_url=record.target_url
                )
            if not one.is_open:
                words = "told before the journal was rebuilt"
                journal.supersede(number, words, at=broken.now)

    kept = broken.journal.rebuild(fill)
    still = sum(one.is_open for one in remembered)
    return (
        f"the journal is rebuilt{f', the old one is {kept}' if kept else ''}: of "
        f"{counted(remembered, 'commit')} GitHub has statuses, {still} of them wait for an end; "
        f"{tip[:7]} is judged anew when the worker starts"
    )
