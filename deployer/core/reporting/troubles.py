"""What the teacher is told without having asked: once when it is wrong, once when it is mended.

Pure: what the journal and the check-up show goes in; what is to be told comes out, in one message.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deployer.core.counts import counted
from deployer.core.doctor.lines import Finding, Mark
from deployer.core.model import REQUIREMENTS, Pulse, State, Verdict
from deployer.core.reporting import readiness
from deployer.core.reporting.status import of_file

UNSERVED = timedelta(minutes=10)
"""For which a push may wait for its end."""
TAKEN = timedelta(minutes=2)
"""For which nobody else sends what somebody is about to send; no sending takes as long."""
MOST = 20
"""Lines of one message for what is wrong, and as many for what is mended."""
LONGEST = 300
_CHECKUP = "doctor: "
_TOLD_FROM_THE_JOURNAL = {"packages", "worker"}
"""Lines of the check-up that say again what the journal says."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the class stands, by its deployments.

    Attributes:
        deployment, sha, state, reason: of the newest that ended and was not superseded, None and
            empty if there is none.
        refused: why the newest that went live kept the packages of before, empty if it did not.
        red: the newest verdict on each file, where that is not good.
        waits: the oldest push that has no end yet, and since when it waits.
    """

    deployment: int | None = None
    sha: str = ""
    state: State | None = None
    reason: str = ""
    refused: str = ""
    red: tuple[Verdict, ...] = ()
    waits: tuple[str, datetime] | None = None


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong, or was.

    Attributes:
        key: what it is about: a file's path, a line of the check-up.
        words: as they were when it was seen first.
        told: the teacher knows that it is wrong.
        mended_at: None: it still is.
        taken_at: since when somebody is about to tell of it.
    """

    key: str
    words: str
    since: datetime
    told: bool = False
    mended_at: datetime | None = None
    taken_at: datetime | None = None

    @property
    def is_news(self) -> bool:
        return not self.told or self.mended_at is not None


def in_journal(standing: Standing, pulse: Pulse, now: datetime) -> dict[str, str]:
    """Return what is wrong by what it is about: red deployments and files, stalls, drift."""
    found = {verdict.path: of_file(verdict) for verdict in standing.red}
    if standing.state in {State.FAILED, State.ERROR}:
        which = f"deployment {standing.deployment} ({standing.sha[:7]})"
        found["deployment"] = f"{which} ended as {standing.state}: {standing.reason}"
    if standing.refused:
        found.setdefault(REQUIREMENTS, f"packages kept: {standing.refused}")
    if standing.waits and not (pulse.freeze and pulse.freeze.holds(now)):
        sha, since = standing.waits
        if now - since > UNSERVED:
            found["push"] = f"{sha[:7]} was pushed {readiness.ago(now - since)} ago, and not served"
    found |= readiness.by_name(pulse, now)
    if pulse.drift:
        found["drift"] = pulse.drift
    return found


def in_checkup(findings: Iterable[Finding]) -> tuple[dict[str, str], frozenset[str]]:
    """Return what fails by what it is about, and about what all is well; of the rest: not known."""
    lines = [one for one in findings if one.name not in _TOLD_FROM_THE_JOURNAL]
    failed = {
        f"{_CHECKUP}{one.name}": f"{one.name}: {one.detail}\n  -> {one.remedy}"
        for one in lines
        if one.state is Mark.FAILED
    }
    return failed, frozenset(f"{_CHECKUP}{one.name}" for one in lines if one.state is Mark.PASSED)


def noticed(
    known: Iterable[Trouble], wrong: Mapping[str, str], fine: Collection[str], at: datetime
) -> tuple[Trouble, ...]:
    """Return the troubles that are new, or changed.

    `wrong`: the words by key, all of the journal's and some of the check-up's; `fine`: keys of
    the check-up. What came back before its mending was told never went, for the teacher.
    """
    before = {trouble.key: trouble for trouble in known}
    new = [Trouble(key, words, at) for key, words in wrong.items() if key not in before]
    back = [
        replace(trouble, mended_at=None)
        for key, trouble in before.items()
        if trouble.mended_at and key in wrong
    ]
    mended = [
        replace(trouble, mended_at=at)
        for key, trouble in before.items()
        if not trouble.mended_at
        and key not in wrong
        and (key in fine or not key.startswith(_CHECKUP))
    ]
    return (*new, *back, *mended)


def news(troubles: Iterable[Trouble], at: datetime) -> tuple[Trouble, ...]:
    """Return what is to be told now, all together; nothing while somebody is about to tell."""
    fresh = sorted((one for one in troubles if one.is_news), key=lambda one: (one.since, one.key))
    taken = (one.taken_at for one in fresh if one.taken_at)
    return () if any(timedelta(0) <= at - when < TAKEN for when in taken) else tuple(fresh)


def after_telling(said: Trouble, now: Trouble) -> Trouble | None:
    """Return what becomes of a trouble that was told as `said`, None: nothing is left of it."""
    if said.mended_at is None:
        return replace(now, told=True, taken_at=None)
    if now.mended_at:
        return None
    return replace(now, told=False, taken_at=None)  # it came back while that was said


def message(said: Sequence[Trouble], *, repo: str, url: str | None) -> tuple[str, str]:
    """Return the title and the text of one message."""
    wrong = [one for one in said if one.mended_at is None]
    mended = [one for one in said if one.mended_at is not None]
    counts = [f"{len(wrong)} to look at"] * bool(wrong) + [f"{len(mended)} mended"] * bool(mended)
    lines = [
        *_some([f"- {_plain(one.words)}" for one in wrong]),
        *_some([f"- mended: {_plain(one.words.partition(chr(10))[0])}" for one in mended]),
    ]
    more = f"More: {url}" if url else "More: `deployer status`, `deployer doctor`"
    return f"{repo}: {', '.join(counts)}", "\n".join([*lines, "", more])


def _some(lines: Sequence[str]) -> list[str]:
    rest = len(lines) - MOST
    return [*lines[:MOST], *([f"- and {counted(rest, 'more line')}"] * (rest > 0))]


def _plain(words: str) -> str:
    """Return a student's words fit for a chat: they call nobody, and are not endless."""
    quiet = re.sub(r"([@<])(?=\S)", "\\1\u200b", words)
    return quiet if len(quiet) <= LONGEST else f"{quiet[: LONGEST - 1]}…"
