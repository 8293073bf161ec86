"""The class's Airflow: its REST API, the parse feed of its dag-processor, the isolated parse.

Below them what it runs on: its packages and processes, and another version of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from deployer.core.model import Examined, ProcessorCame, TaskInstance, Told, Tree, Vitals


class Airflow(Protocol):
    """The running Airflow, over its REST API."""

    def parser_beat(self) -> datetime | None:
        """Return the dag-processor's heartbeat; None: Airflow does not know of one.

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

    def busy(self) -> tuple[TaskInstance, ...]:
        """Return the task instances that are with the executor: running, queued or restarting.

        Raises:
            AirflowUnreachable, AirflowError
        """


class ParseFeed(Protocol):
    """The worker's end. Neither side ever waits for the other; everything may be told twice."""

    def present(self) -> Mapping[str, ProcessorCame]:
        """Return the dag-processors that are connected now, by their life."""

    def ask(self, release: str, *, first: Collection[str], later: Collection[str] = ()) -> None:
        """Have every dag-processor go to `release`, and parse those files of it.

        `first` before all else, `later` when there is time. Replaces what was asked before, and
        is said to each dag-processor that connects until `rest`. What was told before is dropped.
        """

    def rest(self) -> None:
        """Ask for nothing any more; what is told from now on is dropped."""

    def wait(self, timeout_s: float) -> tuple[Told, ...]:
        """Return what was told since the last call, as soon as there is anything.

        Nothing: `timeout_s` have passed, or somebody called `nudge`.
        """

    def close(self) -> None:
        """End all connections, and listen no more."""

    def nudge(self) -> None:
        """Have `wait` return now, or the next one at once; from any thread."""


class Examination(Protocol):
    """Some files that are being examined; goes on by itself until all are or it is ended."""

    @property
    def results(self) -> Mapping[str, Examined]:
        """What is known so far, by path.

        If packages move meanwhile, it is begun anew, and what was found with those before is
        forgotten; never once it is `done`.
        """

    @property
    def done(self) -> bool:
        """All are examined."""

    def wait(self, timeout_s: float) -> bool:
        """Wait until all are examined, a `nudge` or the time is over; return `done`.

        Raises:
            PreflightError: the parser itself does not work, or this was ended before.
        """

    def end(self) -> None:
        """Give up what is not yet examined, and remove what was laid out; safe to call again.

        To be called in any case. It returns when nothing of it is parsed any more.
        """


class Examiner(Protocol):
    """The isolated parser. One thread uses it, but for `nudge`."""

    def warm_up(self) -> None:
        """Make ready, so that the first push need not wait for it.

        Raises:
            PreflightError: the parser itself does not work.
        """

    def close(self) -> None:
        """End it and what is under way; the next examination makes it ready again."""

    def begin(self, tree: Tree, paths: Sequence[str]) -> Examination:
        """Begin to parse `paths` of `tree`, each in a process of its own.

        What was begun last goes first, whatever is still under way.

        Raises:
            DiskError, GitError: the files could not be laid out.
        """

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        """Parse `paths` of `tree` and wait for it; one result a path, same order.

        `on_built`: with the packages of the last `Services.build`, not with those that run.

        Raises:
            PreflightError: the parser itself does not work.
            DiskError, GitError: the files could not be laid out.
        """

    def nudge(self) -> None:
        """Have every `wait` return now; called from another thread: a new push is there.

        If nobody waits, then the next `wait` returns at once unless it need not wait at all.
        """


class Services(Protocol):
    """Airflow's services: the packages they run on, their processes, the operator's own file.

    One engine implements all of it. Whatever tells which packages there are, or moves them, raises
    DiskError too where they are kept in files.
    """

    # -- what they run on, and could run on

    def tidy(self) -> None:
        """Remove what a deployment that died left behind, what it built included.

        Raises:
            ServicesError
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

    # -- from one set of packages to another

    def recreate(self, services: Sequence[str]) -> str:
        """Stop `services` and start them on what was built; return one line about it.

        Each has as long to stop as the operator gave it; one that runs on it already may be
        left alone.

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

    def put_back(self, services: Sequence[str], *, keep: bool = False) -> str:
        """Go back to the packages before the last `build` and recreate `services`, likewise.

        `keep`: the next `recreate` tries what was built once more.

        Raises:
            ServicesError
        """

    # -- processes that may end

    def vitals(self, service: str) -> Vitals:
        """Return how one service's process stands.

        Raises:
            ServicesError: it can't be told.
        """

    def revive(self, service: str) -> None:
        """Start a service that ended, as it is, if nobody else does and nobody stopped it.

        Raises:
            ServicesError
        """

    def own_stack(self) -> str | None:
        """Return the text of the operator's own compose file, None where there is none.

        Raises:
            ServicesError: it can't be read.
        """


class OtherAirflow(Protocol):
    """Another version of Airflow: what it takes beside its packages and processes.

    What was there before is kept from `name` until `forget`, also if this process dies.
    """

    def running(self) -> str:
        """Return the version that answers.

        Raises:
            AirflowUnreachable
        """

    def begun(self) -> str | None:
        """Return the version that was named last and is not forgotten, None: there is none."""

    def name(self, version: str) -> None:
        """Let the next `Services.build` be of `version`.

        Raises:
            AirflowKept: the stack has no place for it, and what to change.
            ServicesError, DiskError
        """

    def keep_database(self) -> None:
        """Stop what writes to Airflow's database, and keep that as it is.

        Raises:
            ServicesError, DiskError
        """

    def migrate(self) -> None:
        """Bring the database to the version that services start on now.

        Raises:
            ServicesError
        """

    def take_back(self) -> None:
        """Name the version before; put the database back if it was kept, all stopped.

        Raises:
            ServicesError, DiskError
        """

    def forget(self) -> None:
        """Remove what was kept."""
