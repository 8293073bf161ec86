"""What the teacher is told without having asked: once when it is wrong, once when it is mended.

Pure: what the journal and the check-up show goes in; what is to be told comes out, in one message.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from deployer.core.counts import counted, lasting
from deployer.core.doctor import Finding, Mark
from deployer.core.model import REQUIREMENTS, Live, Outcome, Plan, Pulse, State, Verdict
from deployer.core.reporting import readiness
from deployer.core.reporting.commit_status import of_file

UNSERVED = timedelta(minutes=10)
"""For which a push may wait for its end."""
MOST = 20
"""Lines of one message for what is wrong, and as many for what is mended."""
LONGEST = 300
JOURNAL = "journal"
"""What is wrong if the journal can't be read; all else that it would tell is not known then."""
_CHECKUP = "doctor: "
_TOLD_FROM_THE_JOURNAL = {JOURNAL, "packages", "worker"}
"""Lines of the check-up that say again what the journal says."""


@dataclass(frozen=True, slots=True)
class ClassStanding:
    """How the class stands, by its deployments.

    Attributes:
        deployment, sha, state, reason: of the newest that ended and was not superseded, None and
            empty if there is none.
        refused: why the newest that went live kept the packages of before, empty if it did not.
        red: the newest verdict on each file, where that is not good, and stands (`standing_red`).
        waits: the oldest push that has no end yet, and since when it waits.
    """

    deployment: int | None = None
    sha: str = ""
    state: State | None = None
    reason: str = ""
    refused: str = ""
    red: tuple[Verdict, ...] = ()
    waits: tuple[str, datetime] | None = None


def standing_red(newest: Iterable[Verdict], live: Live | None, plan: Plan) -> tuple[Verdict, ...]:
    """Return what is not good of the newest verdicts on each file, by path.

    What was held and is no DAG file, such as a helper, gets no other verdict when it is let go: it
    is held for as long as what is `live` says so, or the `plan` that made it live left it out.
    """
    held = {*live.held, *(item.path for item in plan.left_out)} if live else None
    stands = (
        verdict
        for verdict in newest
        if not verdict.good
        and (verdict.outcome is not Outcome.HELD or held is None or verdict.path in held)
    )
    return tuple(sorted(stands, key=lambda verdict: verdict.path))


@dataclass(frozen=True, slots=True)
class News:
    """What the teacher is to be told now: words, by what they are about.

    Attributes:
        wrong: what is wrong and was not told yet.
        mended: what was told as wrong, as it was told, and is so no more.
    """

    wrong: Mapping[str, str] = field(default_factory=dict)
    mended: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.wrong) + len(self.mended)

    def added_to(self, told: Mapping[str, str]) -> dict[str, str]:
        """Return what the teacher takes for wrong once this is told, too."""
        still = {about: words for about, words in told.items() if about not in self.mended}
        return {**still, **self.wrong}


def in_journal(standing: ClassStanding, pulse: Pulse, now: datetime) -> dict[str, str]:
    """Return what is wrong by what it is about: red deployments and files, stalls, drift."""
    found = {verdict.path: of_file(verdict) for verdict in standing.red}
    if standing.state in {State.FAILED, State.ERROR}:
        which = f"deployment {standing.deployment} ({standing.sha[:7]})"
        found["deployment"] = f"{which} ended as {standing.state}: {standing.reason}"
    if standing.refused:
        found.setdefault(REQUIREMENTS, f"packages kept: {standing.refused}")
    if standing.waits:
        sha, since = standing.waits
        if readiness.overdue(pulse, since, now, bound=UNSERVED):
            found["push"] = f"{sha[:7]} was pushed {lasting(now - since)} ago, and not served"
    found |= readiness.by_name(pulse, now)
    if pulse.drift:
        found["drift"] = pulse.drift
    return found


def news(
    told: Mapping[str, str], by_journal: Mapping[str, str], findings: Collection[Finding]
) -> News:
    """Return what is to be told: what is wrong by the journal or the check-up, or mended.

    `told`: what the teacher takes for wrong. That is mended if it was looked at and not found:
    a line of the check-up that is skipped was not, nor anything while the journal fails.
    """
    lines = {
        f"{_CHECKUP}{one.name}": one for one in findings if one.name not in _TOLD_FROM_THE_JOURNAL
    }
    failed = {
        about: f"{one.name}: {one.detail}\n  -> {one.remedy}"
        for about, one in lines.items()
        if one.state is Mark.FAILED
    }
    wrong = {**by_journal, **failed}

    def is_mended(about: str) -> bool:
        if about.startswith(_CHECKUP):
            return about in lines and lines[about].state is Mark.PASSED
        return about not in wrong and JOURNAL not in wrong

    return News(
        wrong={about: words for about, words in wrong.items() if about not in told},
        mended={about: words for about, words in told.items() if is_mended(about)},
    )


def message(said: News, *, repo: str, url: str | None) -> tuple[str, str]:
    """Return the title and the text of one message; `url`: where the teacher sees more."""
    wrong = [f"- {_plain(words)}" for words in said.wrong.values()]
    mended = [f"- mended: {_plain(words.partition(chr(10))[0])}" for words in said.mended.values()]
    counts = [f"{len(wrong)} to look at"] * bool(wrong) + [f"{len(mended)} mended"] * bool(mended)
    more = f"More: {url}" if url else "More: `deployer status`, `deployer doctor`"
    return f"{repo}: {', '.join(counts)}", "\n".join([*_some(wrong), *_some(mended), "", more])


def _some(lines: Sequence[str]) -> list[str]:
    rest = len(lines) - MOST
    return [*lines[:MOST], *([f"- and {counted(rest, 'more line')}"] * (rest > 0))]


def _plain(words: str) -> str:
    """Return a student's words fit for a chat: they call nobody, and are not endless."""
    quiet = re.sub(r"([@<])(?=\S)", "\\1\u200b", words)
    return quiet if len(quiet) <= LONGEST else f"{quiet[: LONGEST - 1]}…"
