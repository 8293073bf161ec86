"""Choose what a rollback goes back to. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.core.model import Deployment, State


def earlier(deployments: Sequence[Deployment], live: str | None, asked: str | None) -> str | None:
    """Return the commit to go back to; None: there is none.

    Args:
        deployments: newest first.
        live: the commit that is live, None: not known, then the newest good one is taken.
        asked: the commit's id or its beginning, in lower case; None: the last good one before
            `live`.
    """
    if asked:
        was_live = {State.SUCCEEDED, State.BROKEN}
        found = {d.sha for d in deployments if d.state in was_live and d.sha.startswith(asked)}
        return found.pop() if len(found) == 1 else None
    good = {d.sha for d in deployments if d.state is State.SUCCEEDED}
    # The oldest of its deployments: a rollback made what is live newer than what it replaced.
    of_live = [d.id for d in deployments if d.sha == live]
    older = [d.sha for d in deployments if not of_live or d.id < of_live[-1]]
    return next((sha for sha in older if sha in good), None)
