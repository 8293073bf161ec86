"""What a monitor asks. `/healthz`: does this process work? `/readyz`: does the deployer as a whole?

`/metrics`: what a Prometheus asks for, counted in the journal when it asks. Nothing is kept between
two scrapes, so that several web processes answer alike
(https://prometheus.io/docs/instrumenting/writing_exporters).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from statistics import quantiles
from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify

from deployer.core.model import State
from deployer.core.reporting import readiness
from deployer.ports import Journal

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

SHARES = (50, 95)  # percentiles


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

    @routes.get("/metrics")
    def metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415 - 3 MB

        return Response(generate_latest(_counted(journal, now())), content_type=CONTENT_TYPE_LATEST)

    return routes


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
