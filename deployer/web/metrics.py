"""`/metrics`: what a Prometheus asks for, counted in the journal when it asks.

https://prometheus.io/docs/instrumenting/writing_exporters: nothing is kept between two scrapes,
so that several web processes answer alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from statistics import quantiles
from typing import TYPE_CHECKING

from flask import Blueprint, Response

from deployer.core.model import State
from deployer.core.reporting import readiness
from deployer.ports import Journal

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

SHARES = (50, 95)  # percentiles


def blueprint(journal: Journal, now: Callable[[], datetime]) -> Blueprint:
    routes = Blueprint("metrics", __name__)

    @routes.get("/metrics")
    def metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest  # noqa: PLC0415 - 3 MB
        from prometheus_client.registry import Collector, CollectorRegistry  # noqa: PLC0415

        class Counted(Collector):
            def collect(self) -> Iterator[Metric]:
                return _families(journal, now())

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Counted())
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return routes


def _families(journal: Journal, now: datetime) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - as above

    def gauge(name: str, words: str, value: float) -> Metric:
        return GaugeMetricFamily(f"deployer_{name}", words, value=value)

    def since(then: datetime | None) -> float:
        return (now - then).total_seconds() if then else 0.0

    pulse, tally = journal.pulse(), journal.tally()
    yield gauge("ready", "1 as /readyz says 200", not readiness.reasons(pulse, now))
    deployments = GaugeMetricFamily(
        "deployer_deployments", "Deployments in the journal", labels=["state"]
    )
    for state in State:
        deployments.add_metric([state], tally.deployments.get(state, 0))
    yield deployments
    deliveries = GaugeMetricFamily(
        "deployer_deliveries", "Deliveries in the journal", labels=["result"]
    )
    for result in ("queued", "ignored"):
        deliveries.add_metric([result], tally.deliveries.get(result, 0))
    yield deliveries
    took = GaugeMetricFamily(
        "deployer_deployment_seconds",
        "From announcement to end, of the last hundred deployments",
        labels=["quantile"],
    )
    if tally.seconds:
        twice = [*tally.seconds, tally.seconds[-1]]  # `quantiles` takes no fewer than two
        found = quantiles(twice, n=100, method="inclusive")
        for share in SHARES:
            took.add_metric([str(share / 100)], found[share - 1])
    yield took
    yield gauge("outbox_owed", "Commit statuses that GitHub has not taken yet", pulse.owed)
    yield gauge("outbox_oldest_seconds", "Age of the oldest of those", since(pulse.oldest_owed))
    behind = pulse.tip_since if pulse.tip != pulse.live_sha else None
    yield gauge("behind_seconds", "For how long the tip has not been live", since(behind))
    yield gauge(
        "frozen", "1 while deployments are frozen", bool(pulse.freeze and pulse.freeze.holds(now))
    )
    for name, words, at in (
        ("heartbeat", "The worker's last heartbeat", pulse.beat_at),
        ("tip_checked", "The last time that the tip was asked for", pulse.tip_checked_at),
    ):
        if at:
            yield gauge(f"{name}_timestamp_seconds", words, at.timestamp())
