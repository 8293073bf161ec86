"""Wait for what a commit shows in the end."""

from __future__ import annotations

from deployer.demo.stage import Stage
from deployer.demo.student import Push

BOUND_S = 120.0
ENDS = frozenset({"success", "failure", "error"})


def verdicts(
    stage: Stage, push: Push, *folders: str, bound_s: float = BOUND_S
) -> dict[str, tuple[str, str]]:
    """Return state and description by context, once `airflow/deploy` and `folders` have ended."""
    for context in ("airflow/deploy", *(f"airflow/{folder}" for folder in folders)):
        stage.hub.wait_for_status(push.sha, context, ENDS, bound_s)
    return shown(stage, push.sha)


def shown(stage: Stage, sha: str) -> dict[str, tuple[str, str]]:
    """Return the latest state and description of each context."""
    return {s.context: (s.state, s.description or "") for s in stage.hub.statuses(sha)}
