"""What programs ask: `/api/v1`, deployments as JSON; how the deployer is.

`/healthz`: does this process work? `/readyz`: does the deployer as a whole?

`/metrics`: what a Prometheus asks for, counted in the journal when it asks. Nothing is kept between
two scrapes, so that several web processes answer alike
(https://prometheus.io/docs/instrumenting/writing_exporters).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from statistics import quantiles
from typing import TYPE_CHECKING, NoReturn

from flask import Blueprint, Response, abort, jsonify, request

from deployer.core.model import Heard, State
from deployer.core.reporting import readiness
from deployer.core.reporting.render import as_json, timestamp
from deployer.ports import Journal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

MAX_LIMIT = 100
DEFAULT_LIMIT = 20
SHARES = (50, 95)  # percentiles

FOLDER = re.compile(r"[^/\x00-\x1f\x7f]{1,255}")  # a file name as Linux and a log line bear it
SHA = re.compile(r"[0-9a-f]{40}")


def blueprint(journal: Journal, repo: str, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("api", __name__)

    @routes.get("/api/v1/deployments")
    def deployments() -> Response:
        found = journal.deployments(limit=_limit(), folder=_folder(), state=_state())
        return jsonify({"deployments": [as_json(deployment) for deployment in found]})

    @routes.get("/api/v1/deployments/<int:number>")
    def deployment(number: int) -> Response:
        found = journal.deployment(number) or abort(404, f"there is no deployment {number}")
        return jsonify(as_json(found))

    @routes.get("/api/v1/commits/<sha>")
    def commit(sha: str) -> Response:
        if not SHA.fullmatch(sha):
            abort(400, "a commit is named by its full id, 40 lowercase hex digits")
        return jsonify(as_json(journal.judging(sha) or _not_judged(journal, sha)))

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

    @routes.get("/metrics")
    def metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415 - 3 MB

        return Response(generate_latest(_counted(journal, now())), content_type=CONTENT_TYPE_LATEST)

    return routes


def _not_judged(journal: Journal, sha: str) -> NoReturn:
    named = waiting(journal, sha)
    if named is None:
        abort(404, f"commit {sha} is not known yet")
    at = timestamp(named.at)
    abort(404, f"a push named commit {sha} at {at}; it waits for the worker")


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


def _counted(journal: Journal, now: datetime) -> CollectorRegistry:
    from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415 - as above

    registry = CollectorRegistry()

    def gauge(name: str, words: str, value: float) -> None:
        Gauge(f"deployer_{name}", words, registry=registry).set(value)

    def labelled(name: str, words: str, label: str, values: Mapping[str, float]) -> None:
        family = Gauge(f"deployer_{name}", words, [label], registry=registry)
        for its, value in values.items():
            family.labels(its).set(value)

    def since(then: datetime | None) -> float:
        return (now - then).total_seconds() if then else 0.0

    pulse, tally = journal.pulse(), journal.tally()
    gauge("ready", "1 as /readyz says 200", not readiness.reasons(pulse, now))
    states = {str(state): tally.deployments.get(state, 0) for state in State}
    labelled("deployments", "Deployments in the journal", "state", states)
    results = {result: tally.deliveries.get(result, 0) for result in ("queued", "ignored")}
    labelled("deliveries", "Deliveries in the journal", "result", results)
    took = {}
    if tally.seconds:
        twice = [*tally.seconds, tally.seconds[-1]]  # `quantiles` takes no fewer than two
        found = quantiles(twice, n=100, method="inclusive")
        took = {str(share / 100): found[share - 1] for share in SHARES}
    words = "From announcement to end, of the last hundred deployments"
    labelled("deployment_seconds", words, "quantile", took)
    gauge("outbox_owed", "Commit statuses that GitHub has not taken yet", pulse.owed)
    gauge("outbox_oldest_seconds", "Age of the oldest of those", since(pulse.oldest_owed))
    behind = pulse.tip_since if pulse.tip != pulse.live_sha else None
    gauge("behind_seconds", "For how long the tip has not been live", since(behind))
    gauge(
        "frozen", "1 while deployments are frozen", bool(pulse.freeze and pulse.freeze.holds(now))
    )
    for name, words, at in (
        ("heartbeat", "The worker's last heartbeat", pulse.beat_at),
        ("tip_checked", "The last time that the tip was asked for", pulse.tip_checked_at),
    ):
        if at:
            gauge(f"{name}_timestamp_seconds", words, at.timestamp())
    return registry
