"""Commit statuses as GitHub keeps them: posted and listed over REST, and waited for.

What GitHub would refuse is refused here in its words.
"""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, abort, request
from werkzeug.exceptions import BadRequest

from deployer.demo.github.git import BareRepository

MOST_PER_CONTEXT = 1000
"""GitHub's cap for one commit and context."""


@dataclass(frozen=True, slots=True)
class PostedStatus:
    """One status as it was posted.

    Attributes:
        received_at: when the request had been read.
        received_s: the same moment on `time.monotonic`, to measure from a push to here.
    """

    id: int
    sha: str
    context: str
    state: str
    description: str | None
    target_url: str | None
    received_at: datetime
    received_s: float


class Statuses:
    """All statuses of the repository; safe to use from several threads."""

    def __init__(self) -> None:
        self._posted: dict[str, list[PostedStatus]] = {}
        self._count = 0
        self._changed = threading.Condition()

    def add(
        self,
        sha: str,
        *,
        context: str,
        state: str,
        description: str | None,
        target_url: str | None,
    ) -> PostedStatus | None:
        """Keep a status. None: the cap for its commit and context is reached."""
        with self._changed:
            posted = self._posted.setdefault(sha, [])
            same = [status for status in posted if _same(status.context, context)]
            if len(same) >= MOST_PER_CONTEXT:
                return None
            self._count += 1
            status = PostedStatus(
                id=self._count,
                sha=sha,
                context=context,
                state=state,
                description=description,
                target_url=target_url,
                received_at=datetime.now(UTC),
                received_s=time.monotonic(),
            )
            posted.append(status)
            self._changed.notify_all()
            return status

    def of(self, sha: str) -> tuple[PostedStatus, ...]:
        """Return all statuses of a commit, oldest first."""
        with self._changed:
            return tuple(self._posted.get(sha, ()))

    def latest(self, sha: str) -> tuple[PostedStatus, ...]:
        """Return the newest status of each context, contexts in order of their first status."""
        by_context = {status.context.casefold(): status for status in self.of(sha)}
        return tuple(by_context.values())

    def wait_for(
        self, sha: str, context: str, states: Collection[str], bound_s: float
    ) -> PostedStatus:
        """Return the newest status of `sha` and `context` in one of `states`, once there is one.

        Raises:
            TimeoutError: there was none within `bound_s`; says which there are.
        """
        with self._changed:
            found: PostedStatus | None = self._changed.wait_for(
                lambda: self._find(sha, context, states), bound_s
            )
            if found is not None:
                return found
            seen = [f"{status.context}={status.state}" for status in self._posted.get(sha, ())]
        raise TimeoutError(
            f"no status {context} {'|'.join(states)} on {sha} within {bound_s:g} s; seen: {seen}"
        )

    def _find(self, sha: str, context: str, states: Collection[str]) -> PostedStatus | None:
        matching = (
            status
            for status in reversed(self._posted.get(sha, ()))
            if _same(status.context, context) and status.state in states
        )
        return next(matching, None)


def combined_state(latest: Collection[PostedStatus]) -> str:
    """Return what GitHub makes of the newest status of each context.

    https://docs.github.com/rest/commits/statuses#get-the-combined-status-for-a-specific-reference
    """
    states = {status.state for status in latest}
    if states & {"error", "failure"}:
        return "failure"
    return "success" if states == {"success"} else "pending"


def _same(context: str, other: str) -> bool:
    return context.casefold() == other.casefold()  # GitHub: contexts are case-insensitive


API_VERSIONS = {"2022-11-28", "2026-03-10"}
STATES = ("error", "failure", "pending", "success")
LENGTHS = {"description": 140, "context": 255}
"""What GitHub takes of each text of a status, in characters."""


class Refused(Exception):
    """A request that GitHub would refuse; `errors` say more, as GitHub's do."""

    def __init__(self, status: int, message: str, errors: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, errors


def api(repository: BareRepository, statuses: Statuses, token: str) -> Blueprint:
    """Return GitHub's answers to the requests that the deployer makes.

    `token` is the one that is accepted.
    """
    blueprint = Blueprint("api", __name__)

    @blueprint.post("/repos/<owner>/<name>/statuses/<sha>")
    def create_status(
        owner: str, name: str, sha: str
    ) -> tuple[dict[str, Any], int, dict[str, str]]:
        _let_in(token)
        if not repository.is_called(owner, name):
            abort(404)
        body = _body()
        if not re.fullmatch(r"[0-9a-f]{40}", sha):
            raise Refused(422, "sha must be a 40 character SHA1")
        if repository.commit_of(sha) is None:
            raise Refused(422, f"No commit found for SHA: {sha}")
        _check(body)
        status = statuses.add(
            sha,
            context=body.get("context") or "default",
            state=body["state"],
            description=body.get("description"),
            target_url=body.get("target_url"),
        )
        if status is None:
            raise _invalid("This SHA and context has reached the maximum number of statuses.")
        shown = _shown(repository, status)
        return shown, 201, {"Location": shown["url"]}

    @blueprint.get("/repos/<owner>/<name>/commits/<path:ref>/statuses")
    def list_statuses(owner: str, name: str, ref: str) -> list[dict[str, Any]]:
        _let_in(token)
        sha = repository.commit_of(ref) if repository.is_called(owner, name) else None
        if sha is None:
            abort(404)
        per_page = max(1, min(request.args.get("per_page", 30, int), 100))
        start = (request.args.get("page", 1, int) - 1) * per_page
        newest_first = statuses.of(sha)[::-1]
        return [_shown(repository, one) for one in newest_first[start : start + per_page]]

    @blueprint.errorhandler(Refused)
    def refuse(refused: Refused) -> tuple[dict[str, Any], int]:
        return error(refused.status, refused.message, refused.errors), refused.status

    return blueprint


def error(status: int, message: str, errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """Return the body of an answer that refuses."""
    said = {
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    }
    return said | ({"errors": list(errors)} if errors else {})


def _let_in(token: str) -> None:
    if not request.headers.get("User-Agent"):
        raise Refused(403, "Request forbidden by administrative rules. Set a User-Agent header")
    if request.headers.get("X-GitHub-Api-Version", "2022-11-28") not in API_VERSIONS:
        raise Refused(400, "This API version is not supported")
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if not given:
        raise Refused(401, "Requires authentication")
    right = hmac.compare_digest(given.encode(), token.encode())
    if scheme.lower() not in {"bearer", "token"} or not right:
        raise Refused(401, "Bad credentials")


def _body() -> dict[str, Any]:
    try:
        # GitHub reads it as JSON whatever content type it comes under.
        body = request.get_json(force=True) if request.get_data() else {}
    except BadRequest as exc:  # half a request is one, too
        raise Refused(400, "Problems parsing JSON") from exc
    if not isinstance(body, dict):
        raise Refused(400, "Body should be a JSON object")
    return body


def _check(body: Mapping[str, Any]) -> None:
    if body.get("state") not in STATES:
        raise _invalid("state is not included in the list", field="state")
    for name, most in LENGTHS.items():
        text = body.get(name) or ""
        if not isinstance(text, str):
            raise _invalid(f"{name} is not a string", field=name)
        if len(text) > most:
            raise _invalid(f"{name} is too long (maximum is {most} characters)", field=name)
        # https://github.com/ouzi-dev/commit-status-updater/issues/526
        if any(letter > "\uffff" for letter in text):
            raise _invalid(f"{name} doesn't accept 4-byte Unicode", field=name)
    if (url := body.get("target_url")) and not str(url).startswith(("http://", "https://")):
        raise _invalid("Target url must use http(s) scheme", field="target_url")


def _invalid(message: str, **more: str) -> Refused:
    why = {"resource": "Status", "code": "custom", "message": message} | more
    return Refused(422, "Validation Failed", [why])


def _shown(repository: BareRepository, status: PostedStatus) -> dict[str, Any]:
    base = request.host_url.rstrip("/")
    at = status.received_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "url": f"{base}/repos/{repository.full_name}/statuses/{status.sha}",
        "avatar_url": f"{base}/avatar",
        "id": status.id,
        "node_id": f"SC_{status.id}",
        "state": status.state,
        "description": status.description,
        "target_url": status.target_url,
        "context": status.context,
        "created_at": at,
        "updated_at": at,
        "creator": None,  # an account that is gone; nobody here asks who posted it
    }
