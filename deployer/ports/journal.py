"""The only truth about deployments."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from deployer.core.alerts import ClassStanding
from deployer.core.invariants import Audit
from deployer.core.model import (
    Closed,
    Deployment,
    Duplicate,
    Ending,
    Freeze,
    Heard,
    Live,
    Owed,
    Plan,
    ProcessorCame,
    Pulse,
    Refusal,
    Running,
    State,
    Status,
    StatusState,
    StepRecord,
    Tally,
    Trigger,
    Verdict,
)


@dataclass(frozen=True, slots=True)
class Announcement:
    """A commit that a push named as the branch's tip, or that somebody asked for.

    Attributes:
        id: grows in the order of arrival.
        sha: None: "whatever the tip is" (`deployer deploy`).
        before: tip that the push named before it, None if there was none or it is not known.
        trigger: who named it: a delivery, or the teacher.
        forced: the push said it rewrote history.
    """

    id: int
    sha: str | None
    before: str | None
    trigger: Trigger
    received_at: datetime
    forced: bool = False


class Journal(Protocol):
    """The only truth about deployments: each method raises JournalError where it
    can't be read or written.

    The worker alone writes, but for deliveries and what a teacher types: requests, freezes, logins.
    """

    # -- written by the web process and the command line

    def record_delivery(
        self, *, guid: str, event: str, result: str, reason: str, payload: Mapping[str, object]
    ) -> bool:
        """Write a delivery durably; False if this guid was taken already (nothing written).

        One that was ignored was not taken: redelivered, it replaces what is known of it.

        `payload` holds the parsed fields of a push (`ref`, `before`, `after`, `forced`,
        `pusher`, those of its `Origin`), or nothing. Concurrent calls may share one commit to disk.

        Raises:
            JournalError
        """

    def request_deploy(self, sha: str | None, trigger: Trigger) -> int:
        """Write a request of the teacher's; return the announcement's id."""

    def freeze(self, why: str, *, by: str, until: datetime | None) -> Freeze:
        """Say that nothing is deployed from now on, in place of what was said before.

        What was rolled back stays so.

        Raises:
            NotNow: another Airflow is put in, which ends its own freeze.
        """

    def roll_back(self, sha: str, why: str, *, by: str) -> int:
        """Freeze with `sha` live, and write the request for it; return the announcement's id.

        Raises:
            NotNow: as for `freeze`.
        """

    def unfreeze(self, *, by: str) -> Freeze | None:
        """End the freeze and return it, None: none holds.

        Raises:
            NotNow: as for `freeze`.
        """

    # -- the worker's

    def frozen(self, at: datetime) -> Freeze | None:
        """Return the freeze that holds at that time."""

    def unseen(self) -> tuple[Announcement, ...]:
        """Return the announcements not yet attached to a deployment, oldest first."""

    def unfinished(self) -> tuple[Deployment, ...]:
        """Return the deployments that are `queued` or `running`, oldest first.

        Without what hangs on them: commits covered, steps, verdicts, statuses.
        """

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

    def doing(self, deployment: int, running: Running) -> None:
        """Say at which step a deployment is, until the step is added."""

    def wait_for(
        self, deployments: Collection[int], words: str, *, at: datetime, statuses: Sequence[Status]
    ) -> None:
        """Say what queued deployments wait for until they start, and owe `statuses`, one each."""

    def set_verdicts(self, deployment: int, verdicts: Sequence[Verdict]) -> None: ...

    def end(
        self,
        deployment: int,
        ending: Ending,
        *,
        at: datetime,
        statuses: Sequence[Status] = (),
        supersedes: Collection[int] = (),
        live: Live | None = None,
    ) -> None:
        """End a deployment and those it supersedes, and owe `statuses`, in one transaction.

        `live`: what is live and judged now, None: what was known of that stays.
        """

    def supersede(
        self, deployment: int, reason: str, *, at: datetime, statuses: Sequence[Status] = ()
    ) -> None:
        """End a deployment in whose place another answers, and owe `statuses`; as `end` does."""

    def live(self) -> Live | None:
        """Return what is known to be live and judged, None: not known, redo everything."""

    def set_live(self, live: Live | None) -> None: ...

    def stays(self) -> tuple[tuple[str, str], ...]:
        """Return the `Live.stays` of what was known to be live last."""

    def packages(self) -> str | None:
        """Return the text of `requirements.txt` whose packages the last live commit runs with.

        None: not known.
        """

    def set_packages(self, text: str) -> None: ...

    def were_good(self, paths: Collection[str], *, before: int) -> frozenset[str]:
        """Return those of `paths` whose newest verdict before deployment `before` was good."""

    def judged(self) -> frozenset[str]:
        """Return the files that Airflow has by their newest verdicts, `held` ones passed over.

        What is held may be no DAG file, or never have been live.
        """

    def duplicates(self, paths: Collection[str]) -> tuple[Duplicate, ...]:
        """Return for which claims of a `dag_id` those of `paths` are held, by newest verdicts."""

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

    def refusals(self) -> Mapping[str, Refusal]:
        """Return why requirements were refused before, by fingerprint."""

    def refuse(self, requirements_hash: str, refusal: Refusal, *, at: datetime) -> None: ...

    def lift(self, requirements_hash: str) -> None:
        """Forget that this text was refused: it is installed, or its refusal lapsed."""

    def condemn(self, files: Mapping[str, str], reason: str, *, at: datetime) -> None:
        """Remember that the dag-processor died of `files`, blob ids by path, and how."""

    def condemned(self) -> Mapping[tuple[str, str], str]:
        """Return why the dag-processor died, by path and blob id of what it died of."""

    def pardon(self) -> None:
        """Forget what the dag-processor died of, and all refusals: somebody asks for all anew."""

    def drained(self) -> Mapping[str, int] | None:
        """Return the slots, by pool, that a rollout took and is to give back; empty: there is none.

        None: a rollout is at work, or was cut short and has to be ended, and took none.
        """

    def set_drained(self, slots: Mapping[str, int] | None) -> None:
        """Say that a rollout is at work, and which slots it is about to take; empty: it is over."""

    def beat(
        self,
        *,
        at: datetime,
        tip: str | None = None,
        tip_checked_at: datetime | None = None,
        processors: Collection[ProcessorCame] | None = None,
        drift: str | None = None,
        edited: str | None = None,
    ) -> None:
        """Write the worker's heartbeat, and what else is given; None keeps what is there."""

    # -- the outbox

    def owe(self, statuses: Sequence[Status], *, deployment: int, at: datetime) -> None:
        """Add statuses to the outbox.

        A status still owed for the same commit and context is replaced. One that says
        what was said last (same state and description) is not added again, nor is a
        `pending` whose verdict is owed or posted.
        """

    def due(self, at: datetime, limit: int = 1) -> tuple[Owed, ...]:
        """Return statuses that may be posted now, those among which the next one is chosen.

        The first `limit` by `pacing.urgency`, then those by `pacing.patience`, each once. One
        that is due later than any retry may be was timed before the clock was set back: it is due.
        """

    def posted(self, owed: int, *, at: datetime, target_url: str | None) -> None: ...

    def try_again(
        self, owed: int, *, due_at: datetime, error: str, closed: Closed | None = None
    ) -> None:
        """Say when a status is due again, and, if GitHub said so, that it takes none for now."""

    def closed(self) -> Closed | None:
        """Return what GitHub said last on when to come back."""

    def posted_since(self, at: datetime, limit: int) -> tuple[datetime, ...]:
        """Return when the newest statuses were posted, oldest first."""

    def refused(self, owed: int, *, error: str) -> None: ...

    def shown(self, sha: str, context: str) -> StatusState | None:
        """Return what a commit was last said to be, in a context; None: nothing yet."""

    def open_contexts(self, sha: str) -> tuple[str, ...]:
        """Return the contexts in which a commit was last said to be pending or in error."""

    def prune(self, before: datetime) -> int:
        """Remove some of what ended before then and decides nothing; return how many deployments.

        Deployments, with what hangs on them; deliveries; texts once refused, files once
        condemned; freezes that are over. Kept are those whose verdict on a file still stands, what
        is live, owed statuses and commits in `error`.
        """

    # -- who may see it (`core/access.py`)

    def link_key(self) -> str:
        """Return the key that signs the links of statuses; it was made with the journal."""

    def set_link_key(self, key: str) -> None:
        """Sign with another key from now on: what links there are open nothing any more."""

    def admit(self, fingerprint: str, *, at: datetime, until: datetime | None) -> None:
        """Let in whoever has the secret of that fingerprint; without `until` for good."""

    def admitted(self, fingerprint: str, at: datetime) -> bool:
        """Tell whether the secret of that fingerprint lets in."""

    def exchange(self, once: str, fingerprint: str, *, at: datetime, until: datetime) -> bool:
        """Let in `fingerprint` in place of `once`; False if that one lets nobody in (any more)."""

    def revoke(self) -> int:
        """Let nobody in who was; return how many secrets that ends."""

    # -- what the teacher is told

    def standing(self) -> ClassStanding:
        """Return how the class stands, by its deployments."""

    # -- for everybody who asks

    def deployment(self, deployment: int) -> Deployment | None: ...

    def deployments(
        self, *, limit: int = 20, folder: str | None = None, state: State | None = None
    ) -> tuple[Deployment, ...]:
        """Return deployments, newest first, whole but for the traces of errors.

        A request that was refused, for it named a commit that is not on the branch, is none.
        """

    def judging(self, sha: str) -> Deployment | None:
        """Return the newest deployment of `sha` or covering it.

        A superseded one is returned only for want of another.
        """

    def heard(self, what: str) -> tuple[Heard, ...]:
        """Return the delivery with that id, or all that named that commit, oldest first."""

    def about(self, sha: str) -> tuple[Deployment, ...]:
        """Return the deployments of `sha` or covering it, oldest first; of many the newest 50."""

    def in_error(self) -> tuple[tuple[int, str], ...]:
        """Return the commits whose newest deployment, of those with an ending, is in `error`.

        Each with that deployment, oldest first.
        """

    def complete(self, prefix: str) -> str | None:
        """Return the one commit known here that starts with `prefix`, None: there is none.

        Raises:
            DeployerError: there are several.
        """

    def answer_to(self, announcement: int) -> Deployment | None:
        """Return the deployment that an announcement is attached to."""

    def audit(self, at: datetime) -> Audit:
        """Return what is not as it must be at any moment."""

    def pulse(self) -> Pulse:
        """Return what readiness is judged by."""

    def tally(self) -> Tally:
        """Return how many of each kind the journal holds."""
