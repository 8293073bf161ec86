"""What is seen of the running Airflow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SeenDag:
    """One DAG as REST shows it.

    Attributes:
        path: its file, relative to the repository's root.
        fileloc: absolute path that the parsing child read; names the release.
        stamp: `last_parsed_time` as Airflow wrote it, opaque.
        stale: gone from its file, or its file is gone.
        version: of the bundle when Airflow stored the parse, None if the bundle has none.
        description: as the file gives it; the canary's is the name of its release.
    """

    dag_id: str
    path: str
    fileloc: str
    stamp: str
    stale: bool = False
    version: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class SeenError:
    """One import error as REST shows it; `stamp` is its `timestamp`, opaque."""

    path: str
    trace: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at Airflow."""

    dags: tuple[SeenDag, ...] = ()
    errors: tuple[SeenError, ...] = ()


@dataclass(frozen=True, slots=True)
class AirflowHealth:
    """Heartbeats of Airflow's parts; None: Airflow does not know of that part."""

    scheduler: datetime | None
    dag_processor: datetime | None
    database_ok: bool


@dataclass(frozen=True, slots=True)
class Vitals:
    """How the process of one service stands, seen from outside of it.

    Attributes:
        life: names this life of it: another one means that it ended meanwhile; None: it does
            not run.
        steady: it runs and was not started again a moment ago because it had ended.
        words: the same for a person, e.g. `running` or `ended with exit code 1`.
    """

    life: str | None
    steady: bool
    words: str


@dataclass(frozen=True, slots=True)
class Busy:
    """A task instance that the executor has; `state` is running, queued or restarting."""

    dag_id: str
    task_id: str
    state: str
