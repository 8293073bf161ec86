"""What must hold once the dust has settled, whatever happened before.

Pure: a harness gathers `Evidence` of what GitHub was told, what is live and what is left over, and
says what it knows of the texts; `violations` says in a sentence each what does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from deployer.core.model import REQUIREMENTS, folder_of
from deployer.core.reporting import contexts
from deployer.core.reporting.contexts import DEPLOY

FINAL = frozenset({"success", "failure", "error"})
JUDGED = frozenset({"success", "failure"})
_NEVER = float("inf")
_PART = re.compile(r"deployed as part of ([0-9a-f]{7})")


class Fate(Enum):
    """What the model knows of a text that is pushed."""

    GOOD = "good"
    BAD = "bad"  # live, and red
    HELD = "held"  # not live, and red
    EITHER = "either"  # chance, or other files, decide


@dataclass(frozen=True)
class Said:
    """A status that GitHub took."""

    at: float
    sha: str
    context: str
    state: str
    description: str

    @property
    def words(self) -> tuple[str, str]:
        return (self.state, self.description)


@dataclass(frozen=True)
class Pushed:
    """A commit that somebody announced.

    Attributes:
        changed: paths that differ from the tip before it, for sure.
        on_branch: the tip holds it.
        deployable: some commit was published that holds it.
    """

    sha: str
    changed: frozenset[str]
    on_branch: bool
    deployable: bool = True


@dataclass(frozen=True)
class Parse:
    """A parse of the class's dag-processor, and of which text."""

    at: float
    path: str
    content: str
    good: bool


@dataclass(frozen=True)
class Evidence:
    """What a harness found.

    Attributes:
        tip: the branch's commit.
        commits: the texts by path of each commit that may have been deployed, by sha.
        fates: of each path of these commits, by sha.
        live: the texts that are live, None: nothing is.
        live_sha: the commit that the journal knows to be live and judged.
        said: what GitHub took, in order.
        rejudged: commits that may have had several verdicts: they were the tip more than once, say.
        published: commits that went live, and when, in order.
        slow: a file may be judged in what was published later, its deployment waits so long.
        repeats: the same may have been said twice in a row, for its answer got lost.
        packages, asked: what runs, and what the tip asks for; None: not known.
        fit: the texts of requirements that install.
        unwanted: what was done and should not have been, a sentence each.
        leftovers: what nobody needs any more, and is there.
        inconsistent: what is wrong in the journal.
    """

    tip: str
    commits: Mapping[str, Mapping[str, str]]
    fates: Mapping[str, Mapping[str, Fate]]
    live: Mapping[str, str] | None
    live_sha: str | None
    pushed: Sequence[Pushed]
    said: Sequence[Said]
    parses: Sequence[Parse]
    rejudged: Collection[str] = ()
    published: Sequence[tuple[float, str]] = ()
    slow: bool = False
    repeats: bool = False
    packages: str | None = None
    asked: str | None = None
    fit: bool | None = None
    pools: Mapping[str, int] = field(default_factory=dict)
    pools_before: Mapping[str, int] = field(default_factory=dict)
    unwanted: Sequence[str] = ()
    leftovers: Sequence[str] = ()
    inconsistent: Sequence[str] = ()


def violations(found: Evidence) -> list[str]:
    """Return what does not hold, a sentence each."""
    return [
        *_live(found),
        *_ends(found),
        *_never_rewritten(found),
        *_colours(found),
        *_proven(found),
        *_packages(found),
        *_left(found),
    ]


def _live(found: Evidence) -> Iterator[str]:
    if found.live_sha != found.tip:
        yield f"{found.live_sha and found.live_sha[:7]} is live, the tip is {found.tip[:7]}"
        return
    wanted, live = found.commits[found.tip], found.live or {}
    fates = found.fates[found.tip]
    for path in sorted(live.keys() - wanted.keys()):
        yield f"{path} is live and not in the tip"
    for path, content in sorted(wanted.items()):
        fate = fates.get(path, Fate.GOOD)
        same = live.get(path) == content
        if fate is Fate.HELD and same:
            yield f"{path} is to be held, and live"
        if fate in {Fate.GOOD, Fate.BAD} and not same:
            yield f"{path} is not live as the tip has it"


def _ends(found: Evidence) -> Iterator[str]:
    last = _last(found)
    for (sha, context), said in sorted(last.items()):
        if said.state == "pending":
            yield f"{sha[:7]} {context} is pending: {said.description}"
    for commit in found.pushed:
        names = [DEPLOY, *contexts.of_folders(_folders(commit))]
        for name in names:
            end = last.get((commit.sha, name))
            if end is None or end.state not in FINAL:
                yield f"{commit.sha[:7]} {name} has no final status"
            elif commit.on_branch and end.state not in JUDGED:
                yield f"{commit.sha[:7]} {name} is on the branch and in error: {end.description}"
            elif not commit.deployable and end.state != "error":
                yield f"{commit.sha[:7]} {name} was never deployed, and is {end.state}"


def _never_rewritten(found: Evidence) -> Iterator[str]:
    rejudged = frozenset(found.rejudged)
    before: dict[tuple[str, str], Said] = {}
    for said in found.said:
        key = (said.sha, said.context)
        was, before[key] = before.get(key), said
        if was is None:
            continue
        where = f"{said.sha[:7]} {said.context}"
        if was.words == said.words:
            # What may change may have had other words meanwhile that were never posted.
            if not found.repeats and was.state in JUDGED and said.sha not in rejudged:
                yield f"{where} was told twice that it is {said.state}: {said.description}"
        elif said.state == "pending" and was.state in FINAL and said.sha not in rejudged:
            yield f"{where} was {was.state}, and pending again"
        elif was.state in JUDGED and said.sha not in rejudged:
            yield f"{where} was {' '.join(was.words)!r}, and is {' '.join(said.words)!r}"


def _colours(found: Evidence) -> Iterator[str]:
    last = _last(found)
    for commit in found.pushed:
        deploy = last.get((commit.sha, DEPLOY))
        tip = _judged_with(found, deploy) if deploy else None
        if deploy is None or tip is None or deploy.state not in JUDGED:
            continue
        fates = _fates(found, tip, deploy)
        for context, folders in contexts.of_folders(_folders(commit)).items():
            end = last.get((commit.sha, context))
            mine = {p: f for p, f in fates.items() if folder_of(p) in folders}
            own = {f for p, f in mine.items() if p in commit.changed}
            where = f"{commit.sha[:7]} {context}"
            if end is None or end.state not in JUDGED:
                continue
            if end.state == "success" and not own.isdisjoint({Fate.BAD, Fate.HELD}):
                bad = [p for p, f in mine.items() if f in {Fate.BAD, Fate.HELD}]
                yield f"{where} is green, and {', '.join(sorted(bad))} of {tip[:7]} is not"
            if end.state == "failure" and set(mine.values()) <= {Fate.GOOD}:
                yield f"{where} is red, and nothing of it in {tip[:7]} is: {end.description}"
        of_no_folder = {
            f
            for p, f in fates.items()
            if p in commit.changed and folder_of(p) is None and p != REQUIREMENTS
        }
        asks = REQUIREMENTS in commit.changed
        installs = fates.get(REQUIREMENTS, Fate.GOOD) if asks else Fate.GOOD
        judged = {*of_no_folder, installs}
        if deploy.state == "success" and not judged.isdisjoint({Fate.BAD, Fate.HELD}):
            yield f"{commit.sha[:7]} {DEPLOY} is green, and something of its own is not"
        all_good = judged <= {Fate.GOOD} and set(fates.values()) <= {Fate.GOOD}
        if deploy.state == "failure" and all_good:
            yield f"{commit.sha[:7]} {DEPLOY} is red without a cause: {deploy.description}"


def _proven(found: Evidence) -> Iterator[str]:
    """No green without a parse of that text after it went live."""
    parsed: dict[tuple[str, str], float] = {}
    for parse in found.parses:
        if parse.good:
            parsed.setdefault((parse.path, parse.content), parse.at)
    last = _last(found)
    for commit in found.pushed:
        deploy = last.get((commit.sha, DEPLOY))
        tip = _judged_with(found, deploy) if deploy else None
        if deploy is None or tip is None:
            continue
        for context, folders in contexts.of_folders(_folders(commit)).items():
            end = last.get((commit.sha, context))
            if end is None or end.state != "success":
                continue
            for path in commit.changed:
                is_dag = path.startswith("dags/") and path.endswith(".py")
                if not is_dag or folder_of(path) not in folders:
                    continue
                # The same is not posted again: then its time is that of the other.
                newest = max(end, deploy, key=lambda said: said.at)
                live = [found.commits[sha].get(path) for sha in _tips(found, tip, newest)]
                if not any(t is None or parsed.get((path, t), _NEVER) <= newest.at for t in live):
                    yield f"{commit.sha[:7]} {context} is green, and nobody had parsed {path}"


def _packages(found: Evidence) -> Iterator[str]:
    if found.fit is True and found.packages != found.asked:
        yield f"{found.packages!r} runs, and the tip asks for {found.asked!r}"
    if found.fit is False and (found.packages is None or found.packages == found.asked):
        yield f"{found.packages!r} runs, and is not to be installed"


def _left(found: Evidence) -> Iterator[str]:
    if dict(found.pools) != dict(found.pools_before):
        yield f"pools have {dict(found.pools)} slots, and had {dict(found.pools_before)}"
    yield from found.unwanted
    for what in found.leftovers:
        yield f"left over: {what}"
    for what in found.inconsistent:
        yield f"the journal is not consistent: {what}"


def _last(found: Evidence) -> dict[tuple[str, str], Said]:
    return {(said.sha, said.context): said for said in found.said}


def _folders(commit: Pushed) -> set[str]:
    return {folder for path in commit.changed if (folder := folder_of(path))}


def _judged_with(found: Evidence, deploy: Said) -> str | None:
    """Return the commit whose deployment a final status tells of, None: it does not say."""
    part = _PART.match(deploy.description)
    if part is None:
        return deploy.sha if deploy.sha in found.commits else None
    named = [sha for sha in found.commits if sha.startswith(part[1])]
    return named[0] if len(named) == 1 else None


def _tips(found: Evidence, tip: str, end: Said) -> list[str]:
    """Return the commits in which a file of a deployment may have been judged."""
    began = min((at for at, sha in found.published if sha == tip), default=end.at)
    later = [sha for at, sha in found.published if began < at <= end.at]
    return [tip, *later] if found.slow else [tip]


def _fates(found: Evidence, tip: str, end: Said) -> dict[str, Fate]:
    """Return what is known of each path, in all of those."""
    fates = dict(found.fates[tip])
    for sha in _tips(found, tip, end):
        for path, fate in fates.items():
            if found.fates[sha].get(path) is not fate:
                fates[path] = Fate.EITHER
    return fates
