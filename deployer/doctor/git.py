"""The class repository at its host, and the mirror of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from deployer.core.doctor import Ailment, NotApplicable
from deployer.core.model import COMPOSE_FILE
from deployer.core.stack import drift
from deployer.doctor.world import World
from deployer.errors import GitError, NothingPushed

FETCH: Final = (
    "see DEPLOYER_REPO_URL and DEPLOYER_BRANCH, and that this machine reaches the host (proxy,"
    " firewall, name service); a private repository needs DEPLOYER_GITHUB_TOKEN with `Contents:"
    " read`"
)
OVERLOADED: Final = "see whether its disk is overloaded"


def host(world: World) -> str:
    """Tell whether the branch can be fetched.

    Raises:
        NotApplicable: it is empty.
        GitError
    """
    repository, branch = world.repository, world.settings.branch
    try:
        return f"{repository.host} has {branch}, its tip is {repository.tip_at_host()[:7]}"
    except NothingPushed as exc:
        raise NotApplicable(
            f"{exc}: push the class's repository (`deployer new-class` writes one)"
        ) from exc


def mirror(world: World) -> str:
    """Tell whether the mirror is whole and can be written by this user.

    Raises:
        Ailment, GitError
    """
    own = "run doctor as the worker's user, or give that user the directory (chown -R)"
    repository, branch = world.repository, world.settings.branch
    path = repository.path
    try:
        made = _exists(path / "HEAD")
        above = next(up for up in path.parents if _exists(up))
    except OSError as exc:
        raise Ailment(f"{path} can't be seen by this user: {exc.strerror}", own) from exc
    for part in (path.parent, path, path / "objects", path / "refs") if made else (above,):
        if not os.access(part, os.W_OK | os.X_OK, effective_ids=True):
            raise Ailment(f"{part} can't be written by this user", own)
    if not made:
        return f"there is none yet: the worker's first fetch makes {path}"
    tip = repository.check()
    if tip is None:
        raise Ailment(
            f"{path} is damaged or lacks {branch}",
            "stop the worker, run `deployer doctor --repair`, start it",
        )
    return f"{path} is whole and writable, {branch} is at {tip[:7]}"


def compare_stack(world: World) -> str:
    """Tell whether the repository's compose file is the operator's.

    Raises:
        NotApplicable: there is no mirror yet, or the operator's copy can't be read.
        Ailment: they differ.
    """
    repository, branch, own = world.repository, world.settings.branch, world.own_stack
    try:
        pushed = repository.pushed(COMPOSE_FILE)
        text = own.read_text(encoding="utf-8", errors="replace")
    except GitError as exc:
        raise NotApplicable("can't be told: see mirror") from exc
    except OSError as exc:
        raise NotApplicable("can't be told: see compose file") from exc
    if pushed is None:
        return f"the repository has no {COMPOSE_FILE}"
    if drift(pushed, text):
        raise Ailment(
            f"{COMPOSE_FILE} of {branch} differs from {own}, which stays in use",
            f"look at the difference (git --git-dir={repository.path} show"
            f" {branch}:{COMPOSE_FILE} | diff {own} -); if you want it, copy it to {own}"
            " and run `docker compose up -d`",
        )
    return f"the same as {own}"


def _exists(path: Path) -> bool:
    """Tell whether `path` is there; unlike pathlib's in some versions, raise if that is hidden."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
