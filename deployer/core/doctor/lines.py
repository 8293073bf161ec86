"""What `deployer doctor` found: one finding a line, what to do, and the exit status.

Pure: the probes of `deployer.doctor` look at the world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from deployer.errors import DeployerError


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
    """

    name: str
    state: Mark
    detail: str
    remedy: str = ""


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
        asdict(one) | {"passed": one.state is not Mark.FAILED, "remedy": one.remedy or None}
        for one in findings
    ]
    return {"passed": not failed(findings), "checks": checks}
