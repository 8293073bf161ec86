"""`/api/v1`: deployments as JSON."""

from __future__ import annotations

import re

from flask import Blueprint, Response, abort, jsonify, request

from deployer.core.model import Heard, State
from deployer.core.reporting.render import as_json, timestamp
from deployer.ports import Journal

MAX_LIMIT = 100
DEFAULT_LIMIT = 20

FOLDER = re.compile(r"[^/\x00-\x1f\x7f]{1,255}")  # a file name as Linux and a log line bear it
SHA = re.compile(r"[0-9a-f]{40}")


def blueprint(journal: Journal) -> Blueprint:
    routes = Blueprint("api", __name__, url_prefix="/api/v1")

    @routes.get("/deployments")
    def deployments() -> Response:
        found = journal.deployments(limit=_limit(), folder=_folder(), state=_state())
        return jsonify({"deployments": [as_json(deployment) for deployment in found]})

    @routes.get("/deployments/<int:number>")
    def deployment(number: int) -> Response:
        found = journal.deployment(number)
        if found is None:
            abort(404, f"there is no deployment {number}")
        return jsonify(as_json(found))

    @routes.get("/commits/<sha>")
    def commit(sha: str) -> Response:
        if not SHA.fullmatch(sha):
            abort(400, "a commit is named by its full id, 40 lowercase hex digits")
        found = journal.judging(sha)
        if found is None:
            named = waiting(journal, sha)
            if named is None:
                abort(404, f"commit {sha} is not known yet")
            at = timestamp(named.at)
            abort(404, f"a push named commit {sha} at {at}; it waits for the worker")
        return jsonify(as_json(found))

    return routes


def waiting(journal: Journal, sha: str) -> Heard | None:
    """Return the first push that named a commit which the worker has not taken in yet."""
    return next((one for one in journal.heard(sha) if one.delivery and one.trigger), None)


def _limit() -> int:
    text = request.args.get("limit") or str(DEFAULT_LIMIT)
    limit = int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0
    if not 1 <= limit <= MAX_LIMIT:
        abort(400, f"limit must be a whole number from 1 to {MAX_LIMIT}")
    return limit


def _folder() -> str | None:
    folder = request.args.get("folder") or None
    if folder is not None and not FOLDER.fullmatch(folder):
        abort(400, "folder must be the name of a folder of dags/")
    return folder


def _state() -> State | None:
    text = request.args.get("state")
    if not text:
        return None
    try:
        return State(text)
    except ValueError:
        abort(400, f"state must be one of {', '.join(State)}")
