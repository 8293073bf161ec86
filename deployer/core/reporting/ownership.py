"""Say whose files a commit changes that are not its author's; a note, never a refusal.

A change is in order if the one who pushed it, or everyone who wrote it, is the folder's
owner or a teacher. So neither a student's pull request that somebody else merges is
noted, nor what a teacher lets in. What a merge alone changed was written by nobody: it
is the pusher's. Git believes any address that a commit names: this is etiquette, not
security.
Where nobody knows who pushed, nobody is accused: the address alone may be one that the roster
does not have.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from deployer.core.model import DAGS, INCLUDE, REQUIREMENTS, ROSTER, Authored, History, folder_of
from deployer.core.reporting import roster as rosters
from deployer.core.reporting.roster import Roster, Unreadable

_SERVICE: Final = (REQUIREMENTS, ROSTER, "Dockerfile", "docker-compose*.y*ml")
_SHARED: Final = (f"{INCLUDE}airflow/", INCLUDE, ".github/")


@dataclass(frozen=True, slots=True, order=True)
class _Part:
    """A part of the repository with owners of its own; `folder` None: the teachers alone."""

    label: str
    folder: str | None = None


def notes(
    past: History, *, pusher: str | None, roster: str | None, new_roster: str | None
) -> tuple[str, ...]:
    """Return what is to be said of a commit, as ends of the sentence "This commit …".

    Args:
        past: what it changed, and who wrote that. Since None: the class repository begins
            here, so nothing was anybody's yet.
        pusher: GitHub login, None if it is not known: then nobody's folder is spoken of.
        roster: text of the roster as it was before the commit, which can't free itself.
        new_roster: text of the commit's own.
    """
    if past.since is None:
        return ()
    found, changed = [], past.changed
    if pusher:
        match rosters.parse(roster):
            case Unreadable(reason) if any(map(_part, changed)):
                found.append(f"whose folder it changes is not known: {reason}")
            case Roster() as valid if foreign := _foreign(changed, past.commits, pusher, valid):
                found.append(f"changes {_listed(foreign)}")
    new = rosters.parse(new_roster) if ROSTER in changed else None
    if isinstance(new, Unreadable):
        found.append(f"breaks the roster: {new.reason}")
    return tuple(found)


def _foreign(
    changed: Sequence[str], commits: Sequence[Authored], pusher: str, roster: Roster
) -> list[str]:
    """Return the parts that neither the pusher nor the authors may change, folders first.

    Authors may if all that changed in a part has some, and all who wrote in it are allowed.
    """
    parts = _by_part(changed)
    written: dict[_Part, set[str]] = defaultdict(set)
    authors: dict[_Part, set[str]] = defaultdict(set)
    for commit in commits:
        for part, paths in _by_part(commit.paths).items():
            written[part] |= paths
            authors[part].add(commit.email)
    foreign = []
    for part in sorted(parts, key=lambda part: (part.folder is None, part.label)):
        allowed = roster.teachers | (roster.owners(part.folder) if part.folder else frozenset())
        theirs = parts[part] <= written[part] and all(
            rosters.names_of(email) & allowed for email in authors[part]
        )
        if pusher.casefold() not in allowed and not theirs:
            foreign.append(part.label)
    return foreign


def _by_part(paths: Iterable[str]) -> dict[_Part, set[str]]:
    found: dict[_Part, set[str]] = defaultdict(set)
    for path in paths:
        if part := _part(path):
            found[part].add(path)
    return found


def _part(path: str) -> _Part | None:
    folder = folder_of(path)
    if folder:
        return _Part(f"{folder}'s folder", folder)
    for start in _SHARED:
        if path.startswith(start):
            return _Part(start)
    if path.startswith(DAGS):  # seen by everybody's DAGs
        return _Part(path)
    if "/" not in path and any(fnmatchcase(path, name) for name in _SERVICE):
        return _Part(path)
    return None


def _listed(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
