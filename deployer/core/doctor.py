"""What `deployer doctor` decides: a line, what a compose file must hold, what GitHub was told.

The operator's compose file alone is used, never the class repository's: a compose file decides what
runs on the VM, and with which rights, so a push must not be able to change it.

Pure: the probes of `deployer.doctor` look at the world.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, Final

from deployer.core.model import StatusRecord, StatusState
from deployer.core.reporting.commit_status import Commit, pending
from deployer.core.reporting.contexts import DEPLOY
from deployer.core.stack import MOUNTED_AT, PIP_AT_START, Mount, Service, Stack
from deployer.errors import DeployerError

GRACE_S: Final = 60.0
"""A task that runs when the scheduler is stopped needs about this long to end by itself."""
_ENDS = {StatusState.SUCCESS, StatusState.FAILURE}


class Mark(StrEnum):
    """How one line of the check-up ended; `skipped` hinders nothing."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line.

    Attributes:
        name: what was looked at; stable, for scripts.
        detail: what was found, in one sentence; why not, if it was skipped.
        remedy: what to do, only if it failed.
        reached: False: it failed because what was asked gave no answer.
    """

    name: str
    state: Mark
    detail: str
    remedy: str = ""
    reached: bool = True


class Ailment(DeployerError):
    """Something is not as a deployment needs it.

    Attributes:
        detail: what is wrong.
        remedy: what the operator does about it.
    """

    def __init__(self, detail: str, remedy: str) -> None:
        self.detail = detail
        self.remedy = remedy
        super().__init__(f"{detail}: {remedy}")


class NotApplicable(DeployerError):
    """There is nothing to look at; the message says why."""


def failed(findings: Sequence[Finding]) -> bool:
    """Tell whether anything has to be mended."""
    return any(finding.state is Mark.FAILED for finding in findings)


def unreached(findings: Sequence[Finding]) -> bool:
    """Tell whether all that failed did so because what was asked gave no answer."""
    bad = [finding for finding in findings if finding.state is Mark.FAILED]
    return bool(bad) and not any(finding.reached for finding in bad)


def summary(findings: Sequence[Finding]) -> str:
    """Return how many lines ended how, e.g. `18 passed, 1 failed, 2 skipped`."""
    counts = {mark: sum(finding.state is mark for finding in findings) for mark in Mark}
    return ", ".join(f"{counts[mark]} {mark}" for mark in Mark if counts[mark])


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the form that `doctor --json` promises.

    `{"passed": bool, "checks": [{"name", "state", "passed", "detail", "remedy"}]}`: `state` is
    one of Mark's words, `passed` is false only where something has to be mended, and `remedy`
    is null where nothing has.
    """
    checks = [
        {
            "name": one.name,
            "state": one.state,
            "passed": one.state is not Mark.FAILED,
            "detail": one.detail,
            "remedy": one.remedy or None,
        }
        for one in findings
    ]
    return {"passed": not failed(findings), "checks": checks}


# -- the operator's compose file, for a rollout to be safe


def packages(stack: Stack, needed: Sequence[str]) -> str:
    """Tell by which way packages come into the services that are recreated.

    Raises:
        ServicesError: one of `needed` is not in the file, or packages could not be moved: the
            worker would not start.
    """
    stack.require(needed)
    if stack.built(needed) is None:
        return f"plain way: containers install {PIP_AT_START} at start"
    return "image way: an image is built when requirements move"


def stopping(stack: Stack) -> str:
    """Tell whether a task that runs when the scheduler is stopped may end by itself.

    Raises:
        Ailment: it would be killed, or run twice.
    """
    schedulers = {name: s for name, s in stack.services.items() if _is_scheduler(name, s)}
    if not schedulers:
        raise Ailment(
            "no service is Airflow's scheduler, by its name or its command",
            "name it airflow-scheduler, as the docker-compose.yaml of the deployer does",
        )
    wrong = []
    for name, scheduler in schedulers.items():
        if scheduler.stop_grace_s < GRACE_S:
            wrong.append(f"{name} is killed {scheduler.stop_grace_s:g} s after it was told to stop")
        if scheduler.environment.get("DUMB_INIT_SETSID") != "0":
            wrong.append(f"{name} passes the signal on to running tasks (no DUMB_INIT_SETSID=0)")
    if wrong:
        raise Ailment(
            "; ".join(wrong),
            f'give it `stop_grace_period: {GRACE_S:g}s` or more and DUMB_INIT_SETSID: "0"',
        )
    return (
        f"running tasks have {GRACE_S:g} s or more to end when {', '.join(schedulers)} is stopped"
    )


def checkout(stack: Stack, needed: Collection[str], directory: str) -> str:
    """Tell whether Airflow sees the releases, and nobody can write them.

    `directory`: CHECKOUT_DIR, absolute.

    Raises:
        Ailment
    """
    wrong = []
    for name, service in stack.services.items():
        wrong += [
            f"{name} may write {mount.source}"
            for mount in service.mounts
            if mount.bind and _overlaps(mount.source, directory) and not mount.read_only
        ]
        if name in needed:
            wrong += [f"{name} {what}" for what in _not_there(service.mounts, directory)]
    if wrong:
        raise Ailment(
            "; ".join(wrong),
            f"mount {directory}:{MOUNTED_AT}:ro in each service of Airflow (the deployer's own"
            " docker-compose.yaml takes it from CLASS_CHECKOUT_DIR) and in no other way",
        )
    return f"{directory} is mounted read-only at {MOUNTED_AT}"


def _is_scheduler(name: str, service: Service) -> bool:
    return name.endswith("scheduler") or "scheduler" in service.command


def _overlaps(one: str, other: str) -> bool:
    source, ours = PurePosixPath(one), PurePosixPath(other)
    return source.is_relative_to(ours) or ours.is_relative_to(source)


def _not_there(mounts: Collection[Mount], directory: str) -> Iterator[str]:
    here = [mount for mount in mounts if mount.target == MOUNTED_AT]
    if not here:
        yield f"has nothing at {MOUNTED_AT}"
    for mount in here:
        if PurePosixPath(mount.source) != PurePosixPath(directory):
            yield f"has {mount.source} at {MOUNTED_AT}, not {directory}"


# -- what GitHub was told of the branch's commits, as a journal that was lost would know it


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
