"""What `deploy` and `worker` need from the world.

Each protocol has one real implementation in `deployer.edges`, one shared fake in
`tests/fakes/`, and one contract test that both must pass. Every method is
bounded in time and may be called again after a crash.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from deployer.core.model import (
    AirflowHealth,
    Busy,
    Deployment,
    Examined,
    History,
    Live,
    Observation,
    Plan,
    Pulse,
    State,
    Status,
    StepRecord,
    Tree,
    Trigger,
    Verdict,
    Vitals,
)


class Repository(Protocol):
    """A mirror of the class repository."""

    def fetch(self) -> str:
        """Bring the mirror up to date and return the branch's tip (40 hex digits).

        Raises:
            GitError: the host is out of reach, refuses, or has no such branch.
        """

    def tree(self, sha: str) -> Tree:
        """Return the commit's tree; costs what changed since the tree read before.

        Raises:
            UnknownCommit: the mirror does not hold it.
        """

    def contains(self, tip: str, sha: str) -> bool:
        """Tell whether `sha` is `tip` or an ancestor of it.

        Raises:
            UnknownCommit: the mirror does not hold `sha`.
        """

    def changed_paths(self, old: str | None, new: str) -> tuple[str, ...]:
        """Return the paths that differ between two commits, sorted.

        `old` None or unknown to the mirror: compare with `new`'s first parent; a root
        commit differs in all its paths.

        Raises:
            UnknownCommit: the mirror does not hold `new`.
        """

    def history(self, old: str | None, new: str) -> History:
        """Return who wrote what of the commits that `new` holds and `old` does not.

        `old` None or unknown to the mirror: since `new`'s first parent, None for a root
        commit. Of more commits than a person pushes at once, none is named.

        Raises:
            UnknownCommit: the mirror does not hold `new`.
        """


@dataclass(frozen=True, slots=True)
class Release:
    """A published tree.

    Attributes:
        name: `<sha>`, or `<sha>-<n>` where the same commit is published again with
            other contents: one name never means two contents.
        sha: the commit it was made of.
        written: files that did not come by hard link from the release before.
    """

    name: str
    sha: str
    written: int = 0


class Releases(Protocol):
    """Release directories and the `current` link."""

    def live(self) -> Release | None:
        """Return the release that `current` names, None before the first."""

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        """Write `tree` beside the live release and swap `current` by one rename.

        For a path in `held` the live release's version is kept, or the path is left out
        if it is not live. Files whose contents equal the live release's are hard links to
        it (inode and mtime kept), unless they are in `touch`: those get a new modification
        time just before the swap. The canary is written anew.

        Raises:
            DiskError: nothing was swapped.
            UnknownCommit: the mirror does not hold the tree's commit.
        """

    def touch(self, paths: Collection[str]) -> None:
        """Give files that the last `publish` touched a new modification time once more.

        Airflow overlooks a change that came while it was parsing the file's old text.

        Raises:
            DiskError
        """

    def restore(self, name: str | None) -> None:
        """Point `current` back at the release `name`; None: nothing is live.

        Raises:
            DiskError: there is no such release.
        """

    def confirm(self, name: str) -> None:
        """Keep in mind that Airflow lived with the release `name`.

        Raises:
            DiskError
        """

    def proven(self) -> str | None:
        """Return the release confirmed last, None before the first or if it is gone."""

    def beyond(self, keep: int) -> tuple[str, ...]:
        """Return the releases that `prune` would remove if none was in use, oldest first."""

    def prune(self, keep: int, in_use: Collection[str]) -> tuple[str, ...]:
        """Remove the oldest releases beyond `keep` and half-written ones; return their names.

        Never removes the live one, the proven one or one named in `in_use`.
        """


class Airflow(Protocol):
    """The running Airflow, over its REST API."""

    def poke(self, dag_ids: Collection[str] = ()) -> None:
        """Ask the dag-processor to look at the bundle now, and to parse the files of `dag_ids`.

        What Airflow does not know is passed over: before the first release that is the canary,
        by which it is asked to look, too.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def observe(self, release: str, dag_ids: Collection[str]) -> Observation:
        """Return the DAGs parsed from `release`, the DAGs `dag_ids`, and recent import errors.

        The number of calls does not grow with the number of files of the class.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def health(self) -> AirflowHealth:
        """Return the heartbeats of scheduler and dag-processor.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def versions_in_use(self, among: Collection[str]) -> frozenset[str]:
        """Return those of the releases `among` that DAGs or unfinished runs still refer to.

        Costs a call for each, however many DAGs there are, and none for none.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def pools(self) -> Mapping[str, int]:
        """Return the slots of each pool by its name; -1: no limit.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def resize_pool(self, name: str, slots: int) -> None:
        """Give a pool that many slots; one that is gone is passed over.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def busy(self) -> tuple[Busy, ...]:
        """Return the task instances that are with the executor: running, queued or restarting.

        Raises:
            AirflowUnreachable, AirflowError
        """


class Services(Protocol):
    """Airflow's packages and processes."""

    def tidy(self) -> None:
        """Remove what a deployment that died left behind; safe to call at any time.

        Raises:
            ServicesError
        """

    def own_stack(self) -> str | None:
        """Return the text of the operator's own compose file, None where there is none.

        Raises:
            ServicesError: it can't be read.
        """

    def installed(self) -> str | None:
        """Return the text of the `requirements.txt` that runs now, None if not known.

        Raises:
            ServicesError
        """

    def resolve(self, text: str) -> str:
        """Prove that `text` installs beside Airflow's own pins; return one line about it.

        Changes nothing that runs.

        Raises:
            RequirementsRefused: it does not; the author can mend it.
            ServicesError: the proof itself could not be made.
        """

    def build(self, text: str) -> str:
        """Make the new environment or image beside the running one; return one line about it.

        Raises:
            RequirementsRefused: it installs, but is broken (`pip check`, Airflow's start).
            ServicesError
            DiskError: there is no room for it.
        """

    def recreate(self, services: Sequence[str], *, idle: bool = False) -> str:
        """Stop `services` and start them on what was built; return one line about it.

        One that runs on it already may be left alone. `idle`: no task runs, so none needs
        more than a moment to stop; else each has as long as the operator gave it.

        Raises:
            NotHealthy: one of them does not start on it; those after it were not touched.
            ServicesError
        """

    def wait_healthy(self, services: Sequence[str]) -> str:
        """Wait, bounded, until `services` run and are healthy; return one line about it.

        Raises:
            NotHealthy: they are not; the message ends with the failing one's last log lines.
            ServicesError: it can't be told.
        """

    def put_back(self, services: Sequence[str], *, idle: bool = False) -> str:
        """Go back to the packages before the last `build` and recreate `services`, likewise.

        Raises:
            ServicesError
        """

    def vitals(self, service: str) -> Vitals:
        """Return how one service's process stands.

        Raises:
            ServicesError: it can't be told.
        """

    def last_words(self, service: str) -> str:
        """Return the end of a service's log before it ended last, without secrets.

        Raises:
            ServicesError: it can't be told.
        """

    def revive(self, service: str) -> None:
        """Start a service that ended, as it is, if nobody else does and nobody stopped it.

        Raises:
            ServicesError
        """


class Examiner(Protocol):
    """The isolated parser."""

    def warm_up(self) -> None:
        """Make ready, so that the first push need not wait for it.

        Raises:
            PreflightError: the parser itself does not work.
        """

    def close(self) -> None:
        """End it; the next `examine` makes it ready again."""

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        """Parse `paths` of `tree`, each in a process of its own; one result a path, same order.

        `on_built`: with the packages of the last `Services.build`, not with those that run.

        Raises:
            PreflightError: the parser itself does not work.
        """


class StatusBoard(Protocol):
    """Where commit statuses go."""

    def post(self, status: Status, target_url: str | None) -> Posted:
        """Post one status."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """GitHub took it."""


@dataclass(frozen=True, slots=True)
class RetryLater:
    """Not now. `after_s`: GitHub's own word on when, None if it said nothing."""

    reason: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class RefusedForGood:
    """Never: the same request would be refused again."""

    reason: str


Posted = Accepted | RetryLater | RefusedForGood


@dataclass(frozen=True, slots=True)
class Announcement:
    """A commit that a push named as the branch's tip, or that somebody asked for.

    Attributes:
        id: grows in the order of arrival.
        sha: None: "whatever the tip is" (`deployer deploy`).
        before: tip that the push named before it, None if there was none or it is not known.
        forced: the push said it rewrote history.
    """

    id: int
    sha: str | None
    before: str | None
    trigger: Trigger
    received_at: datetime
    forced: bool = False


class Journal(Protocol):
    """The only truth about deployments; one writer for all but deliveries."""

    # -- written by the web process and the command line

    def record_delivery(
        self, *, guid: str, event: str, result: str, reason: str, payload: Mapping[str, object]
    ) -> bool:
        """Write a delivery durably; False if this guid is known already (nothing written).

        `payload` holds the parsed fields of a push (`ref`, `before`, `after`, `forced`,
        `pusher`), or nothing. Concurrent calls may share one commit to disk.

        Raises:
            JournalError
        """

    def request_deploy(self, sha: str | None, trigger: Trigger) -> int:
        """Write a wish of the teacher's; return the announcement's id."""

    # -- the worker's

    def unseen(self) -> tuple[Announcement, ...]:
        """Return the announcements not yet attached to a deployment, oldest first."""

    def unfinished(self) -> tuple[Deployment, ...]:
        """Return the deployments that are `queued` or `running`, oldest first."""

    def queue(
        self, sha: str, *, base_sha: str | None, ref: str, trigger: Trigger, at: datetime
    ) -> int:
        """Make a deployment in state `queued`; return its id."""

    def attach(self, announcement: int, deployment: int) -> None:
        """Say which deployment answers an announcement."""

    def start(
        self, deployment: int, *, at: datetime, base_sha: str | None, covers: Sequence[str]
    ) -> None:
        """Set `running`; steps and verdicts of an interrupted try are cleared."""

    def set_plan(self, deployment: int, plan: Plan) -> None: ...

    def add_step(self, deployment: int, step: StepRecord) -> None: ...

    def set_verdicts(self, deployment: int, verdicts: Sequence[Verdict]) -> None: ...

    def end(
        self,
        deployment: int,
        state: State,
        *,
        at: datetime,
        reason: str = "",
        statuses: Sequence[Status] = (),
        supersedes: Collection[int] = (),
    ) -> None:
        """End a deployment and those it supersedes, and owe `statuses`, in one transaction."""

    def live(self) -> Live | None:
        """Return what is known to be live and judged, None: not known, redo everything."""

    def set_live(self, live: Live | None) -> None: ...

    def dag_ids(self, paths: Collection[str]) -> frozenset[str]:
        """Return the DAG ids that the newest verdict on each of `paths` names."""

    def files_of(self, dag_ids: Collection[str]) -> Mapping[str, frozenset[str]]:
        """Return the files whose last good verdict names each of `dag_ids`, if any does.

        A file that broke or was held since keeps what it had; a deleted one has nothing.
        """

    def pusher_of(self, sha: str) -> str | None:
        """Return the GitHub login that the newest delivery of `sha` names, None without one."""

    def before_of(self, sha: str) -> str | None:
        """Return the tip that the newest announcement of `sha` named before it."""

    def forced_away(self, sha: str) -> bool:
        """Tell whether a forced push replaced `sha`, and nobody announced it again since."""

    def refusal(self, requirements_hash: str) -> str | None:
        """Return why this text was refused before, None if it was not."""

    def refuse(self, requirements_hash: str, reason: str, *, at: datetime) -> None: ...

    def condemn(self, files: Mapping[str, str], reason: str, *, at: datetime) -> None:
        """Remember that the dag-processor died of `files`, blob ids by path, and how."""

    def condemned(self) -> Mapping[tuple[str, str], str]:
        """Return why the dag-processor died, by path and blob id of what it died of."""

    def drained(self) -> Mapping[str, int]:
        """Return the slots that pools had before they were emptied; empty: none is."""

    def set_drained(self, slots: Mapping[str, int]) -> None:
        """Keep the slots of pools that are about to be emptied; empty: they have them back."""

    def beat(self, *, at: datetime, tip: str | None, tip_checked_at: datetime | None) -> None:
        """Write the worker's heartbeat; a `tip` of None keeps the one before."""

    # -- the outbox

    def owe(self, statuses: Sequence[Status], *, deployment: int, at: datetime) -> None:
        """Add statuses to the outbox.

        A status still owed for the same commit and context is replaced. One that says
        what was said last (same state and description) is not added again.
        """

    def due(self, at: datetime, limit: int = 1) -> tuple[Owed, ...]:
        """Return statuses to be tried now, oldest first."""

    def posted(self, owed: int, *, at: datetime, target_url: str | None) -> None: ...

    def try_again(self, owed: int, *, due_at: datetime, error: str) -> None: ...

    def refused(self, owed: int, *, error: str) -> None: ...

    # -- for everybody who asks

    def deployment(self, deployment: int) -> Deployment | None: ...

    def deployments(
        self, *, limit: int = 20, folder: str | None = None, state: State | None = None
    ) -> tuple[Deployment, ...]:
        """Return deployments, newest first, whole."""

    def judging(self, sha: str) -> Deployment | None:
        """Return the newest deployment of `sha` or covering it.

        A superseded one is returned only for want of another.
        """

    def complete(self, prefix: str) -> str | None:
        """Return the one commit known here that starts with `prefix`; None: none, or several."""

    def answer_to(self, announcement: int) -> Deployment | None:
        """Return the deployment that an announcement is attached to."""

    def pulse(self) -> Pulse:
        """Return what readiness is judged by."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A status in the outbox that is due, and the deployment that says it."""

    id: int
    status: Status
    attempts: int
    owed_since: datetime
    deployment: int


class Clock(Protocol):
    """Time, so that a test need not wait."""

    def now(self) -> datetime:
        """Return the time of day, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def sleep(self, seconds: float) -> None: ...


class Bell(Protocol):
    """Wakes the worker; ringing a bell that nobody hears is no error."""

    def ring(self) -> None: ...


class Listener(Protocol):
    """The other end of the bell."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until somebody rang or the time is over; several rings count once."""
