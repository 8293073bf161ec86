"""Smart HTTP for git clients, and the push event that follows a push."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flask import Blueprint, Response, abort, request

from deployer.demo.github.repository import NO_COMMIT, BareRepository
from deployer.demo.github.webhook import Webhook

_HEADS = "refs/heads/"
_REPOSITORY_ID = 1296269


@dataclass(frozen=True, slots=True)
class Push:
    """What one push did to one ref; `before` or `after` is all zeros where there was none."""

    ref: str
    before: str
    after: str
    pusher: str | None = None


def git(repository: BareRepository, webhook: Webhook) -> Blueprint:
    blueprint = Blueprint("git", __name__)
    one_push_at_a_time = threading.Lock()

    @blueprint.route("/<owner>/<name>.git/<path:service>", methods=["GET", "POST"])
    def serve(owner: str, name: str, service: str) -> Response:
        if not repository.is_called(owner, name):
            abort(404)
        if service != "git-receive-pack":
            return repository.serve(request, service)
        # The refs before and after tell what this push did, and only this one.
        with one_push_at_a_time:
            before = repository.refs()
            answer = repository.serve(request, service)
            after = repository.refs()
        user = request.authorization.username if request.authorization else None
        for push in _pushes(before, after, pusher=user):
            announce(repository, webhook, push)
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


def announce(repository: BareRepository, webhook: Webhook, push: Push) -> None:
    """Have `push` delivered: of GitHub's payload, what one reads who asks git for the rest.

    A whole one is in `tests/unit/test_webhook.py`
    (https://docs.github.com/webhooks/webhook-events-and-payloads#push).
    """
    owner = repository.full_name.partition("/")[0]
    created, deleted = push.before == NO_COMMIT, push.after == NO_COMMIT
    author = "" if deleted else repository.commits(push.after, most=1)[0].author
    moved = not created and not deleted
    webhook.send(
        "push",
        {
            "ref": push.ref,
            "before": push.before,
            "after": push.after,
            "repository": {"id": _REPOSITORY_ID, "full_name": repository.full_name},
            "pusher": {"name": push.pusher or _login(author) or owner},
            "created": created,
            "deleted": deleted,
            "forced": moved and not repository.is_ancestor(push.before, push.after),
        },
    )


def _login(name: str) -> str:
    """Return what a person of that name might be called on GitHub."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
