"""JSON as GitHub writes it.

The shapes of REST answers are checked against openapi.json as they are given. The
push payload's are of https://docs.github.com/webhooks/webhook-events-and-payloads#push
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from deployer.demo.github.repository import NO_COMMIT, Commit, Person
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
    pusher: str | None


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


def repository(base: str, full_name: str) -> Json:
    owner, _, name = full_name.partition("/")
    return {
        "id": REPOSITORY_ID,
        "node_id": "MDEwOlJlcG9zaXRvcnkxMjk2MjY5",
        "name": name,
        "full_name": full_name,
        "owner": user(base, owner),
        "private": False,
        "html_url": f"{base}/{full_name}",
        "description": None,
        "fork": False,
        "url": f"{base}/repos/{full_name}",
        "clone_url": f"{base}/{full_name}.git",
        "default_branch": "main",
    }


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


def push_payload(
    base: str,
    full_name: str,
    push: Push,
    *,
    commits: Sequence[Commit],
    head: Commit | None,
    forced: bool,
    base_ref: str | None,
) -> Json:
    """Build the payload of a `push` event; `commits` oldest first."""
    owner = full_name.partition("/")[0]
    pusher = push.pusher or (login(head.committer.name) if head else owner)
    web = f"{base}/{full_name}"
    span = f"{push.before[:12]}...{push.after[:12]}"
    return {
        "ref": push.ref,
        "before": push.before,
        "after": push.after,
        "repository": repository(base, full_name),
        "pusher": {"name": pusher, "email": f"{pusher}@users.noreply.github.com"},
        "sender": user(base, pusher),
        "created": push.before == NO_COMMIT,
        "deleted": push.after == NO_COMMIT,
        "forced": forced,
        "base_ref": base_ref,
        "compare": f"{web}/compare/{span}",
        "commits": [_commit(web, commit) for commit in commits],
        "head_commit": _commit(web, head) if head else None,
    }


def _commit(web: str, commit: Commit) -> Json:
    return {
        "id": commit.sha,
        "tree_id": commit.tree,
        "distinct": True,
        "message": commit.message,
        "timestamp": commit.committed_at,
        "url": f"{web}/commit/{commit.sha}",
        "author": _person(commit.author),
        "committer": _person(commit.committer),
        "added": list(commit.added),
        "removed": list(commit.removed),
        "modified": list(commit.modified),
    }


def _person(person: Person) -> Json:
    return {"name": person.name, "email": person.email, "username": login(person.name)}


def timestamp(moment: datetime) -> str:
    """Write a moment as GitHub does: UTC, whole seconds, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
