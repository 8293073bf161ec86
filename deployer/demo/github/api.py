"""The REST API: commit statuses, held against GitHub's description."""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, TypeAlias

from flask import Blueprint, request
from werkzeug.exceptions import BadRequest, ClientDisconnected

from deployer.demo.github.contract import (
    API_VERSIONS,
    Contract,
    ContractBroken,
    Json,
    Operation,
    header_mistakes,
)
from deployer.demo.github.parts import Parts, base_url, error
from deployer.demo.github.statuses import PostedStatus

LENGTHS = {"description": 140, "context": 255}
"""What GitHub takes of each text of a status, in characters."""


Answer: TypeAlias = tuple[Json | list[Json], int, dict[str, str]]
"""Body, status and headers, as Flask takes them of a view."""


def _no(status: int, message: str, *errors: Json) -> Answer:
    return error(status, message, errors), status, {}


def _invalid_status(message: str, **more: str) -> Answer:
    why = {"resource": "Status", "code": "custom", "message": message} | more
    return _no(422, "Validation Failed", why)


def _refused_text(body: Json) -> Answer | None:
    for name, most in LENGTHS.items():
        text = body.get(name) or ""
        if len(text) > most:
            why = f"{name} is too long (maximum is {most} characters)"
            return _invalid_status(why, field=name)
        # https://github.com/ouzi-dev/commit-status-updater/issues/526
        if any(letter > "\uffff" for letter in text):
            return _invalid_status(f"{name} doesn't accept 4-byte Unicode", field=name)
    return None


class Api:
    """GitHub's answers to the requests that the deployer makes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._contract = Contract()

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("api", __name__)
        for method, path, answer, anonymous in (
            ("post", "/repos/{owner}/{repo}/statuses/{sha}", self.create_status, False),
            ("get", "/repos/{owner}/{repo}/commits/{ref}/statuses", self.list_statuses, True),
        ):
            operation = self._contract.operation(method, path)
            blueprint.add_url_rule(
                # A ref may have slashes (GitHub's x-multi-segment).
                path.replace("{ref}", "<path:ref>").replace("{", "<").replace("}", ">"),
                endpoint=answer.__name__,
                view_func=self._view(operation, answer, anonymous=anonymous),
                methods=[method.upper()],
            )
        return blueprint

    # -- the operations

    def create_status(self, path: Mapping[str, str], body: Json) -> Answer:
        sha, url = path["sha"], body.get("target_url")
        if not re.fullmatch(r"[0-9a-f]{40}", sha):
            return _no(422, "sha must be a 40 character SHA1")
        if self._parts.repository.commit_of(sha) is None:
            return _no(422, f"No commit found for SHA: {sha}")
        if (refused := _refused_text(body)) is not None:
            return refused
        if url and not url.startswith(("http://", "https://")):
            return _invalid_status("Target url must use http(s) scheme", field="target_url")
        status = self._parts.statuses.add(
            sha,
            context=body.get("context", "default"),
            state=body["state"],
            description=body.get("description"),
            target_url=url,
        )
        if status is None:
            return _invalid_status(
                "This SHA and context has reached the maximum number of statuses."
            )
        shown = _shown(base_url(), self._parts.full_name, status)
        return shown, 201, {"Location": shown["url"]}

    def list_statuses(self, path: Mapping[str, str], _body: Json) -> Answer:
        sha = self._parts.repository.commit_of(path["ref"])
        if sha is None:
            return _no(404, "Not Found")
        newest_first = self._parts.statuses.of(sha)[::-1]
        per_page = max(1, min(request.args.get("per_page", 30, int), 100))
        start = (request.args.get("page", 1, int) - 1) * per_page
        page = newest_first[start : start + per_page]
        name = self._parts.full_name
        return [_shown(base_url(), name, status) for status in page], 200, {}

    # -- around them

    def _view(
        self,
        operation: Operation,
        answer: Callable[[Mapping[str, str], Json], Answer],
        *,
        anonymous: bool,
    ) -> Callable[..., Answer]:
        def view(**path: str) -> Answer:
            body, refused = self._read(operation, path, anonymous=anonymous)
            said, status, headers = refused or answer(path, body)
            try:
                self._contract.check_answer(operation, status, said)
            except ContractBroken as exc:
                self._parts.violations.append(str(exc))
                raise
            return said, status, headers

        return view

    def _read(
        self, operation: Operation, path: Mapping[str, str], *, anonymous: bool
    ) -> tuple[Any, Answer | None]:
        """Check a request; return its JSON body and, if it is refused, the answer."""
        for mistake in header_mistakes(request.headers):
            self._parts.violations.append(f"{operation}: {mistake}")
        refused = self._refused_by_headers(anonymous=anonymous)
        if refused is not None:
            return None, refused
        if not self._parts.is_here(path["owner"], path["repo"]):
            return None, _no(404, "Not Found")
        try:
            # GitHub reads the body as JSON whatever content type it comes under.
            body = request.get_json(force=True) if request.get_data() else {}
        except ClientDisconnected:  # half a request is the network's fault
            return None, _no(400, "Problems parsing JSON")
        except BadRequest:
            self._parts.violations.append(f"{operation}: the body is not JSON")
            return None, _no(400, "Problems parsing JSON")
        mistakes = self._contract.parameter_mistakes(operation, path, request.args)
        mistakes += self._contract.body_mistakes(operation, body)
        for mistake in mistakes:
            self._parts.violations.append(f"{operation}: {mistake}")
        if mistakes:
            return None, _no(422, "Invalid request.\n\n" + "\n".join(mistakes))
        return body, None

    def _refused_by_headers(self, *, anonymous: bool) -> Answer | None:
        if not request.headers.get("User-Agent"):
            return _no(403, "Request forbidden by administrative rules. Set a User-Agent header")
        if request.headers.get("X-GitHub-Api-Version", "2022-11-28") not in API_VERSIONS:
            return _no(400, "This API version is not supported")
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if not given:
            return None if anonymous else _no(401, "Requires authentication")
        right = hmac.compare_digest(given.encode(), self._parts.token.encode())
        if scheme.lower() not in {"bearer", "token"} or not right:
            return _no(401, "Bad credentials")
        return None


def _shown(base: str, full_name: str, status: PostedStatus) -> Json:
    at = status.received_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
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
        "creator": None,  # an account that is gone; nobody here asks who posted it
    }
