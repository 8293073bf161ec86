"""GitHub's webhooks on loopback, each request held against GitHub's own description."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from werkzeug.datastructures import Headers

from tests.github.contract import Contract, Operation, header_mistakes

REPO, TOKEN = "class/airflow-class", "a-token-of-the-class"
Answer = tuple[int, Any]
_MOMENT = "2026-03-01T09:00:00Z"
_CONTRACT = Contract()


@dataclass
class GitHubHooks:
    """The state of it.

    Attributes:
        may: what the token may, `write`, `read` or nothing.
        hooks: as GitHub keeps them, secrets in plain.
        deliveries: of all hooks, newest first.
        wrote: method and path of each request that is no GET.
        violations: what was not as GitHub describes it.
    """

    url: str
    may: str = "write"
    hooks: list[dict[str, Any]] = field(default_factory=list)
    deliveries: list[dict[str, Any]] = field(default_factory=list)
    wrote: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    def add(self, url: str, *, last_code: int | None = 202, **config: str) -> dict[str, Any]:
        """Let somebody have made a hook by hand; `config` as it is sent to GitHub."""
        given = {"content_type": "json", "insecure_ssl": "0", "secret": "x" * 16} | config
        hook = self._made({"config": given | {"url": url}})
        hook["last_response"]["code"] = last_code
        return hook

    def deliver(
        self, guid: str, at: datetime, code: int, *, event: str = "push", redelivery: bool = False
    ) -> None:
        number = len(self.deliveries) + 1
        self.deliveries.insert(
            0,
            {
                "id": number,
                "guid": guid,
                "delivered_at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "redelivery": redelivery,
                "duration": 0.1,
                "status": "OK" if code < 400 else "Invalid HTTP Response",
                "status_code": code,
                "event": event,
                "action": None,
                "installation_id": None,
                "repository_id": 1,
            },
        )

    def answer(self, operation: Operation, path: dict[str, str], query: Any, body: Any) -> Answer:  # noqa: ANN401
        """Answer a request that is as GitHub describes it."""
        if f"{path['owner']}/{path['repo']}" != REPO or not self.may:
            return 404, _error("Not Found")
        if operation.method != "get" and self.may != "write":
            return 403, _error("Resource not accessible by personal access token")
        do = {"get": self._look, "post": self._make, "patch": self._mend}
        return do[operation.method](path, query, body)

    def _look(self, path: dict[str, str], query: Any, _: Any) -> Answer:  # noqa: ANN401
        if "hook_id" not in path:
            return 200, [_shown(hook) for hook in self.hooks]
        size, start = int(query.get("per_page", 30)), int(query.get("cursor", 0))
        return 200, self.deliveries[start : start + size]

    def _make(self, path: dict[str, str], _: Any, body: Any) -> Answer:  # noqa: ANN401
        if "delivery_id" not in path:
            return 201, _shown(self._made(body))
        tried = next(d for d in self.deliveries if d["id"] == int(path["delivery_id"]))
        self.deliver(tried["guid"], datetime.now(UTC), 202, redelivery=True)
        return 202, {}

    def _mend(self, path: dict[str, str], _: Any, body: Any) -> Answer:  # noqa: ANN401
        hook = next(one for one in self.hooks if one["id"] == int(path["hook_id"]))
        hook |= body
        hook["last_response"]["code"] = None
        return 200, _shown(hook)

    def _made(self, body: dict[str, Any]) -> dict[str, Any]:
        number = len(self.hooks) + 1
        where = f"https://api.github.com/repos/{REPO}/hooks/{number}"
        hook = {
            "type": "Repository",
            "id": number,
            "name": "web",
            "active": body.get("active", True),
            "events": body.get("events", ["push"]),
            "config": body["config"],
            "created_at": _MOMENT,
            "updated_at": _MOMENT,
            "url": where,
            "test_url": f"{where}/test",
            "ping_url": f"{where}/pings",
            "deliveries_url": f"{where}/deliveries",
            "last_response": {"code": None, "status": "unused", "message": None},
        }
        self.hooks.append(hook)
        return hook


def _shown(hook: dict[str, Any]) -> dict[str, Any]:
    config = hook["config"]
    hidden = {"secret": "********"} if config.get("secret") else {}
    return hook | {"config": {k: v for k, v in config.items() if k != "secret"} | hidden}


def _error(message: str) -> dict[str, str]:
    return {"message": message, "documentation_url": "https://docs.github.com/rest"}


@contextmanager
def github_hooks() -> Iterator[GitHubHooks]:
    """Serve on a free port of loopback until the block ends; each request was as described."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            text = self.rfile.read(int(self.headers.get("content-length") or 0))
            code, said, links = self._answered(text)
            content = json.dumps(said).encode()
            self.send_response(code)
            if links:
                self.send_header("Link", links)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _answered(self, text: bytes) -> tuple[int, Any, str]:
            place, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
            state.violations += header_mistakes(Headers(list(self.headers.items())))
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                return 401, _error("Bad credentials"), ""
            if "/statuses/" in place:  # as the stand-in answers it
                return 422, _error("No commit found for SHA"), ""
            found = _CONTRACT.find(self.command, place)
            assert found, place
            operation, path = found
            body = json.loads(text) if text else None
            state.violations += _CONTRACT.parameter_mistakes(operation, path, query)
            state.violations += _CONTRACT.body_mistakes(operation, body)
            if self.command != "GET":
                state.wrote.append(f"{self.command} {place}")
            code, said = state.answer(operation, path, query, body)
            state.violations += _CONTRACT.answer_mistakes(operation, code, said)
            links = ""
            if operation.path.endswith("/deliveries"):
                start = int(query.get("cursor", 0)) + int(query.get("per_page", 30))
                if start < len(state.deliveries):
                    links = f'<{state.url}{place}?per_page=100&cursor={start}>; rel="next"'
            return code, said, links

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state = GitHubHooks(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield state
        assert state.violations == []
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
