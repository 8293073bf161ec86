"""The world as one deployment needs it, what comes of it and is left of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deployer.config import Settings
from deployer.core.model import Ending, Live
from deployer.ports import (
    Airflow,
    Clock,
    Examination,
    Examiner,
    Journal,
    ParseFeed,
    Releases,
    Repository,
    Services,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The world, as one deployment needs it, and the settings of its bounds.

    `owed` is called when the outbox was filled.
    """

    repository: Repository
    releases: Releases
    airflow: Airflow
    feed: ParseFeed
    services: Services
    examiner: Examiner
    journal: Journal
    clock: Clock
    owed: Callable[[], None]
    settings: Settings


@dataclass(frozen=True, slots=True)
class Pending:
    """What is left of a deployment that was cut short, so that others do not wait for it.

    Attributes:
        unexamined: DAG files that are held until the isolated parse has come to them.
        modules: what they need, held with them.
        examination: what examines them, and goes on by itself; None: there are none.
        unjudged: files that are live, each with the releases that hold its text.
    """

    unexamined: frozenset[str] = frozenset()
    modules: frozenset[str] = frozenset()
    examination: Examination | None = None
    unjudged: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.unexamined or self.unjudged)

    @property
    def files(self) -> frozenset[str]:
        """Those that get a verdict."""
        return self.unexamined | self.unjudged.keys()

    @property
    def held(self) -> frozenset[str]:
        """Paths whose live version stays."""
        return self.unexamined | self.modules


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a deployment, or of what was left of it.

    Attributes:
        ending: how it ended; while anything is pending, how far it came.
        live: what is known to be live now; None: what was known before, if anything.
        pending: what has no verdict yet.
    """

    ending: Ending
    live: Live | None = None
    pending: Pending = field(default_factory=Pending)
