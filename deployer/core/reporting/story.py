"""Tell what became of a delivery or a commit, in order.

Pure: what was heard and what was deployed go in, one line for each thing that happened comes out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from deployer.core.model import Deployment, Heard, State, Trigger


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; `deployment`: in which."""

    at: datetime
    words: str
    deployment: int | None = None


def story(
    sha: str | None, heard: Iterable[Heard], deployments: Iterable[Deployment]
) -> tuple[Event, ...]:
    """Return what became of `sha`, oldest first; what has no end yet has none here either.

    `sha`: None: it is about a delivery that named no commit.
    """
    events = [_heard(one) for one in heard]
    for deployment in deployments:
        events += _deployed(deployment)
        events += _said(sha, deployment)
    # The same status may be the last word of two deployments.
    return tuple(sorted(dict.fromkeys(events), key=lambda event: event.at))


def _heard(one: Heard) -> Event:
    if one.delivery is None:
        return Event(one.at, "asked for by hand", one.deployment)
    of = f" of {one.sha[:7]}" if one.sha else ""
    by = f" by {one.by}" if one.by else ""
    taken = "accepted" if one.trigger else f"ignored: {one.reason}"
    return Event(one.at, f"{one.event}{of}{by}, delivery {one.delivery}, {taken}", one.deployment)


def _deployed(one: Deployment) -> Iterator[Event]:
    found = ", found by the poll" if one.trigger is Trigger.POLL else ""
    yield Event(one.queued_at, f"queued{found}", one.id)
    if one.started_at:
        before = f", after {one.base_sha[:7]}" if one.base_sha else ""
        yield Event(one.started_at, f"begun with tip {one.sha[:7]}{before}", one.id)
    for step in one.steps:
        detail = f": {step.detail}" if step.detail else ""
        yield Event(step.finished_at, f"{step.name} {step.state}{detail}", one.id)
    if one.waits_for and one.state is State.QUEUED:
        yield Event(one.queued_at, f"waits for {one.waits_for}", one.id)
    if running := one.running:
        words = f": {running.words}" if running.words else ""
        yield Event(running.since, f"{running.step} began{words}", one.id)
    if one.finished_at:
        reason = f": {one.reason}" if one.reason else ""
        yield Event(one.finished_at, f"{one.state}{reason}", one.id)


def _said(sha: str | None, one: Deployment) -> Iterator[Event]:
    for record in one.statuses:
        status = record.status
        if status.sha == sha and record.posted_at:
            words = f"GitHub told: {status.context} {status.state}: {status.description}"
            yield Event(record.posted_at, words)
