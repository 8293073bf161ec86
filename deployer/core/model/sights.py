"""What is seen of the running Airflow, and what its dag-processor tells over the parse feed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from deployer.core.counts import counted

_NEVER = datetime.min.replace(tzinfo=UTC)
_SETTLED = timedelta(seconds=5)
_STEADY = timedelta(seconds=15)
"""What ran for 10 s is no longer "ending again and again" to Docker, either: it starts it at once
then (docs.docker.com/engine/containers/start-containers-automatically)."""


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
class TaskInstance:
    """A task instance that the executor has; `state` is running, queued or restarting."""

    dag_id: str
    task_id: str
    state: str


@dataclass(frozen=True, slots=True)
class ContainerState:
    """One container, as the engine shows it.

    Attributes:
        status: `created`, `running`, `restarting`, `paused`, `exited` or `dead`.
        health: `starting`, `healthy` or `unhealthy`; None without a health check.
        restarts: how often its restart policy has started it again.
        exit_code: of its last end; 0 while it runs.
        out_of_memory: the kernel killed it for its memory limit.
        started_at: of its last start.
    """

    status: str
    health: str | None = None
    restarts: int = 0
    exit_code: int = 0
    out_of_memory: bool = False
    started_at: datetime = _NEVER

    def healthy(self, now: datetime, *, vouched_for: bool) -> bool:
        """Tell whether Docker calls it healthy.

        Without a health check it is healthy if it runs, and somebody vouches for it or it has
        not ended within a few seconds.
        """
        if self.status != "running":
            return False
        if self.health is None:
            return vouched_for or now - self.started_at >= _SETTLED
        return self.health == "healthy"

    def steady(self, now: datetime) -> bool:
        """Tell whether it runs, and not because it was just started again after it had ended."""
        return self.status == "running" and (self.restarts == 0 or now - self.started_at >= _STEADY)

    def words(self) -> str:
        """Return in words how it stands."""
        why = " for want of memory" if self.out_of_memory else ""
        again = f", {counted(self.restarts, 'time')} started again" if self.restarts else ""
        if self.status in {"exited", "dead", "restarting"}:
            return f"ended with exit code {self.exit_code}{why}{again}"
        return f"is {self.status}{again}"

    def failure(self, now: datetime) -> str | None:
        """Return in words why waiting any longer is in vain, None if it is not.

        One restart is forgiven: a service may start before what it needs.
        """
        why = " for want of memory" if self.out_of_memory else ""
        if self.status in {"exited", "dead"}:
            return f"ended with exit code {self.exit_code}{why}"
        if self.restarts > 1 and not self.healthy(now, vouched_for=False):
            return f"ends again and again{why}: {self.restarts} restarts"
        return None


@dataclass(frozen=True, slots=True)
class Health:
    """What a running Airflow says of its own parts.

    Attributes:
        database: it is within reach.
        beats: the last heartbeat of each part that ever ran, by Airflow's name for it.
    """

    database: bool
    beats: Mapping[str, datetime]


@dataclass(frozen=True, slots=True)
class ProcessorCame:
    """A dag-processor is connected.

    Attributes:
        life: names this life of it; another one means that it was started anew.
        airflow: Airflow's version.
        unfit: why it will tell nothing, in one sentence; empty: it will.
    """

    life: str
    airflow: str
    unfit: str = ""


@dataclass(frozen=True, slots=True)
class ProcessorLeft:
    """Its connection closed; told again, with `ended`, once its process is known to have ended."""

    life: str
    ended: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A refresh is over: Airflow's DAG files of a release, and all others are gone from it.

    Attributes:
        release: its name; None: there is none yet.
        paths: relative to the repository's root.
    """

    release: str | None
    paths: frozenset[str]


class ParseEnd(StrEnum):
    """How the parse of one file ended."""

    PARSED = "parsed"  # with DAGs, errors or neither, and that is stored
    DIED = "died"  # its process ended without a result
    TIMEOUT = "timeout"  # it was ended, `[dag_processor] dag_file_processor_timeout`
    REFUSED = "refused"  # by the database


@dataclass(frozen=True, slots=True)
class ParseResult:
    """One parse.

    Attributes:
        release: the release that was really read.
        path: relative to the repository's root.
        dag_ids: sorted.
        errors: traces by path; of a zip, by that of the module in it.
        warnings: what Airflow says beside, a sentence each.
        seconds: from the fork to the end.
        code: exit status of a parser that died; negative: by that signal.
        words: why the database refused it, or no parser could be made.
    """

    release: str
    path: str
    end: ParseEnd
    dag_ids: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    code: int = 0
    words: str = ""


Told: TypeAlias = ProcessorCame | ProcessorLeft | Listed | ParseResult
