"""A real bare git repository, served by git's own `git http-backend`; pushes become events."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from flask import Blueprint, Response, abort, request
from werkzeug.datastructures import Headers

from deployer.demo.github.delivering import Webhook

TIMEOUT_S = 120.0
NO_COMMIT = "0" * 40

_SETTINGS = {
    "http.receivepack": "true",  # anyone who reaches the demo may push
    # As GitHub has it: any commit can be fetched, the unreachable ones of a forced push too.
    "uploadpack.allowAnySHA1InWant": "true",
    "uploadpack.allowFilter": "true",
    "receive.denyDeleteCurrent": "ignore",
    "gc.auto": "0",
    "receive.autogc": "false",
}
_REPOSITORY_ID = 1296269
_FORMAT = "%H%x00%an%x00%cI%x00%s"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit.

    Attributes:
        author: their name.
        committed_at: RFC 3339, with the committer's own offset.
    """

    sha: str
    author: str
    committed_at: str
    title: str


class BareRepository:
    """One repository at `root/<owner>/<name>.git`, made if it is not there."""

    branch = "main"

    def __init__(self, root: Path, full_name: str) -> None:
        self.full_name = full_name
        self.path = root / f"{full_name}.git"
        if not (self.path / "HEAD").exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._git("init", "--quiet", "--bare", f"--initial-branch={self.branch}")
            for name, value in _SETTINGS.items():
                self._git("config", name, value)

    def is_called(self, owner: str, name: str) -> bool:
        return f"{owner}/{name}".casefold() == self.full_name.casefold()

    def refs(self) -> dict[str, str]:
        """Return what each ref names, by full ref name."""
        out = self._git("for-each-ref", "--format=%(refname) %(objectname)")
        return dict(line.split(" ") for line in out.split("\n") if line)

    def commit_of(self, name: str) -> str | None:
        """Return the commit that a sha, branch or tag names; None if there is none."""
        spec = f"{name}^{{commit}}"
        found = self._try("rev-parse", "--quiet", "--verify", "--end-of-options", spec)
        return found.strip() if found is not None else None

    def is_ancestor(self, old: str, new: str) -> bool:
        return self._try("merge-base", "--is-ancestor", old, new) is not None

    def commits(self, revision: str, *, most: int) -> tuple[Commit, ...]:
        """Return the newest `most` commits that it holds, newest first."""
        out = self._git("log", f"--max-count={most}", f"--format={_FORMAT}", revision, "--")
        return tuple(Commit(*line.split("\0")) for line in out.split("\n") if line)

    def serve(self, service: str) -> Response:
        """Answer the request of a git client (RFC 3875's names)."""
        # The body is here whole, so its length is known whether it came chunked or not;
        # http-backend itself undoes gzip.
        asked = request.get_data()
        out = _run(
            "http-backend",
            asked=asked,
            GIT_PROJECT_ROOT=str(self.path.resolve()),
            GIT_HTTP_EXPORT_ALL="1",
            GIT_PROTOCOL=request.headers.get("Git-Protocol", ""),
            REQUEST_METHOD=request.method,
            PATH_INFO=f"/{service}",
            QUERY_STRING=request.query_string.decode("latin-1"),
            CONTENT_TYPE=request.content_type or "",
            CONTENT_LENGTH=str(len(asked)),
            HTTP_CONTENT_ENCODING=request.headers.get("Content-Encoding", ""),
        )
        head, _, body = out.partition(b"\r\n\r\n")
        pairs = [line.partition(": ") for line in head.decode("latin-1").split("\r\n")]
        headers = Headers([(name, value) for name, _, value in pairs])
        status = headers.pop("Status", "200 OK")
        return Response(body, status, headers)

    def _git(self, *arguments: str) -> str:
        return _run("--git-dir", str(self.path), *arguments).decode("utf-8", "replace")

    def _try(self, *arguments: str) -> str | None:
        """Return git's output, None if it exits otherwise than 0."""
        try:
            return self._git(*arguments)
        except subprocess.CalledProcessError:
            return None


def _run(*arguments: str, asked: bytes = b"", **environment: str) -> bytes:
    """Run git where no settings of the person at the machine count; return what it says."""
    clean = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    return subprocess.run(
        ["git", *arguments],
        input=asked,
        capture_output=True,
        check=True,
        timeout=TIMEOUT_S,
        env=clean | environment,
    ).stdout


def git(repository: BareRepository, webhook: Webhook) -> Blueprint:
    blueprint = Blueprint("git", __name__)
    one_push_at_a_time = threading.Lock()

    @blueprint.route("/<owner>/<name>.git/<path:service>", methods=["GET", "POST"])
    def serve(owner: str, name: str, service: str) -> Response:
        if not repository.is_called(owner, name):
            abort(404)
        if service != "git-receive-pack":
            return repository.serve(service)
        # The refs before and after tell what this push did, and only this one.
        with one_push_at_a_time:
            before = repository.refs()
            answer = repository.serve(service)
            after = repository.refs()
        user = request.authorization.username if request.authorization else None
        for ref in sorted(before.keys() | after.keys()):
            old, new = before.get(ref, NO_COMMIT), after.get(ref, NO_COMMIT)
            if old != new and ref.startswith("refs/heads/"):  # nobody here listens to tags
                announce(repository, webhook, ref, old, new, pusher=user)
        return answer

    return blueprint


def announce(
    repository: BareRepository,
    webhook: Webhook,
    ref: str,
    before: str,
    after: str,
    *,
    pusher: str | None = None,
) -> None:
    """Have a push to `ref` delivered; `before` or `after` is all zeros where there was none.

    Of GitHub's payload, what one reads who asks git for the rest. A whole one is in
    `tests/unit/test_webhook.py`
    (https://docs.github.com/webhooks/webhook-events-and-payloads#push).
    """
    owner = repository.full_name.partition("/")[0]
    created, deleted = before == NO_COMMIT, after == NO_COMMIT
    author = "" if deleted else repository.commits(after, most=1)[0].author
    login = re.sub(r"[^a-z0-9]+", "-", author.lower()).strip("-")  # as GitHub might call them
    moved = not created and not deleted
    webhook.send(
        "push",
        {
            "ref": ref,
            "before": before,
            "after": after,
            "repository": {"id": _REPOSITORY_ID, "full_name": repository.full_name},
            "pusher": {"name": pusher or login or owner},
            "created": created,
            "deleted": deleted,
            "forced": moved and not repository.is_ancestor(before, after),
        },
    )
