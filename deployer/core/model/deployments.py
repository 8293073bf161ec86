"""What one deployment does, and how the journal holds it; a freeze, while there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from deployer.core.model.endings import Ending, State, Verdict
from deployer.core.model.sights import ProcessorCame
from deployer.core.model.trees import LeftOut


@dataclass(frozen=True, slots=True)
class RequirementsDiff:
    """Requirements that moved, as the lines a person would write, sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a text of `requirements.txt` was not installed.

    Attributes:
        reason: in a sentence, for its author.
        path: the DAG file that would no longer parse, or hang; None: it is no file's matter.
    """

    reason: str
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one deployment does, but for the publication, which each does.

    Attributes:
        dag_files: DAG files that Airflow must parse again, sorted; first, in isolation.
        deleted: DAG files that were live and are no more, sorted.
        requirements: difference between what is installed and what the tip asks for.
        recreate: services to recreate on `installs`, in this order; empty if the packages stay.
        refused: why the tip's `requirements.txt` is not even tried, None if it is fine.
        lapsed: fingerprints of requirements that were refused for the sake of a file, and may be
            tried again: it is another by now, or gone.
        left_out: copied from the tip's tree.
        installs: text of requirements that is proven, built and run, None: the packages stay.
    """

    dag_files: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    requirements: RequirementsDiff = RequirementsDiff()
    recreate: tuple[str, ...] = ()
    refused: str | None = None
    lapsed: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    installs: str | None = None


class Trigger(StrEnum):
    """Why a deployment was made."""

    WEBHOOK = "webhook"
    POLL = "poll"
    MANUAL = "manual"
    ROLLBACK = "rollback"


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
    """One step as it went.

    Attributes:
        state: `ok`, `failed` or `skipped`.
        detail: what came of it, or why it failed, for a person.
    """

    name: StepName
    state: str
    started_at: datetime
    finished_at: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """The step at which a deployment is, if it may take long.

    Attributes:
        since: when the step began.
        words: what it waits for there, for a person; empty: nothing is known beyond its name.
    """

    step: StepName
    since: datetime
    words: str = ""


class StatusState(StrEnum):
    """GitHub's four."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Status:
    """A commit status to be posted.

    Attributes:
        sha: the commit that shows it.
        context: what it is about: `airflow/deploy`, or `airflow/<folder>`.
        description: at most 140 characters.
    """

    sha: str
    context: str
    state: StatusState
    description: str


@dataclass(frozen=True, slots=True)
class Owed:
    """A status in the outbox that is due, and the deployment that says it.

    Attributes:
        attempts: tries so far.
        owed_since: when it was made.
        place: rank among all statuses: higher, the later one was first owed for its commit and
            context.
        tip: rank among all commits: higher, the later a push, the poll or the teacher named it.
    """

    id: int
    status: Status
    attempts: int
    owed_since: datetime
    deployment: int
    place: int
    tip: int


@dataclass(frozen=True, slots=True)
class Closed:
    """GitHub's own word, given `at`, that nothing may be written for `for_s` seconds."""

    at: datetime
    for_s: float


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
    """One deployment, whole, as the journal holds it.

    Attributes:
        id: grows in the order in which they were queued.
        sha: the commit that it deploys: the branch's tip when it began.
        base_sha: what was live before; of one not begun, the tip that its push named before it.
            None: nothing, or not known.
        ref: the branch, as `refs/heads/main`.
        queued_at, started_at, finished_at: None: not yet.
        covers: the commits that are told how it ended, `sha` among them.
        reason: why it failed, was superseded or kept the packages; else empty.
        plan: what it set out to do; empty until it is made.
        steps: those that are over, in their order.
        verdicts: one for each file that it was about.
        statuses: what GitHub is told of the commits that it answers; of `sha`, if superseded.
        running: the step at which it is; None: a quick one, or none.
        waits_for: what it waits for before it begins, e.g. `bc0a4e2: packages change`; None: its
            turn is next.
        ending: what the commits that it answers are told, whichever way they are covered;
            None: it has not ended, or was superseded.
    """

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
    plan: Plan = field(default_factory=Plan)
    steps: tuple[StepRecord, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    statuses: tuple[StatusRecord, ...] = ()
    ending: Ending | None = None
    running: Running | None = None
    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """The repository that a push was of.

    Attributes:
        repo_id: GitHub's number, the same under each name and owner; None: none was told.
        repo: `owner/name` that the push told.
        known_as: `owner/name` that was set for the class repository when the push came.
    """

    repo_id: int | None
    repo: str
    known_as: str

    @property
    def renamed(self) -> bool:
        """Whether the push came under another name; GitHub's have no case."""
        return self.repo.casefold() != self.known_as.casefold()


@dataclass(frozen=True, slots=True)
class Heard:
    """A delivery, or a commit that the teacher named.

    Attributes:
        sha: the commit it names, None: none, or whatever the tip is.
        trigger: what it set off, None: nothing, `reason` says why.
        delivery: GitHub's id of it, None: a request of the teacher's.
        event: GitHub's name for what happened, `push` or `ping`.
        by: who pushed, None: not known.
        deployment: the one that answers it, None: none does yet.
    """

    at: datetime
    sha: str | None
    trigger: Trigger | None
    delivery: str | None = None
    event: str = ""
    reason: str = ""
    by: str | None = None
    deployment: int | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """How many there are in the journal, and how long the last ones took.

    Attributes:
        deployments: by state.
        deliveries: by result.
        seconds: of the last hundred that ended, from the announcement to the end, oldest first.
    """

    deployments: Mapping[State, int]
    deliveries: Mapping[str, int]
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Freeze:
    """Somebody's word that nothing is deployed, from `since` on.

    Attributes:
        why, by: in words for the commits; who said so.
        until: when it ends by itself, None: `deployer unfreeze` ends it.
        sha: the commit that is live meanwhile, None: whatever was; of a rollback.
    """

    why: str
    by: str
    since: datetime
    until: datetime | None = None
    sha: str | None = None

    def holds(self, now: datetime) -> bool:
        return self.until is None or now < self.until

    @property
    def words(self) -> str:
        """Why, and until when, for a person."""
        parts = [f"rolled back to {self.sha[:7]}"] if self.sha else []
        end = f", until {self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if self.until else ""
        return ": ".join([*parts, *([self.why] if self.why else [])]) + end


@dataclass(frozen=True, slots=True)
class Pulse:
    """What readiness is judged by.

    Attributes:
        beat_at: the worker's last heartbeat.
        tip, tip_checked_at: the branch's tip when it was last asked for.
        tip_since: since when the tip has been ahead of what is live, the last step towards it
            counted; if it is not, when the two were last seen to be the same.
        live_sha: commit known to be live and judged, None: not known.
        oldest_owed: when the oldest status still owed was made.
        owed: how many statuses are owed.
        processors: the dag-processors that are connected, as of the heartbeat.
        drift: how the packages that run differ from those of what is live; empty: they do not.
        edited: what somebody changed by hand in what is live, until it is mended.
        delivered_at: when the newest delivery was accepted, None: none ever was.
        pushed: where the newest accepted push came from, None: not known.
        freeze: the last one that nobody ended; its time may be over.
        thawed_at: when the last freeze ended, or will at its time; None: there was none, or its
            end is not known.
    """

    beat_at: datetime | None
    tip: str | None
    tip_checked_at: datetime | None
    tip_since: datetime | None
    live_sha: str | None
    oldest_owed: datetime | None
    owed: int
    processors: tuple[ProcessorCame, ...] = ()
    drift: str = ""
    edited: str = ""
    delivered_at: datetime | None = None
    pushed: Origin | None = None
    freeze: Freeze | None = None
    thawed_at: datetime | None = None
