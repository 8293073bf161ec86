"""The JSON of a deployment that the API, the command line and the demo show.

Pure. The keys and their order are the contract's; whatever else a deployment holds stays inside.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeAlias

from deployer.core.model import (
    Deployment,
    Freeze,
    Plan,
    Running,
    StatusRecord,
    StepRecord,
    Verdict,
    folder_of,
)

Json: TypeAlias = dict[str, object]


def as_json(deployment: Deployment) -> Json:
    """Return `deployment` as the contract's JSON object, ready for `json.dumps`."""
    return {
        "id": deployment.id,
        "sha": deployment.sha,
        "base_sha": deployment.base_sha,
        "ref": deployment.ref,
        "trigger": deployment.trigger.value,
        "state": deployment.state.value,
        "queued_at": timestamp(deployment.queued_at),
        "started_at": _optional(deployment.started_at),
        "finished_at": _optional(deployment.finished_at),
        "covers": list(deployment.covers),
        "plan": _plan(deployment.plan),
        "running": _running(deployment.running),
        "waits_for": deployment.waits_for,
        "steps": [_step(step) for step in deployment.steps],
        "verdicts": [verdict_as_json(verdict) for verdict in deployment.verdicts],
        "statuses": [_status(record) for record in deployment.statuses],
    }


def verdict_as_json(verdict: Verdict) -> Json:
    """Return one verdict as the contract's JSON object; `deployer check` shows it alone."""
    error = verdict.error
    return {
        "path": verdict.path,
        "folder": folder_of(verdict.path),
        "outcome": verdict.outcome.value,
        "dag_ids": list(verdict.dag_ids),
        "error": error
        and {
            "type": error.type,
            "message": error.message,
            "line": error.line,
            "trace": error.trace,
        },
        "proof": verdict.proof.value,
        "waited_s": round(verdict.waited_s, 3),
        **({"warnings": list(verdict.warnings)} if verdict.warnings else {}),
    }


def freeze_as_json(freeze: Freeze) -> Json:
    """Return who froze deployments, and why, as `deployer status --json` shows it."""
    return {
        "why": freeze.why,
        "by": freeze.by,
        "since": timestamp(freeze.since),
        "until": _optional(freeze.until),
    }


def timestamp(at: datetime) -> str:
    """Return RFC 3339 in UTC, to the millisecond: `2026-03-01T09:15:00.250Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _optional(at: datetime | None) -> str | None:
    return None if at is None else timestamp(at)


def _plan(plan: Plan) -> Json:
    return {
        "dag_files": list(plan.dag_files),
        "deleted": list(plan.deleted),
        "requirements": {
            "added": list(plan.requirements.added),
            "removed": list(plan.requirements.removed),
            "changed": list(plan.requirements.changed),
        },
        "recreate": list(plan.recreate),
    }


def _running(running: Running | None) -> Json | None:
    if running is None:
        return None
    return {"step": running.step.value, "since": timestamp(running.since), "words": running.words}


def _step(step: StepRecord) -> Json:
    return {
        "name": step.name.value,
        "state": step.state,
        "started_at": timestamp(step.started_at),
        "finished_at": timestamp(step.finished_at),
        "detail": step.detail,
    }


def _status(record: StatusRecord) -> Json:
    status = record.status
    return {
        "sha": status.sha,
        "context": status.context,
        "state": status.state.value,
        "description": status.description,
        "target_url": record.target_url,
        "posted_at": _optional(record.posted_at),
        "attempts": record.attempts,
        "error": record.error,
    }
