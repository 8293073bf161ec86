"""Say on GitHub how a deployment went: contexts, states, descriptions.

`airflow/deploy` is about the whole commit, and all of its files that are in no folder;
`airflow/<folder>` about one student's files. A broken file reddens the commits that changed it,
or what it needs, in its folder; nobody else's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from deployer.core.counts import counted
from deployer.core.model import (
    DAGS,
    REQUIREMENTS,
    Ending,
    Freeze,
    Outcome,
    State,
    Status,
    StatusState,
    Verdict,
    folder_of,
)
from deployer.core.planning.held import DIED, notes
from deployer.core.reporting import contexts
from deployer.core.reporting.contexts import DEPLOY
from deployer.core.tree.limits import folders_above

MAX_DESCRIPTION = 140
"""Characters; GitHub answers 422 to more: `description is too long (maximum is 140 characters)`."""


WORTH_TELLING_S = 1.0
"""Less than this before a deployment began is no waiting."""


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit that a push named as the branch's tip.

    Attributes:
        sha: full commit id.
        changed: paths that differ from the tip named before it; empty while not known.
        notes: what else is to be said of it, e.g. that it changes somebody else's folder.
        reaches: `changed`, and paths that import, read or link to any of it, through others too;
            empty while it does not matter.
        others: bad paths that were judged with it and are not its doing: it neither changed nor
            reaches them, nor let Airflow read them; empty while it does not matter.
        open: contexts that show no verdict yet; they may stem from another `changed`, taken before
            a crash.
        since: the tip named before it, None: there is none, or it is not known.
        folders: those of `dags/` that hold any of `changed`, sorted.
    """

    sha: str
    changed: Collection[str] = frozenset()
    notes: tuple[str, ...] = ()
    reaches: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    open: tuple[str, ...] = ()
    since: str | None = None
    folders: tuple[str, ...] = field(init=False)
    _places: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Once: each is asked for again with each verdict.
        folders = {folder for path in self.changed if (folder := folder_of(path))}
        object.__setattr__(self, "changed", frozenset(self.changed))
        object.__setattr__(self, "folders", tuple(sorted(folders)))
        object.__setattr__(self, "_places", _places(self.changed))

    def changes(self, path: str) -> bool:
        """Tell whether it changed what is at a path: a file, or anything in a folder there."""
        return path.rstrip("/") in self._places

    @property
    def touches_requirements(self) -> bool:
        return REQUIREMENTS in {*self.changed, *self.reaches}  # which may be a link


def _places(paths: Collection[str]) -> frozenset[str]:
    return frozenset(folders_above(paths)).union(paths)


def cut(text: str) -> str:
    """Return `text` on one line, at most 140 characters, cut at the end with `…`."""
    line = contexts.plain(" ".join(text.split()))
    return line if len(line) <= MAX_DESCRIPTION else line[: MAX_DESCRIPTION - 1] + "…"


def pending(commit: Commit) -> tuple[Status, ...]:
    """Return what a commit shows until its deployment has ended.

    The words stay the same from the announcement on, so that they are posted only once.
    """
    names = (DEPLOY, *_contexts(commit))
    return tuple(
        Status(commit.sha, name, StatusState.PENDING, "on its way to Airflow") for name in names
    )


def _contexts(commit: Commit, verdicts: Sequence[Verdict] = ()) -> dict[str, tuple[str, ...]]:
    """Return the folders of each context that a commit has, or was told in."""
    own = contexts.of_folders(commit.folders)
    judged = {folder for verdict in verdicts if (folder := folder_of(verdict.path))}
    folders = {name.casefold(): alike for name, alike in contexts.of_folders(judged).items()}
    told = {DEPLOY, *map(str.casefold, own)}
    more = [name for name in commit.open if name.casefold() not in told]
    return own | {name: folders.get(name.casefold(), ()) for name in more}


def waiting(commit: Commit, words: str) -> Status:
    """Return what a commit shows while its deployment waits for something that takes long."""
    return Status(commit.sha, DEPLOY, StatusState.PENDING, cut(words))


def frozen(commit: Commit, freeze: Freeze) -> Status:
    """Return what a commit shows while nothing is deployed."""
    return waiting(commit, f"frozen: {freeze.words}")


def rolled_back(commit: Commit, freeze: Freeze) -> tuple[Status, ...]:
    """Return what a commit shows that was live until a rollback."""
    return _in_error(commit, freeze.words)


def gone(commit: Commit, branch: str) -> tuple[Status, ...]:
    """Return the end of a commit that a forced push removed."""
    return _in_error(commit, f"no longer on {branch}")


def _in_error(commit: Commit, words: str) -> tuple[Status, ...]:
    return tuple(
        Status(commit.sha, status.context, StatusState.ERROR, cut(words))
        for status in pending(commit)
    )


def final(commit: Commit, ending: Ending) -> tuple[Status, ...]:
    """Return how one commit ended: one status for each context it has."""
    by_folder = _by_folder(commit, ending)
    return (
        _deploy(commit, ending),
        *(
            Status(commit.sha, context, *_folders(folders, by_folder, ending))
            for context, folders in _contexts(commit, ending.verdicts).items()
        ),
    )


def of_file(verdict: Verdict) -> str:
    """Return what a status says of one file, after the file's whole path."""
    if verdict.error or not verdict.good:
        return _bad([verdict], "")
    words = "no DAG in it" if verdict.outcome is Outcome.NO_DAG else _good([verdict])
    return f"{verdict.path}  {words}"


def _deploy(commit: Commit, ending: Ending) -> Status:
    match ending.state:
        case State.SUCCEEDED | State.BROKEN:
            faults = []
            if ending.refused and commit.touches_requirements:
                faults.append(f"{ending.refused}; packages kept")
            if died := _died(commit, ending):
                faults.append(f"not live: {died}")
            elif own := _of_no_folder(commit, ending):
                faults.append(_bad(own, ""))
            if harmed := _harmed(commit, ending):
                faults.append(f"breaks {_bad(harmed, DAGS)}")
            state = StatusState.FAILURE if faults else StatusState.SUCCESS
            text = "; ".join(faults) or _live(commit, ending)
        case State.FAILED:
            state, text = StatusState.FAILURE, ending.reason
        case State.ERROR:
            state, text = StatusState.ERROR, ending.reason
        case State.QUEUED | State.RUNNING | State.SUPERSEDED:
            raise ValueError(f"{ending.state} is no end that a commit can show")
        case _ as never:
            assert_never(never)
    if commit.sha != ending.tip:
        text = f"deployed as part of {ending.tip[:7]}: {text}"
    return Status(commit.sha, DEPLOY, state, cut("; ".join([text, *_notes(commit, ending)])))


def _of_no_folder(commit: Commit, ending: Ending) -> list[Verdict]:
    """Return what is bad of the commit's own files that no other context is about.

    All that lies right under `dags/` is one's own where one changed any of it.
    """
    own = commit.changed
    if any(path.startswith(DAGS) and folder_of(path) is None for path in own):
        own = commit.reaches.union(own)
    places, told = _places(own), {REQUIREMENTS} if ending.refused else set()
    bad = [v for v in ending.verdicts if not v.good and v.path.rstrip("/") in places]
    return [v for v in bad if folder_of(v.path) is None and v.path not in told]


def _harmed(commit: Commit, ending: Ending) -> list[Verdict]:
    """Return what the commit broke of files in folders that it did not touch."""
    broke = commit.reaches.intersection(ending.broke)
    return [v for v in ending.verdicts if v.path in broke and not _answers_for(commit, v.path)]


def _died(commit: Commit, ending: Ending) -> str:
    """Return how the dag-processor died of a commit, now or before, if none of it is live."""
    own = [v for v in ending.verdicts if v.path in commit.changed]
    reasons = [v.error.message for v in own if v.error and v.error.type == DIED]
    return reasons[0] if reasons and all(v.outcome is Outcome.HELD for v in own) else ""


def _notes(commit: Commit, ending: Ending) -> list[str]:
    """Return what is said last, and colours nothing."""
    ours = [d for d in ending.duplicates if {d.path, d.other}.intersection(commit.changed)]
    return [*commit.notes, *notes(ours)]


def _live(commit: Commit, ending: Ending) -> str:
    tried = [v for v in ending.verdicts if not v.gone]
    within = f"in {ending.seconds:.1f} s"
    if ending.waited_s >= WORTH_TELLING_S:
        within += f", {ending.waited_s:.1f} s of them waiting"
    text = _tally(tried, within)
    if ending.refused:
        text += "; packages kept"
    # A shared helper can break a folder that the commit did not touch.
    elsewhere = [v for v in tried if not v.good and not _answers_for(commit, v.path)]
    if elsewhere and ending.tip == commit.sha:
        text += f"; {_bad(elsewhere, DAGS)}"
    return text


_NOT_GOOD = {Outcome.BROKEN: "broken", Outcome.HELD: "held", Outcome.TIMEOUT: "without a verdict"}


def _tally(tried: Sequence[Verdict], within: str) -> str:
    """Return how many files are live and parsed, and how many are not."""
    if not tried:
        return f"live: no DAG file to parse, {within}"
    found = Counter(v.outcome for v in tried if not v.good)
    bad = [(found[outcome], words) for outcome, words in _NOT_GOOD.items() if found[outcome]]
    if good := len(tried) - found.total():
        count = f"{good} of " if bad else ""
        text = f"live: {count}{counted(tried, 'file')} parsed {within}"
        return text + "; " * bool(bad) + ", ".join(f"{n} {words}" for n, words in bad)
    (first, words), *others = bad
    rest = "".join(f", {number} {more}" for number, more in others)
    return f"live; {counted(first, 'file')} {words}{rest}, {within}"


def _answers_for(commit: Commit, path: str) -> bool:
    ours = folder_of(path) in commit.folders and path not in commit.others
    return ours or path in commit.changed


def _by_folder(commit: Commit, ending: Ending) -> dict[str, list[Verdict]]:
    """Return what a commit is told of, by the folder in which it lies, or in whose place.

    Under `""` is what stands in the place of `dags/`: it concerns all.
    """
    found: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in ending.verdicts:
        place = f"{verdict.path.rstrip('/')}/"
        if place.startswith(DAGS) and verdict.path not in commit.others:
            found[place.split("/")[1]].append(verdict)
    return found


def _folders(
    folders: tuple[str, ...], by_folder: Mapping[str, Sequence[Verdict]], ending: Ending
) -> tuple[StatusState, str]:
    """Return what is said of folders that share a context."""
    mine = [verdict for name in ("", *folders) for verdict in by_folder.get(name, ())]
    bad = [v for v in mine if not v.good]
    match ending.state:
        case State.FAILED:
            state, text = StatusState.FAILURE, ending.reason
        case State.ERROR:
            state, text = StatusState.ERROR, ending.reason
        case _ if bad:
            first, *others = folders
            state, text = StatusState.FAILURE, _bad(bad, DAGS if others else f"{DAGS}{first}/")
        case _:
            state, text = StatusState.SUCCESS, _good(mine)
    return state, cut(text)


def _good(verdicts: Sequence[Verdict]) -> str:
    ids = sorted({dag_id for v in verdicts for dag_id in v.dag_ids})
    if ids:
        return f"{counted(ids, 'DAG')}: {', '.join(ids)}"
    gone = [v for v in verdicts if v.gone]
    said = []
    for what, outcome in (("deleted", Outcome.DELETED), ("gone from Airflow", Outcome.NO_DAG)):
        names = sorted(v.path.rsplit("/", 1)[-1] for v in gone if v.outcome is outcome)
        said += [f"{what}: {', '.join(names)}"] if names else []
    return "; ".join(said) or "live; no DAG in what changed"


def _bad(verdicts: Sequence[Verdict], prefix: str) -> str:
    first = min(verdicts, key=lambda v: v.path)
    more = f" (+{len(verdicts) - 1} more)" if len(verdicts) > 1 else ""
    name = first.path.removeprefix(prefix) or first.path  # which may be the folder itself
    if first.outcome is Outcome.TIMEOUT:
        return f"{name}: no verdict from Airflow within {first.waited_s:.0f} s{more}"
    error = first.error
    if error is None:
        return f"{name}: {first.outcome}{more}"
    if first.outcome is Outcome.HELD:
        return f"{name} is held: {error.message}{more}"
    where = f"{name}:{error.line}" if error.line else name
    return f"{where} {error.type}: {error.message}{more}"
