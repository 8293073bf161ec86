"""JSON as GitHub writes it.

The shapes of REST answers are checked against openapi.json as they are given. The push payload is
what one reads who asks git for the rest; all that GitHub sends is in `tests/unit/test_webhook.py`
(https://docs.github.com/webhooks/webhook-events-and-payloads#push).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployer.demo.github.repository import NO_COMMIT
from deployer.demo.github.statuses import PostedStatus

Json = dict[str, Any]

DOCUMENTATION = "https://docs.github.com/rest"
REPOSITORY_ID = 1296269

_USER_URLS = {
    "url": "",
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}


@dataclass(frozen=True, slots=True)
class Push:
    """What one push did to one ref; `before` or `after` is all zeros where there was none."""

    ref: str
    before: str
    after: str
    pusher: str | None = None


def login(name: str) -> str:
    """Return what a person of that name might be called on GitHub."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "somebody"


def user(base: str, name: str) -> Json:
    return {
        "login": name,
        "id": 1,
        "node_id": "MDQ6VXNlcjE=",
        "avatar_url": f"{base}/avatar",
        "gravatar_id": "",
        "html_url": f"{base}/{name}",
        "type": "User",
        "site_admin": False,
    } | {key: f"{base}/users/{name}{end}" for key, end in _USER_URLS.items()}


def status(base: str, full_name: str, status: PostedStatus) -> Json:
    at = timestamp(status.received_at)
    return {
        "url": f"{base}/repos/{full_name}/statuses/{status.sha}",
        "avatar_url": f"{base}/avatar",
        "id": status.id,
        "node_id": f"SC_{status.id}",
        "state": status.state,
        "description": status.description,
        "target_url": status.target_url,
        "context": status.context,
        "created_at": at,
        "updated_at": at,
        "creator": user(base, "deployer"),
    }


def error(status: int, message: str, errors: Sequence[Json] = ()) -> Json:
    said: Json = {"message": message, "documentation_url": DOCUMENTATION, "status": str(status)}
    return said | ({"errors": list(errors)} if errors else {})


def push_payload(full_name: str, push: Push, *, pusher: str, forced: bool) -> Json:
    """Build the payload of a `push` event."""
    return {
        "ref": push.ref,
        "before": push.before,
        "after": push.after,
        "repository": {"id": REPOSITORY_ID, "full_name": full_name},
        "pusher": {"name": pusher},
        "created": push.before == NO_COMMIT,
        "deleted": push.after == NO_COMMIT,
        "forced": forced,
    }


def timestamp(moment: datetime) -> str:
    """Write a moment as GitHub does: UTC, whole seconds, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
