"""The pages for students and the teacher.

Whatever stands on them may come out of a push: Jinja escapes it all, nothing is marked safe.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, abort, render_template

from deployer.core.model import Deployment
from deployer.core.reporting import readiness
from deployer.ports import Journal
from deployer.web import wording
from deployer.web.api import FOLDER, MAX_ID, SHA

LATEST = 30


@dataclass(frozen=True, slots=True)
class LiveNow:
    """What is live: the commit, and the deployment that judged it if the journal has it."""

    sha: str
    judged_by: Deployment | None


def blueprint(journal: Journal, repo: str, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("pages", __name__)
    wording.teach(routes)

    @routes.app_context_processor
    def everywhere() -> dict[str, object]:
        return {"repo": repo, "now": now()}

    @routes.get("/")
    def index() -> str:
        pulse = journal.pulse()
        live = pulse.live_sha and LiveNow(pulse.live_sha, journal.judging(pulse.live_sha))
        return render_template(
            "index.html",
            deployments=journal.deployments(limit=LATEST),
            live=live,
            pulse=pulse,
            against=readiness.reasons(pulse, now()),
        )

    @routes.get(f"/deployments/<int(max={MAX_ID}):number>")
    def deployment(number: int) -> str:
        found = journal.deployment(number) or abort(404, f"There is no deployment {number}.")
        return render_template("deployment.html", deployment=found, asked=found.sha)

    @routes.get("/commits/<sha>")
    def commit(sha: str) -> str | tuple[str, int]:
        if not SHA.fullmatch(sha):
            abort(404, "A commit's page is named by its full id, 40 lowercase hex digits.")
        found = journal.judging(sha)
        if found is None:
            return render_template("unknown_commit.html", sha=sha), 404
        return render_template("deployment.html", deployment=found, asked=sha)

    @routes.get("/folders/<name>")
    def folder(name: str) -> str:
        if not FOLDER.fullmatch(name):
            abort(404, "No folder has such a name.")
        found = journal.deployments(limit=LATEST, folder=name)
        if not found:
            abort(404, f"No deployment has touched dags/{name}/ yet.")
        return render_template("folder.html", name=name, deployments=found)

    return routes
