"""What GitHub was told of the branch's commits, as a journal that was lost would know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deployer.core.model import StatusRecord, StatusState
from deployer.core.reporting.contexts import DEPLOY
from deployer.core.reporting.status import Commit, pending

_ENDS = {StatusState.SUCCESS, StatusState.FAILURE}


@dataclass(frozen=True, slots=True)
class Remembered:
    """One commit that a push named as the tip.

    Attributes:
        before: the one named before it, None: not known.
        records: the last of each context.
        is_open: it waits for an end, and gets one by the next deployment.
    """

    sha: str
    before: str | None
    records: tuple[StatusRecord, ...]
    is_open: bool


def rebuilt(told: Mapping[str, Sequence[StatusRecord]]) -> tuple[Remembered, ...]:
    """Return the commits that have statuses of ours, oldest first.

    `told`: all statuses of each commit, newest first, the commits too. An `error` is no end: it
    is tried again on its own.
    """
    found: list[Remembered] = []
    for sha, records in reversed(list(told.items())):
        last: dict[str, StatusRecord] = {}
        for record in records:
            last.setdefault(record.status.context.lower(), record)
        ours = {context: one for context, one in last.items() if context.startswith("airflow/")}
        if DEPLOY not in ours:
            continue
        is_open = ours[DEPLOY].status.state not in _ENDS or any(
            one.status.state is StatusState.PENDING for one in ours.values()
        )
        if is_open and ours[DEPLOY].status.state in _ENDS:
            # A folder waits: the commit is told whole. Its `pending` would come too late.
            ours[DEPLOY] = replace(ours[DEPLOY], status=pending(Commit(sha))[0])
        before = found[-1].sha if found else None
        found.append(Remembered(sha, before, tuple(ours.values()), is_open))
    return tuple(found)
