"""The values that everything else talks about.

All frozen. Times are timezone-aware UTC; durations are seconds and end in `_s`;
paths are relative to the repository's root with forward slashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

DAGS = "dags/"
INCLUDE = "include/"
REQUIREMENTS = "requirements.txt"
COMPOSE_FILE = "docker-compose.yaml"
ROSTER = "roster.yaml"
OPS_FOLDER = "_ops"
"""Folder of `dags/` that belongs to the deployer; a push's files there are left out."""
CANARY = f"{DAGS}{OPS_FOLDER}/canary.py"
CANARY_DAG_ID = "_ops_canary"
DAG_PROCESSOR = "airflow-dag-processor"
"""The service that parses; named so in the class's docker-compose.yaml and the embedded Airflow."""


def folder_of(path: str) -> str | None:
    """Return the student's folder that `path` lies in, None outside `dags/<folder>/`."""
    match path.split("/"):
        case ["dags", folder, _, *_]:
            return folder
    return None


# --- a commit's tree -------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """What the text of one file says without being run.

    Attributes:
        imports: one entry an import statement's name, as `(level, dotted name)`;
            `from .a import b` gives `(1, "a")` and `(1, "a.b")`, for `b` may be a module.
        mentions: path components found in string constants, as they are written.
        may_hold_dag: Airflow's safe mode would look at it (`airflow`, and `dag` or `asset`),
            or it is a zip.
    """

    imports: frozenset[tuple[int, str]] = frozenset()
    mentions: frozenset[str] = frozenset()
    may_hold_dag: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """One file of a tree: its git blob id and what its text says."""

    blob: str
    facts: Facts = Facts()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A path of the commit that is not published, and why, in one sentence."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The part of one commit that a deploy depends on.

    Attributes:
        sha: full commit id, 40 lowercase hex digits.
        files: by path, under `dags/` and `include/`; only what will be published.
        requirements: text of `requirements.txt`, None if the commit has none.
        compose: text of `docker-compose.yaml`, None if the commit has none; never used, only
            compared with the operator's own copy.
        roster: text of `roster.yaml`, None if the commit has none.
        ignores: text of each `.airflowignore` under `dags/`, by its path.
        left_out: what a release must not hold (it would kill the dag-processor for all).
    """

    sha: str
    files: Mapping[str, File]
    requirements: str | None = None
    compose: str | None = None
    roster: str | None = None
    ignores: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """What is known to be live and judged.

    Attributes:
        sha: commit of the live release.
        held: files of that commit whose live version is an older one, or none; sorted.
    """

    sha: str
    held: tuple[str, ...] = ()


# --- a commit's history ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class Authored:
    """What one commit changed, and the e-mail address of who wrote it."""

    email: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class History:
    """How a commit came out of an older one.

    Attributes:
        since: the older one; None: the repository begins with this commit.
        commits: between the two, newest first, merges left out; none, if there are more
            than are looked into.
    """

    since: str | None
    commits: tuple[Authored, ...] = ()


# --- the plan --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequirementsDiff:
    """Requirements that moved, as the lines a person would write, sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Preflight:
    """Parse `paths` of the tip in isolation; what would hurt others is held."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolve:
    """Prove that the tip's `requirements.txt` installs, then build it."""

    text: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Make the tip's release the live one, with `touch` given a new modification time."""

    touch: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recreate:
    """Recreate `services`, in this order."""

    services: tuple[str, ...]
    because: tuple[str, ...]  # requirement names that moved, sorted


@dataclass(frozen=True, slots=True)
class Parse:
    """Wait for Airflow's verdict on `paths`, and for `deleted` to be gone from it."""

    paths: tuple[str, ...]
    deleted: tuple[str, ...]


Step: TypeAlias = Preflight | Resolve | Publish | Recreate | Parse


@dataclass(frozen=True, slots=True)
class Plan:
    """What one deployment does, in the order of `steps`.

    Attributes:
        dag_files: DAG files that Airflow must parse again, sorted.
        deleted: DAG files that were live and are no more, sorted.
        requirements: difference between what is installed and what the tip asks for.
        recreate: services to recreate, empty if the packages stay.
        refused: why the tip's `requirements.txt` is not even tried, None if it is fine.
        left_out: copied from the tip's tree.
        steps: the work, in order.
    """

    dag_files: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    requirements: RequirementsDiff = RequirementsDiff()
    recreate: tuple[str, ...] = ()
    refused: str | None = None
    left_out: tuple[LeftOut, ...] = ()
    steps: tuple[Step, ...] = ()


# --- what is seen of Airflow ----------------------------------------------


@dataclass(frozen=True, slots=True)
class SeenDag:
    """One DAG as REST shows it.

    Attributes:
        path: its file, relative to the repository's root.
        fileloc: absolute path that the parsing child read; names the release.
        stamp: `last_parsed_time` as Airflow wrote it, opaque.
        stale: gone from its file, or its file is gone.
    """

    dag_id: str
    path: str
    fileloc: str
    stamp: str
    stale: bool = False


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


# --- verdicts --------------------------------------------------------------


class Outcome(StrEnum):
    """How one file ended."""

    PARSED = "parsed"
    BROKEN = "broken"
    HELD = "held"
    NO_DAG = "no_dag"
    TIMEOUT = "timeout"
    DELETED = "deleted"


class Proof(StrEnum):
    """What makes a verdict final."""

    RELEASE = "release"  # fileloc or the trace names the release
    STAMPS = "stamps"  # a second distinct stamp after the change
    PREFLIGHT = "preflight"  # the isolated parse
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ParseError:
    """Why a file does not parse; `line` is in the student's own file, None if unknown."""

    type: str
    message: str
    line: int | None = None
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one file ended, and what proves it."""

    path: str
    outcome: Outcome
    dag_ids: tuple[str, ...] = ()
    error: ParseError | None = None
    proof: Proof = Proof.NONE
    waited_s: float = 0.0

    @property
    def good(self) -> bool:
        return self.outcome in {Outcome.PARSED, Outcome.NO_DAG, Outcome.DELETED}


@dataclass(frozen=True, slots=True)
class Examined:
    """What the isolated parse found in one file.

    Attributes:
        error: an ordinary import error, which goes live; None if it parsed.
        harm: why the file would hurt others and is held, in one sentence; None: harmless.
        advice: what the class has agreed on and the file does not keep, where that is no error.
    """

    path: str
    dag_ids: tuple[str, ...] = ()
    error: ParseError | None = None
    harm: str | None = None
    advice: tuple[str, ...] = ()


# --- a deployment ----------------------------------------------------------


class Trigger(StrEnum):
    """Why a deployment was made."""

    WEBHOOK = "webhook"
    POLL = "poll"
    MANUAL = "manual"
    ROLLBACK = "rollback"


class State(StrEnum):
    """Where a deployment stands; the last five are its end."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    BROKEN = "broken"
    FAILED = "failed"
    ERROR = "error"
    SUPERSEDED = "superseded"

    @property
    def ended(self) -> bool:
        return self not in {State.QUEUED, State.RUNNING}


class StepName(StrEnum):
    """Names of the steps a deployment shows."""

    FETCH = "fetch"
    PLAN = "plan"
    PREFLIGHT = "preflight"
    RESOLVE = "resolve"
    BUILD = "build"
    PUBLISH = "publish"
    DRAIN = "drain"
    RECREATE = "recreate"
    HEALTH = "health"
    PARSE = "parse"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step as it went. `state` is `ok`, `failed` or `skipped`."""

    name: StepName
    state: str
    started_at: datetime
    finished_at: datetime
    detail: str = ""


class StatusState(StrEnum):
    """GitHub's four."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Status:
    """A commit status to be posted: `description` is at most 140 characters."""

    sha: str
    context: str
    state: StatusState
    description: str


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """A status in the outbox.

    Attributes:
        target_url: page behind it, None without PUBLIC_URL.
        posted_at: when GitHub took it, None: still owed, or refused for good (see `error`).
        attempts: tries so far.
        error: what the last try was answered.
    """

    status: Status
    target_url: str | None = None
    posted_at: datetime | None = None
    attempts: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment, whole, as the journal holds it."""

    id: int
    sha: str
    base_sha: str | None
    ref: str
    trigger: Trigger
    state: State
    queued_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    covers: tuple[str, ...] = ()
    reason: str = ""
    plan: Plan = Plan()
    steps: tuple[StepRecord, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    statuses: tuple[StatusRecord, ...] = ()


# --- the worker, seen from outside --------------------------------------


@dataclass(frozen=True, slots=True)
class Pulse:
    """What readiness is judged by.

    Attributes:
        beat_at: the worker's last heartbeat.
        tip, tip_checked_at: the branch's tip when it was last asked for.
        tip_since: when this tip was first seen.
        live_sha: commit known to be live and judged, None: not known.
        oldest_owed: when the oldest status still owed was made.
        owed: how many statuses are owed.
    """

    beat_at: datetime | None
    tip: str | None
    tip_checked_at: datetime | None
    tip_since: datetime | None
    live_sha: str | None
    oldest_owed: datetime | None
    owed: int
