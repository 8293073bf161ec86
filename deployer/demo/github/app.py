"""The stand-in as a Flask app: git, the REST API, a page.

/<owner>/<name>.git              smart HTTP
/repos/…                         REST, at the root: GITHUB_API_URL is the server's address
/ , /<owner>/<name>/commits/…    commits with their statuses
"""

from __future__ import annotations

from pathlib import Path

from flask import Blueprint, Flask, Response, abort, render_template

from deployer.demo.github.api import Api
from deployer.demo.github.git import git
from deployer.demo.github.parts import Parts, Violations, base_url
from deployer.demo.github.repository import BareRepository
from deployer.demo.github.statuses import combined_state
from deployer.demo.github.webhook import Webhook

COMMITS_SHOWN = 50
DELIVERIES_SHOWN = 10
EXTENSION = "github_stand_in"

_AVATAR = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20">'
    '<circle cx="10" cy="10" r="9" fill="#0969da"/></svg>'
)


def create_stand_in(
    root: Path,
    *,
    repo: str = "class/airflow-class",
    webhook_url: str | None = None,
    secret: str,
    token: str,
) -> Flask:
    """Return a Flask app that stands in for GitHub; its `Parts` are in `app.extensions`.

    Args:
        root: the repository goes to `root/<repo>.git`; one that is there is served.
        repo: `owner/name`.
        webhook_url: where push events go, None: nowhere.
        secret: signs the deliveries.
        token: the one API token that is accepted. Pushes need none.
    """
    violations = Violations()
    parts = Parts(
        full_name=repo,
        token=token,
        repository=BareRepository(root, repo),
        webhook=Webhook(webhook_url, secret, violations.add),
        violations=violations,
    )
    app = Flask(__name__, static_folder=None)
    app.extensions[EXTENSION] = parts
    app.register_blueprint(Api(parts).blueprint())
    app.register_blueprint(git(parts))
    app.register_blueprint(_pages(parts))
    return app


def _pages(parts: Parts) -> Blueprint:
    blueprint = Blueprint("pages", __name__)

    @blueprint.get("/avatar")
    def avatar() -> Response:
        return Response(_AVATAR, mimetype="image/svg+xml")

    @blueprint.get("/")
    def front() -> str:
        return _commits_page(parts, parts.repository.branch)

    @blueprint.get("/<owner>/<name>/commits/<path:branch>")
    def commits(owner: str, name: str, branch: str) -> str:
        if not parts.is_here(owner, name):
            abort(404)
        return _commits_page(parts, branch)

    return blueprint


def _commits_page(parts: Parts, branch: str) -> str:
    tip = parts.repository.commit_of(f"refs/heads/{branch}")
    if tip is None and branch != parts.repository.branch:
        abort(404)
    shown = parts.repository.commits(tip, most=COMMITS_SHOWN) if tip else ()
    rows = []
    for commit in shown:
        latest = parts.statuses.latest(commit.sha)
        rows.append((commit, combined_state(latest) if latest else None, latest))
    return render_template(
        "commits.html",
        full_name=parts.full_name,
        branch=branch,
        git_url=f"{base_url()}/{parts.full_name}.git",
        rows=rows,
        deliveries=parts.webhook.deliveries[: -DELIVERIES_SHOWN - 1 : -1],
        violations=parts.violations.all(),
    )
