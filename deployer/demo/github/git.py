"""Smart HTTP for git clients, and the push event that follows a push."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from flask import Blueprint, Response, abort, request

from deployer.demo.github import shapes
from deployer.demo.github.parts import Parts, base_url, meet_fault
from deployer.demo.github.repository import NO_COMMIT, BareRepository, CgiRequest, Commit
from deployer.demo.github.shapes import Push

MOST_COMMITS = 2048
_HEADS = "refs/heads/"


def git(parts: Parts) -> Blueprint:
    blueprint = Blueprint("git", __name__)
    one_push_at_a_time = threading.Lock()

    @blueprint.route("/<owner>/<name>.git/<path:service>", methods=["GET", "POST"])
    def serve(owner: str, name: str, service: str) -> Response:
        if not parts.is_here(owner, name):
            abort(404)
        if (met := meet_fault(parts.faults, "git")) is not None:
            return met
        asked = _cgi_request(parts, service)
        if service != "git-receive-pack":
            return _answer(parts, asked)
        # The refs before and after tell what this push did, and only this one.
        with one_push_at_a_time:
            before = parts.repository.refs()
            answer = _answer(parts, asked)
            after = parts.repository.refs()
        base = base_url()
        for push in _pushes(before, after, pusher=asked.user or None):
            _announce(parts, base, push, before)
        return answer

    return blueprint


def _cgi_request(parts: Parts, service: str) -> CgiRequest:
    return CgiRequest(
        method=request.method,
        path_info=f"/{parts.full_name}.git/{service}",
        query=request.query_string.decode("latin-1"),
        content_type=request.content_type or "",
        content_encoding=request.headers.get("Content-Encoding", ""),
        git_protocol=request.headers.get("Git-Protocol", ""),
        user=(request.authorization.username or "") if request.authorization else "",
        body=request.get_data(),
    )


def _answer(parts: Parts, asked: CgiRequest) -> Response:
    answer = parts.repository.serve(asked)
    return Response(answer.body, answer.status, answer.headers)


def _pushes(
    before: Mapping[str, str], after: Mapping[str, str], *, pusher: str | None
) -> Iterator[Push]:
    """Yield what happened to each branch; nobody here listens to tags."""
    moved = sorted(ref for ref in before.keys() | after.keys() if before.get(ref) != after.get(ref))
    for ref in moved:
        if ref.startswith(_HEADS):
            yield Push(ref, before.get(ref, NO_COMMIT), after.get(ref, NO_COMMIT), pusher)


def _announce(parts: Parts, base: str, push: Push, known: Mapping[str, str]) -> None:
    parts.webhook.send(
        "push", lambda: _payload(parts.repository, base, parts.full_name, push, known)
    )


def _payload(
    repository: BareRepository, base: str, full_name: str, push: Push, known: Mapping[str, str]
) -> shapes.Json:
    """Build the payload of `push`; `known` are the refs as they were before it."""
    created, deleted = push.before == NO_COMMIT, push.after == NO_COMMIT
    head = None if deleted else repository.commits(push.after, most=1)[0]
    commits: tuple[Commit, ...] = ()
    if not deleted:
        old = known.values() if created else [push.before]
        commits = repository.commits(push.after, *(f"^{sha}" for sha in old), most=MOST_COMMITS)
    base_ref = None
    if head is not None and created:
        same = (ref for ref, sha in known.items() if ref != push.ref and sha == head.sha)
        base_ref = next((ref for ref in same if ref.startswith(_HEADS)), None)
    return shapes.push_payload(
        base,
        full_name,
        push,
        commits=commits[::-1],
        head=head,
        forced=not created and not deleted and not repository.is_ancestor(push.before, push.after),
        base_ref=base_ref,
    )
