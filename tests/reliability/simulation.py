"""Play a history, let the dust settle, and hold what is found against the invariants."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import structlog

from deployer.core import invariants
from deployer.core.model import REQUIREMENTS, folder_of
from deployer.core.reporting import contexts
from tests.reliability import history as happenings
from tests.reliability import texts
from tests.reliability.history import History
from tests.reliability.invariants import Evidence, Fate, Parse, Pushed, Said, violations
from tests.reliability.machine import Machine
from tests.reliability.texts import Kind

SETTLED_WITHIN_S = 4 * 3600.0
"""GitHub takes 500 statuses an hour."""
DELIVERED_WITHIN_S = 5.0
"""As long as a tip that git shows is not told what its delivery would say otherwise."""
QUIET_S = 400.0
"""The longest time between two tries of what failed."""
CHANCE = (Kind.POISON,)
"""What a dag-processor dies of may be held in company of what was pushed with it."""


@contextmanager
def silence() -> Iterator[None]:
    """Log nothing: it takes as long as the rest."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


@dataclass(frozen=True)
class Played:
    """What came of a history; `busy`: boundaries of effects until its last event was over."""

    wrong: tuple[str, ...]
    boundaries: int
    busy: int
    statuses: int
    crashes: int
    story: tuple[str, ...]
    mended: tuple[str, ...]
    met: Counter[str]


def play(history: History) -> Played:
    """Play a history from its first event until nothing moves any more."""
    machine = Machine(sql=history.sql, real_board=history.real_board)
    try:
        for at, event in history.events:
            machine.clock.after(at, partial(machine.happen, event))
        last = max((at for at, _ in history.events), default=0.0)
        machine.run_until(last + 1.0)
        machine.run_until(machine.clock.elapsed_s + _longest(history))
        busy = machine.boundaries
        machine.heal()
        late = _settle(machine)
        wrong = [*violations(_evidence(machine, history)), *late, *machine.faults]
        if not any(isinstance(event, happenings.Spoil) for _, event in history.events):
            wrong += [f"the worker had to mend: {words}" for words in machine.mended]
        return Played(
            tuple(wrong),
            machine.boundaries,
            busy,
            len(machine.hub.posts),
            machine.life - 1,
            tuple(machine.said),
            tuple(machine.mended),
            machine.met,
        )
    finally:
        machine.close()


def _longest(history: History) -> float:
    """Return in how many seconds the last thing that was begun is over."""
    lasts = [1.0]
    for _, event in history.events:
        match event:
            case happenings.DeleteBranch(for_s, _):
                lasts.append(for_s + 1.0)
            case happenings.Push() | happenings.Reset() | happenings.Revert():
                lasts += event.delays
            case _:
                pass
    return max(lasts) + 1.0


def _settle(machine: Machine) -> list[str]:
    """Run until nothing has moved for a while; say what goes on for ever."""
    until = machine.clock.elapsed_s + SETTLED_WITHIN_S
    before: object = None
    while machine.clock.elapsed_s < until:
        machine.run_until(machine.clock.elapsed_s + QUIET_S)
        now = (len(machine.hub.posts), len(machine.releases.swaps), _restless(machine))
        if now == before and not now[2]:
            return []
        before = now
    return [f"it does not come to rest: {', '.join(_restless(machine)) or 'statuses or releases'}"]


def _restless(machine: Machine) -> tuple[str, ...]:
    journal = machine.journal
    counts = {
        "statuses owed": journal.pulse().owed,
        "deployments unfinished": len(journal.unfinished()),
        "announcements unseen": len(journal.unseen()),
    }
    live = journal.live()
    lagging = live is None or live.sha != machine.repository.tip or bool(live.pending)
    return (
        *(f"{number} {what}" for what, number in counts.items() if number),
        *(["the tip is not live"] if lagging else []),
    )


def _evidence(machine: Machine, history: History) -> Evidence:
    repository, journal = machine.repository, machine.journal
    tip = repository.tip or ""
    rough = _is_rough(history)
    live, judged = machine.releases.live(), journal.live()
    shas = [*repository.all_commits()]
    commits = {
        sha: {p: t for p, t in repository.files_at(sha).items() if _published(p)} for sha in shas
    }
    asked = repository.files_at(tip).get(REQUIREMENTS)
    fates = {
        sha: {
            **_fates(files, rough=rough),
            REQUIREMENTS: _installs(repository.files_at(sha), rough=rough),
        }
        for sha, files in commits.items()
    }
    fit = {Fate.GOOD: True, Fate.BAD: False}.get(fates[tip][REQUIREMENTS])
    return Evidence(
        tip=tip,
        commits=commits,
        fates=fates,
        live=machine.releases.contents_of(live.name if live else None),
        live_sha=judged.sha if judged else None,
        pushed=_pushed(machine),
        rejudged=_rejudged(machine, history),
        said=[Said(p.at, p.sha, p.context, p.state, p.description) for p in machine.hub.posts],
        parses=[Parse(p.at, p.path, p.content, p.good) for p in machine.feed.parsed],
        published=machine.published,
        slow=any(
            kind in {Kind.SLOW, Kind.CRAWL}
            for _, event in history.events
            if isinstance(event, happenings.Push)
            for _, kind, _ in event.changes
        ),
        repeats=_may_repeat(history),
        packages=machine.services.installed(),
        asked=asked,
        fit=fit,
        pools=machine.airflow.slots,
        pools_before={"default_pool": 128},
        unwanted=list(_unwanted(machine, history)),
        leftovers=list(_leftovers(machine)),
        inconsistent=list(_inconsistent(machine)),
    )


def _published(path: str) -> bool:
    return path.startswith(("dags/", "include/"))


def _fates(files: dict[str, str], *, rough: bool) -> dict[str, Fate]:
    found = {}
    held_help = any(
        texts.is_helped(t) and texts.kind_of(t) in {Kind.HARM, Kind.POISON, Kind.CLAIM}
        for t in files.values()
    )
    for path, content in files.items():
        kind = texts.kind_of(content)
        if path == texts.HELPER:
            found[path] = Fate.EITHER if held_help or rough else Fate.GOOD
        elif kind in {Kind.HARM, Kind.POISON}:
            found[path] = Fate.HELD
        elif kind in {Kind.CLAIM, Kind.PICKY} or (texts.is_helped(content) and held_help):
            found[path] = Fate.EITHER
        elif not texts.parses(path, files, None):
            found[path] = Fate.EITHER if rough else Fate.BAD
        else:
            found[path] = Fate.EITHER if rough else Fate.GOOD
    return found


def _installs(files: dict[str, str], *, rough: bool) -> Fate:
    asked = files.get(REQUIREMENTS, "")
    if any(word in asked for word in texts.REQUIREMENTS_KINDS[1:]):
        return Fate.BAD
    picky = any(texts.kind_of(t) is Kind.PICKY for t in files.values())
    return Fate.EITHER if picky else Fate.GOOD


def _is_rough(history: History) -> bool:
    """Tell whether chance decides what is held or judged in time."""
    for _, event in history.events:
        match event:
            case happenings.DagProcessorDies() | happenings.Fault("feed cut" | "feed silent", _):
                return True
            case happenings.Push(changes) if any(kind in CHANCE for _, kind, _ in changes):
                return True
            case _:
                pass
    return False


def _may_repeat(history: History) -> bool:
    """Tell whether GitHub may have taken a status of which the worker does not know it."""
    return any(
        isinstance(event, happenings.Crash)
        or (isinstance(event, happenings.Fault) and event.part in {"journal", "github lost answer"})
        or event == happenings.FailOnce("journal.posted")
        for _, event in history.events
    )


def _rejudged(machine: Machine, history: History) -> set[str]:
    steered = any(
        isinstance(event, (happenings.RollBack, happenings.DeployByHand))
        for _, event in history.events
    )
    if steered:
        return set(machine.repository.all_commits())
    return {sha for sha in machine.tips if machine.tips.count(sha) > 1}


def _pushed(machine: Machine) -> list[Pushed]:
    repository = machine.repository
    tip = repository.tip or ""
    on_branch = repository.line(tip)
    deployable = {sha for _, one in machine.published for sha in repository.line(one)}
    found = []
    for sha, named in machine.announced.items():
        live = [one for _, one in machine.published if repository.knows(one)]
        by_poll = machine.begun.get(sha, named.at + 1) <= named.at
        unnamed = by_poll or None in named.befores
        bases = {repository.parent(sha), *filter(None, named.befores), *(live if unnamed else ())}
        sure = [set(repository.changed(base, sha)) for base in bases]
        found.append(
            Pushed(
                sha,
                frozenset(set.intersection(*sure) if repository.knows(sha) else ()),
                on_branch=sha in on_branch,
                deployable=sha in deployable,
            )
        )
    return found


def _unwanted(machine: Machine, history: History) -> Iterator[str]:
    yield from machine.thawed
    if not any(isinstance(event, happenings.Spoil) for _, event in history.events):
        yield from _of_others(machine, but=_rejudged(machine, history))
    by_hand = any(isinstance(event, happenings.DeployByHand) for _, event in history.events)
    if not by_hand and not _may_repeat(history):
        for asked, times in machine.services.resolved.items():
            if times > 1:
                yield f"{asked!r} was refused, and tried {times} times"


def _of_others(machine: Machine, *, but: Collection[str]) -> Iterator[str]:
    """Yield contexts of folders that a commit does not change.

    Its delivery may not have come: then at most what differs from the newest commit that was live
    or answered for itself by then.
    """
    repository = machine.repository
    for sha in {post.sha for post in machine.hub.posts if repository.knows(post.sha)} - {*but}:
        posts = [post for post in machine.hub.posts if post.sha == sha]
        named = machine.announced.get(sha)
        befores = set(named.befores) - {sha} if named else set()
        bases = {repository.parent(sha), *befores}
        began = machine.begun.get(sha, float("inf"))
        alone = not machine.beside.get(sha)
        if (
            named is None
            or None in befores
            or (named.at > began and (alone or named.at > began + DELIVERED_WITHIN_S))
        ):
            live = [one for at, one in machine.published if at < began and repository.knows(one)]
            line = repository.line(sha) - {sha}
            held = [one for one in (*machine.beside.get(sha, ()), *live) if one in line]
            newest = max(held, key=lambda one: len(repository.line(one)), default=None)
            bases |= {newest, *(one for one in live[-1:] if one not in line)}
        changed = {path for base in bases for path in repository.changed(base, sha)}
        own = contexts.of_folders({folder for path in changed if (folder := folder_of(path))})
        if strange := {post.context for post in posts} - own.keys() - {contexts.DEPLOY}:
            yield f"{sha[:7]} was told of what it does not change: {', '.join(sorted(strange))}"


def _leftovers(machine: Machine) -> Iterator[str]:
    if machine.services.litter:
        yield "a build"
    if machine.examiner.under_way:
        yield "an examination"
    if machine.feed.asked:
        yield "what the dag-processor is asked for"
    if machine.services.stopped:
        yield "services that do not run"
    elif machine.services.installed() is None:
        yield "packages that nobody found healthy"
    if old := machine.releases.beyond(3):
        yield f"releases: {', '.join(name[:7] for name in old)}"


def _inconsistent(machine: Machine) -> Iterator[str]:
    journal = machine.journal
    yield from invariants.violations(journal.audit(machine.clock.now()))
    if (drained := journal.drained()) != {}:
        yield f"a rollout is said to be at work, pools drained: {drained}"
    kept, installed = journal.packages(), machine.services.installed()
    if None not in (kept, installed) and kept != installed:
        yield f"{installed!r} runs, and it says {kept!r}"
    if (live := journal.live()) and live.pending:
        yield f"nobody judges {', '.join(live.pending)}"
    if rows := journal.unfinished():
        yield f"{len(rows)} deployments are not finished"
    if unseen := journal.unseen():
        yield f"{len(unseen)} announcements were not seen"


def killed_everywhere(history: History) -> Iterator[History]:
    """Yield a history once for each boundary of an effect in it, with a crash there."""
    first = history.events[0][0]
    for boundary in range(1, play(history).busy + 1):
        yield replace(
            history, events=((first, happenings.Crash(boundary, away_s=0.1)), *history.events)
        )


# -- a failing history, made smaller


def shrunk(history: History, fails: Callable[[History], bool]) -> History:
    """Return a history that still fails, with as few events as can be found by leaving some out."""
    events = list(history.events)
    size = max(len(events) // 2, 1)
    while True:
        at = 0
        while at < len(events):
            fewer = events[:at] + events[at + size :]
            if fails(replace(history, events=tuple(fewer))):
                events = fewer
            else:
                at += size
        if size == 1:
            return replace(history, events=tuple(events))
        size //= 2


def as_test(history: History, wrong: str) -> str:
    """Return a test to paste into `tests/reliability/test_found.py`, with what it imports."""
    events = "".join(f"            ({at}, {event!r}),\n" for at, event in history.events)
    names = sorted({"History", *(type(event).__name__ for _, event in history.events)})
    return (
        f"from tests.reliability.history import {', '.join(names)}\n"
        "from tests.reliability.simulation import play\n"
        "from tests.reliability.texts import Kind\n\n\n"
        "def test_found() -> None:\n"
        f"    # {wrong}\n"
        "    history = History(\n"
        "        (\n"
        f"{events}"
        "        ),\n"
        f"        sql={history.sql},\n"
        f"        real_board={history.real_board},\n"
        "    )\n"
        "    assert not play(history).wrong\n"
    )
