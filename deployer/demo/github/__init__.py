"""A stand-in for GitHub: one repository over smart HTTP, its webhook, its commit statuses.

git_over_http  /<owner>/<name>.git    a real bare repository over smart HTTP, and the push events
statuses       /repos/…               REST, at the root: GITHUB_API_URL is the server's address
delivering                            signed deliveries, as GitHub sends them

At / are the commits with their statuses. All of it is a Flask app in a thread, on the loopback,
for the demo and the tests.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Self

from flask import Flask, render_template, request
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from deployer.demo.github.delivering import Webhook
from deployer.demo.github.git_over_http import BareRepository, git
from deployer.demo.github.statuses import Statuses, api, combined_state, error

STOP_S = 15.0
POLL_S = 0.05
"""How soon the server notices that it should stop."""
COMMITS_SHOWN = 50
DELIVERIES_SHOWN = 10


class StandIn:
    """GitHub, on this machine: a context manager.

    Args:
        root: the repository goes to `root/<repo>.git`; one that is there is served.
        repo: `owner/name`.
        secret: signs the deliveries.
        token: the one API token that is accepted. Pushes need none.

    Attributes:
        url: the server's address, to be used as GITHUB_API_URL.
        git_url: the repository, to be used as REPO_URL; pushes need no credentials.
        webhook: its `url` is where push events go, None at first: they are lost; it knows the
            deliveries.
        server: runs in `thread`; its `app` may be put into another one, e.g. to count requests.
        statuses: returns all statuses of a commit, oldest first.
        wait_for_status: see `Statuses.wait_for`.
    """

    def __init__(
        self,
        root: Path,
        *,
        repo: str = "class/airflow-class",
        secret: str,
        token: str,
        host: str = "127.0.0.1",
    ) -> None:
        self.webhook, self.repository = Webhook(secret), BareRepository(root, repo)
        self._statuses = Statuses()
        self.statuses, self.wait_for_status = self._statuses.of, self._statuses.wait_for
        app = Flask(__name__, static_folder=None)
        app.register_blueprint(api(self.repository, self._statuses, token))
        app.register_blueprint(git(self.repository, self.webhook))
        app.register_error_handler(404, lambda _: (error(404, "Not Found"), 404))
        app.add_url_rule("/", view_func=self._page)
        self.server: BaseWSGIServer = make_server(
            host, 0, app, threaded=True, request_handler=_Handler
        )
        self.thread = threading.Thread(
            target=self.server.serve_forever, args=(POLL_S,), name="github-stand-in", daemon=True
        )
        self.url = f"http://{host}:{self.server.server_port}"
        self.git_url = f"{self.url}/{repo}.git"

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop serving and delivering; waits for a delivery that is under way."""
        self.server.shutdown()
        self.thread.join(STOP_S)
        self.server.server_close()
        self.webhook.close()

    def _page(self) -> str:
        repository = self.repository
        tip = repository.commit_of(f"refs/heads/{repository.branch}")
        rows = []
        for commit in repository.commits(tip, most=COMMITS_SHOWN) if tip else ():
            latest = self._statuses.latest(commit.sha)
            rows.append((commit, combined_state(latest) if latest else None, latest))
        return render_template(
            "commits.html",
            full_name=repository.full_name,
            branch=repository.branch,
            git_url=f"{request.host_url}{repository.full_name}.git",
            rows=rows,
            deliveries=self.webhook.deliveries[: -DELIVERIES_SHOWN - 1 : -1],
        )


class _Handler(WSGIRequestHandler):
    """HTTP/1.1, so that git's `Expect: 100-continue` and chunked bodies are understood."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: the page and the statuses tell what happened."""
