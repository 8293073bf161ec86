"""Smart HTTP for git clients, and the push event that follows a push."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, abort, request

from deployer.demo.github.contract import Json
from deployer.demo.github.parts import Parts
from deployer.demo.github.repository import NO_COMMIT

_HEADS = "refs/heads/"
_REPOSITORY_ID = 1296269


@dataclass(frozen=True, slots=True)
class Push:
    """What one push did to one ref; `before` or `after` is all zeros where there was none."""

    ref: str
    before: str
    after: str
    pusher: str | None = None


def git(parts: Parts) -> Blueprint:
    blueprint = Blueprint("git", __name__)
    one_push_at_a_time = threading.Lock()

    @blueprint.route("/<owner>/<name>.git/<path:service>", methods=["GET", "POST"])
    def serve(owner: str, name: str, service: str) -> Response:
        if not parts.is_here(owner, name):
            abort(404)
        if service != "git-receive-pack":
            return parts.repository.serve(request, service)
        # The refs before and after tell what this push did, and only this one.
        with one_push_at_a_time:
            before = parts.repository.refs()
            answer = parts.repository.serve(request, service)
            after = parts.repository.refs()
        user = request.authorization.username if request.authorization else None
        for push in _pushes(before, after, pusher=user):
            announce(parts, push)
        return answer

    return blueprint


def _pushes(
    before: Mapping[str, str], after: Mapping[str, str], *, pusher: str | None
) -> Iterator[Push]:
    """Yield what happened to each branch; nobody here listens to tags."""
    moved = sorted(ref for ref in before.keys() | after.keys() if before.get(ref) != after.get(ref))
    for ref in moved:
        if ref.startswith(_HEADS):
            yield Push(ref, before.get(ref, NO_COMMIT), after.get(ref, NO_COMMIT), pusher)


def announce(parts: Parts, push: Push) -> None:
    """Have `push` delivered: of GitHub's payload, what one reads who asks git for the rest.

    A whole one is in `tests/unit/test_webhook.py`
    (https://docs.github.com/webhooks/webhook-events-and-payloads#push).
    """
    repository, owner = parts.repository, parts.full_name.partition("/")[0]
    created, deleted = push.before == NO_COMMIT, push.after == NO_COMMIT

    def payload() -> Json:
        author = "" if deleted else repository.commits(push.after, most=1)[0].author
        moved = not created and not deleted
        return {
            "ref": push.ref,
            "before": push.before,
            "after": push.after,
            "repository": {"id": _REPOSITORY_ID, "full_name": parts.full_name},
            "pusher": {"name": push.pusher or _login(author) or owner},
            "created": created,
            "deleted": deleted,
            "forced": moved and not repository.is_ancestor(push.before, push.after),
        }

    parts.webhook.send("push", payload)


def _login(name: str) -> str:
    """Return what a person of that name might be called on GitHub."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
