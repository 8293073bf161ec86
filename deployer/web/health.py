"""`/healthz`: does this process work? `/readyz`: does the deployer as a whole do its job?"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, jsonify

from deployer.core import readiness
from deployer.ports import Journal


def blueprint(journal: Journal, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("health", __name__)

    @routes.get("/healthz")
    def healthz() -> Response:
        journal.pulse()  # JournalError becomes a 503
        return jsonify({"healthy": True})

    @routes.get("/readyz")
    def readyz() -> tuple[Response, int]:
        against = readiness.reasons(journal.pulse(), now())
        return jsonify({"ready": not against, "reasons": against}), 503 if against else 200

    return routes
