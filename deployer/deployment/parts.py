"""The world as one deployment needs it, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.ports import (
    Airflow,
    Clock,
    Examiner,
    Journal,
    ParseFeed,
    Releases,
    Repository,
    Services,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The world, as one deployment needs it."""

    repository: Repository
    releases: Releases
    airflow: Airflow
    feed: ParseFeed
    services: Services
    examiner: Examiner
    journal: Journal
    clock: Clock


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much.

    Attributes:
        parse_timeout_s: seconds from publishing, or from one verdict, to the next.
        health_timeout_s: seconds that a dag-processor may take to come back.
        drain_timeout_s: seconds that running tasks are waited for before services are recreated.
        services: what is recreated when packages move, in this order.
        keep_releases: releases kept for rollback and running tasks.
        keep_days: days for which the journal keeps what decides nothing any more.
    """

    parse_timeout_s: float
    health_timeout_s: float
    drain_timeout_s: float
    services: tuple[str, ...]
    keep_releases: int
    keep_days: int
