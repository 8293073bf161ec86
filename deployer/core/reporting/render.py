"""The JSON of a deployment that the API, the command line and the demo show.

Pure. The keys and their order are the contract's; whatever else a deployment holds stays inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from deployer.core.model import (
    Deployment,
    Freeze,
    ParseError,
    Plan,
    RequirementsDiff,
    Running,
    StatusRecord,
    StepRecord,
    Verdict,
    folder_of,
)

Json: TypeAlias = dict[str, object]

_KEYS: Final[Mapping[type, str]] = {
    Deployment: (
        "id sha base_sha ref trigger state queued_at started_at finished_at covers plan running"
        " waits_for steps verdicts statuses"
    ),
    Plan: "dag_files deleted requirements recreate",
    RequirementsDiff: "added removed changed",
    Running: "step since words",
    StepRecord: "name state started_at finished_at detail",
    ParseError: "type message line trace",
    Freeze: "why by since until",
}
"""The attributes that are shown of each value, which are its keys as well."""


def as_json(deployment: Deployment) -> Json:
    """Return `deployment` as the contract's JSON object, ready for `json.dumps`."""
    return _picked(deployment, _KEYS[Deployment])


def verdict_as_json(verdict: Verdict) -> Json:
    """Return one verdict as the contract's JSON object; `deployer check` shows it alone."""
    return {
        "path": verdict.path,
        "folder": folder_of(verdict.path),
        **_picked(verdict, "outcome dag_ids error proof"),
        "waited_s": round(verdict.waited_s, 3),
        **({"warnings": list(verdict.warnings)} if verdict.warnings else {}),
    }


def freeze_as_json(freeze: Freeze) -> Json:
    """Return who froze deployments, and why, as `deployer status --json` shows it."""
    return _picked(freeze, _KEYS[Freeze])


def timestamp(at: datetime) -> str:
    """Return RFC 3339 in UTC, to the millisecond: `2026-03-01T09:15:00.250Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _picked(value: object, keys: str) -> Json:
    return {key: _shown(getattr(value, key)) for key in keys.split()}


def _shown(value: object) -> object:
    """Return an attribute as JSON has it; what is none of these is there already."""
    match value:
        case datetime():
            return timestamp(value)
        case tuple():
            return [_shown(one) for one in value]
        case Verdict():
            return verdict_as_json(value)
        case StatusRecord():
            keys = "target_url posted_at attempts error"
            return _picked(value.status, "sha context state description") | _picked(value, keys)
        case _:
            keys = _KEYS.get(type(value), "")
            return _picked(value, keys) if keys else value
