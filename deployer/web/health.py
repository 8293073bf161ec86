"""`/healthz`: does this process work? `/readyz`: does the deployer as a whole do its job?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, jsonify

from deployer.core.reporting import readiness
from deployer.ports import Journal


def blueprint(journal: Journal, repo: str, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        journal.pulse()  # JournalError becomes a 503
        return jsonify({"healthy": True})

    @routes.get("/readyz")
    def readyz() -> tuple[Response, int]:
        pulse = journal.pulse()
        against, renamed = readiness.reasons(pulse, now()), readiness.renamed(pulse, repo)
        said = [*against, renamed] if renamed else against
        return jsonify({"ready": not against, "reasons": said}), 503 if against else 200

    return routes
