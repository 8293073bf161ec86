"""Commit statuses as GitHub keeps them: posted and listed over REST, and waited for.

What GitHub would refuse is refused here in its words.
"""

from __future__ import annotations

import hmac
import re
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any, NoReturn

from flask import Blueprint, abort, make_response, request
from werkzeug.exceptions import BadRequest

from deployer.demo.github.git_over_http import BareRepository

MOST_PER_CONTEXT = 1000
"""GitHub's cap for one commit and context."""


@dataclass(frozen=True, slots=True)
class PostedStatus:
    """One status as it was posted.

    Attributes:
        received_at: when the request had been read.
        received_s: the same moment on `time.monotonic`, to measure from a push to here.
    """

    sha: str
    context: str
    state: str
    description: str | None
    target_url: str | None
    id: int = 0
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    received_s: float = field(default_factory=time.monotonic)

    def is_of(self, context: str) -> bool:
        return self.context.casefold() == context.casefold()  # GitHub's have no case


class Statuses:
    """All statuses of the repository; safe to use from several threads."""

    def __init__(self) -> None:
        self._posted: defaultdict[str, list[PostedStatus]] = defaultdict(list)
        self._ids = count(1)
        self._changed = threading.Condition()

    def add(self, status: PostedStatus) -> PostedStatus | None:
        """Return a status as it is kept; None: the cap for its commit and context is reached."""
        with self._changed:
            posted = self._posted[status.sha]
            if sum(one.is_of(status.context) for one in posted) >= MOST_PER_CONTEXT:
                return None
            posted.append(replace(status, id=next(self._ids)))
            self._changed.notify_all()
            return posted[-1]

    def of(self, sha: str) -> tuple[PostedStatus, ...]:
        """Return all statuses of a commit, oldest first."""
        with self._changed:
            return tuple(self._posted[sha])

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

        def newest() -> PostedStatus | None:
            told = (one for one in reversed(self._posted[sha]) if one.is_of(context))
            return next((one for one in told if one.state in states), None)

        with self._changed:
            found = self._changed.wait_for(newest, bound_s)
            seen = [f"{one.context}={one.state}" for one in self._posted[sha]]
        if found is None:
            missed = f"no status {context} {'|'.join(states)} on {sha}"
            raise TimeoutError(f"{missed} within {bound_s:g} s; seen: {seen}")
        return found


def combined_state(latest: Collection[PostedStatus]) -> str:
    """Return what GitHub makes of the newest status of each context.

    https://docs.github.com/rest/commits/statuses#get-the-combined-status-for-a-specific-reference
    """
    states = {status.state for status in latest}
    if states & {"error", "failure"}:
        return "failure"
    return "success" if states == {"success"} else "pending"


API_VERSIONS = {"2022-11-28", "2026-03-10"}
STATES = ("error", "failure", "pending", "success")
LENGTHS = {"description": 140, "context": 255}
"""What GitHub takes of each text of a status, in characters."""


def api(repository: BareRepository, statuses: Statuses, token: str) -> Blueprint:
    """Return GitHub's answers to the requests that the deployer makes.

    `token` is the one that is accepted.
    """
    blueprint = Blueprint("api", __name__)
    blueprint.before_request(partial(_let_in, token))

    @blueprint.post("/repos/<owner>/<name>/statuses/<sha>")
    def create_status(
        owner: str, name: str, sha: str
    ) -> tuple[dict[str, Any], int, dict[str, str]]:
        if not repository.is_called(owner, name):
            abort(404)
        body = _body()
        if not re.fullmatch(r"[0-9a-f]{40}", sha):
            _refuse(422, "sha must be a 40 character SHA1")
        if repository.commit_of(sha) is None:
            _refuse(422, f"No commit found for SHA: {sha}")
        _check(body)
        posted = PostedStatus(
            sha,
            context=body.get("context") or "default",
            state=body["state"],
            description=body.get("description"),
            target_url=body.get("target_url"),
        )
        status = statuses.add(posted)
        if status is None:
            _invalid("This SHA and context has reached the maximum number of statuses.")
        shown = _shown(repository, status)
        return shown, 201, {"Location": shown["url"]}

    @blueprint.get("/repos/<owner>/<name>/commits/<path:ref>/statuses")
    def list_statuses(owner: str, name: str, ref: str) -> list[dict[str, Any]]:
        sha = repository.commit_of(ref) if repository.is_called(owner, name) else None
        if sha is None:
            abort(404)
        per_page = max(1, min(request.args.get("per_page", 30, int), 100))
        start = (request.args.get("page", 1, int) - 1) * per_page
        newest_first = statuses.of(sha)[::-1]
        return [_shown(repository, one) for one in newest_first[start : start + per_page]]

    return blueprint


def error(status: int, message: str, errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """Return the body of an answer that refuses."""
    said = {
        "message": message,
        "documentation_url": "https://docs.github.com/rest",
        "status": str(status),
    }
    return said | ({"errors": list(errors)} if errors else {})


def _refuse(status: int, message: str, errors: Sequence[Mapping[str, str]] = ()) -> NoReturn:
    abort(make_response(error(status, message, errors), status))


def _let_in(token: str) -> None:
    if not request.headers.get("User-Agent"):
        _refuse(403, "Request forbidden by administrative rules. Set a User-Agent header")
    if request.headers.get("X-GitHub-Api-Version", "2022-11-28") not in API_VERSIONS:
        _refuse(400, "This API version is not supported")
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if not given:
        _refuse(401, "Requires authentication")
    right = hmac.compare_digest(given.encode(), token.encode())
    if scheme.lower() not in {"bearer", "token"} or not right:
        _refuse(401, "Bad credentials")


def _body() -> dict[str, Any]:
    try:
        # GitHub reads it as JSON whatever content type it comes under.
        body = request.get_json(force=True) if request.get_data() else {}
    except BadRequest:  # half a request is one, too
        _refuse(400, "Problems parsing JSON")
    if not isinstance(body, dict):
        _refuse(400, "Body should be a JSON object")
    return body


def _check(body: Mapping[str, Any]) -> None:
    if body.get("state") not in STATES:
        _invalid("state is not included in the list", field="state")
    for name, most in LENGTHS.items():
        text = body.get(name) or ""
        if not isinstance(text, str):
            _invalid(f"{name} is not a string", field=name)
        if len(text) > most:
            _invalid(f"{name} is too long (maximum is {most} characters)", field=name)
        # https://github.com/ouzi-dev/commit-status-updater/issues/526
        if any(letter > "\uffff" for letter in text):
            _invalid(f"{name} doesn't accept 4-byte Unicode", field=name)
    if (url := body.get("target_url")) and not str(url).startswith(("http://", "https://")):
        _invalid("Target url must use http(s) scheme", field="target_url")


def _invalid(message: str, **more: str) -> NoReturn:
    why = {"resource": "Status", "code": "custom", "message": message} | more
    _refuse(422, "Validation Failed", [why])


def _shown(repository: BareRepository, status: PostedStatus) -> dict[str, Any]:
    base = request.host_url.rstrip("/")
    at = f"{status.received_at:%Y-%m-%dT%H:%M:%SZ}"
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
