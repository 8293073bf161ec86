"""The pages for students and the teacher.

Whatever stands on them may come out of a push: Jinja escapes it all, nothing is marked safe. The
words that the templates call are functions from a value of the model to a short, plain text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from flask import Blueprint, abort, render_template

from deployer.core.counts import lasting
from deployer.core.model import Deployment, Outcome, Proof, StepRecord, Verdict, folder_of
from deployer.core.reporting import readiness
from deployer.ports import Journal
from deployer.web.api import FOLDER, SHA, waiting

LATEST = 30
MINUTE_S = 60
PROVEN = {
    Proof.RELEASE: "proven by the release that Airflow read",
    Proof.LISTING: "proven by Airflow's listing of this release",
    Proof.PREFLIGHT: "told by the isolated parse",
    Proof.NONE: "",
}


def blueprint(journal: Journal, repo: str, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("pages", __name__)
    for word in (folders, seconds, since, clock, ago, place, proven, tally):
        routes.add_app_template_filter(word)

    @routes.app_context_processor
    def everywhere() -> dict[str, object]:
        return {"repo": repo, "now": now()}

    @routes.get("/")
    def index() -> str:
        pulse = journal.pulse()
        return render_template(
            "index.html",
            deployments=journal.deployments(limit=LATEST),
            judged_by=pulse.live_sha and journal.judging(pulse.live_sha),
            pulse=pulse,
            against=readiness.reasons(pulse, now()),
        )

    @routes.get("/deployments/<int:number>")
    def deployment(number: int) -> str:
        found = journal.deployment(number) or abort(404, f"There is no deployment {number}.")
        return render_template("deployment.html", deployment=found, asked=found.sha)

    @routes.get("/commits/<sha>")
    def commit(sha: str) -> str | tuple[str, int]:
        if not SHA.fullmatch(sha):
            abort(404, "A commit's page is named by its full id, 40 lowercase hex digits.")
        found = journal.judging(sha)
        if found is None:
            named = waiting(journal, sha)
            return render_template("unknown_commit.html", sha=sha, named=named), 404
        return render_template("deployment.html", deployment=found, asked=sha)

    @routes.get("/folders/<name>")
    def folder(name: str) -> str:
        if not FOLDER.fullmatch(name):
            abort(404, "No folder has such a name.")
        found = journal.deployments(limit=LATEST, folder=name) or abort(
            404, f"No deployment has touched dags/{name}/ yet."
        )
        return render_template("folder.html", name=name, deployments=found)

    return routes


def folders(deployment: Deployment) -> tuple[str, ...]:
    """Return the students' folders that a deployment touched, sorted."""
    paths = [
        *deployment.plan.dag_files,
        *deployment.plan.deleted,
        *(verdict.path for verdict in deployment.verdicts),
    ]
    return tuple(sorted({folder for path in paths if (folder := folder_of(path))}))


def seconds(thing: Deployment | StepRecord) -> str:
    """Return how long it took, from being queued for a deployment; empty: it has not ended."""
    began = thing.queued_at if isinstance(thing, Deployment) else thing.started_at
    if thing.finished_at is None:
        return ""
    return _span((thing.finished_at - began).total_seconds())


def _span(took_s: float) -> str:
    if took_s < MINUTE_S:
        return f"{took_s:.2f} s"
    return f"{int(took_s) // MINUTE_S} min {int(took_s) % MINUTE_S} s"


def since(at: datetime, now: datetime) -> str:
    return _span(max((now - at).total_seconds(), 0.0))


def clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def ago(at: datetime, now: datetime) -> str:
    said = lasting(now - at)
    return "just now" if said == "0 s" else f"{said} ago"


def place(verdict: Verdict) -> str:
    """Return `path:line` if the error has a line, else the path."""
    line = verdict.error and verdict.error.line
    return f"{verdict.path}:{line}" if line else verdict.path


def proven(verdict: Verdict) -> str:
    """Return what proves a verdict; empty: nothing does."""
    return PROVEN[verdict.proof]


def tally(deployment: Deployment) -> str:
    """Return what came out for the files, as in `2 parsed, 1 broken`."""
    counts = Counter(verdict.outcome for verdict in deployment.verdicts)
    return ", ".join(
        f"{counts[outcome]} {outcome.replace('_', ' ')}" for outcome in Outcome if counts[outcome]
    )
