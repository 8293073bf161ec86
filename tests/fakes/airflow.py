"""The one fake of `ports.Airflow`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import assert_never

from deployer.core.model import (
    CANARY,
    CANARY_DAG_ID,
    AirflowHealth,
    Busy,
    Observation,
    SeenDag,
    SeenError,
)
from deployer.errors import AirflowUnreachable

ROOT = "/srv/class-airflow/releases"
LINK = "/srv/class-airflow/current"
CLONE = "/opt/airflow/bundles/students/tracking_repo"


class Bundle(StrEnum):
    """What Airflow reads DAG files by."""

    CLASS = "class"
    LOCAL = "LocalDagBundle"
    GIT = "GitDagBundle"


@dataclass(frozen=True)
class Broken:
    """A file that does not parse.

    Attributes:
        error: the last line of its trace.
        line: of the file, in the trace; None: the trace is that last line alone.
    """

    error: str = "ModuleNotFoundError: No module named 'nothing_of_that_name'"
    line: int | None = 2


Contents = tuple[str, ...] | Broken
"""What a file holds: the ids of its DAGs, or why it does not parse."""


@dataclass
class Task:
    """A task instance of an unfinished run.

    Attributes:
        pool: where it takes a slot.
        looks: at so many more looks it is still busy; None: until it is taken out of `tasks`.
        running: it got its slot, and keeps it whatever becomes of the pool.
    """

    dag_id: str
    task_id: str
    pool: str = "default_pool"
    looks: int | None = None
    running: bool = False


class FakeAirflow:
    """Airflow, by default with the class's bundle, whose dag-processor looks when poked.

    A test says what `serve` publishes; a `poke` parses what changed since the one before,
    as Airflow does: unchanged files keep the release they were parsed from, a file that
    breaks leaves its DAGs stale at the release before.

    With a LocalDagBundle on `current` it does so too, but no path names the release. With a
    GitDagBundle there is no canary: it sees by itself what is new, and parses again the files
    of the DAGs that a poke names; its version is the name of what is served.

    Attributes:
        bundle: what it reads by.
        ahead: version that a GitDagBundle is at, None: that of the release.
        behind: paths of which the next parse began before the release was served, so that it
            still finds what it found before.
        reachable: False: every call raises AirflowUnreachable.
        poked_by_name: DAGs whose files were asked for.
        pokes: how often it was poked.
        looks_late: observations after a poke that do not show it yet.
        deaf: paths that are never parsed (their parser crashes without a trace).
        alive: False: the dag-processor does nothing, its heartbeat stands still.
        headless: it knows of no dag-processor.
        at_a_look: how many files it parses at a poke, the canary first; None: all.
        jammed: it beats, and parses what it parses for minutes: nothing that was changed.
        pinned: releases that unfinished runs refer to.
        slots: of each pool by its name; -1: no limit.
        resizes: pools that were given slots, as `(name, slots)`, oldest first.
        tasks: those of unfinished runs; each look at who is busy gives free slots to them.
    """

    def __init__(self, bundle: Bundle = Bundle.CLASS) -> None:
        self.bundle = bundle
        self.ahead: str | None = None
        self.behind: set[str] = set()
        self.reachable = True
        self.pokes = 0
        self.poked_by_name: set[str] = set()
        self.looks_late = 0
        self.deaf: set[str] = set()
        self.alive = True
        self.jammed = False
        self.at_a_look: int | None = None
        self.headless = False
        self.pinned: set[str] = set()
        self.slots = {"default_pool": 128}
        self.resizes: list[tuple[str, int]] = []
        self.tasks: list[Task] = []
        self._release = ""
        self._served: dict[str, Contents] = {}
        self._before: dict[str, Contents] = {}
        self._changed: set[str] = set()
        self._dags: dict[str, SeenDag] = {}
        self._errors: dict[str, SeenError] = {}
        self._clock = 0
        self._late = 0
        self._beat = datetime(2026, 1, 1, tzinfo=UTC)

    def serve(self, release: str, changes: Mapping[str, Contents | None]) -> None:
        """Make `release` the live one: that before with `changes` (None: deleted).

        The canary comes with every release, written anew.
        """
        self._release = release
        self._before = dict(self._served)
        canary = {} if self.bundle is Bundle.GIT else {CANARY: (CANARY_DAG_ID,)}
        for path, contents in {**changes, **canary}.items():
            self._changed.add(path)
            if contents is None:
                self._served.pop(path, None)
            else:
                self._served[path] = contents

    def touch(self, paths: Collection[str]) -> None:
        """Have files parsed again that are served out of a release."""
        if self.bundle is not Bundle.GIT:
            self._changed |= set(paths) & self._served.keys()

    def look(self) -> None:
        """Parse what changed, as the dag-processor does by itself at its next refresh."""
        if not self.alive or self.jammed:
            return
        parsed = sorted(self._changed - self.deaf, key=lambda path: (path != CANARY, path))
        for path in parsed[: self.at_a_look]:
            self._parse(path)
        self._changed -= set(parsed[: self.at_a_look])

    # -- ports.Airflow

    def poke(self, dag_ids: Collection[str] = ()) -> None:
        self._answer()
        self.pokes += 1
        self.poked_by_name |= set(dag_ids)
        self._late = self.looks_late
        known = self._files({CANARY_DAG_ID, *dag_ids})
        self._changed.update(path for path in known if path in self._served)
        if known and not self._late:
            self.look()

    def observe(self, release: str, dag_ids: Collection[str]) -> Observation:
        self._answer()
        by_itself = self.bundle is Bundle.GIT
        if self._late:
            self._late -= 1
            by_itself = not self._late
        if by_itself:
            self.look()
        wanted = set(dag_ids)
        return Observation(
            dags=tuple(
                dag for dag in self._dags.values() if dag.version == release or dag.dag_id in wanted
            ),
            errors=tuple(self._errors.values()),
        )

    def health(self) -> AirflowHealth:
        self._answer()
        if self.alive:
            self._beat = datetime.now(UTC)
        beat = None if self.headless else self._beat
        return AirflowHealth(datetime.now(UTC), beat, database_ok=True)

    def versions_in_use(self, among: Collection[str]) -> frozenset[str]:
        self._answer()
        by_dags = {dag.version for dag in self._dags.values() if dag.version and not dag.stale}
        return frozenset(by_dags | self.pinned).intersection(among)

    def pools(self) -> Mapping[str, int]:
        self._answer()
        return dict(self.slots)

    def resize_pool(self, name: str, slots: int) -> None:
        self._answer()
        self._schedule()
        if name in self.slots:
            self.slots[name] = slots
            self.resizes.append((name, slots))

    def busy(self) -> tuple[Busy, ...]:
        self._answer()
        self.tasks[:] = [task for task in self.tasks if not task.running or task.looks != 0]
        self._schedule()
        running = [task for task in self.tasks if task.running]
        for task in running:
            task.looks = None if task.looks is None else task.looks - 1
        return tuple(Busy(task.dag_id, task.task_id, "running") for task in running)

    # -- inside

    def _schedule(self) -> None:
        """Let those begin for whom there is a slot, as the scheduler does all the time."""
        for task in self.tasks:
            slots = self.slots.get(task.pool, 0)
            taken = sum(other.running and other.pool == task.pool for other in self.tasks)
            task.running = task.running or slots == -1 or taken < slots

    def _answer(self) -> None:
        if not self.reachable:
            raise AirflowUnreachable("no answer from the fake")

    def _files(self, dag_ids: Collection[str]) -> set[str]:
        return {self._dags[dag_id].path for dag_id in dag_ids if dag_id in self._dags}

    def _place(self) -> tuple[str, str | None]:
        """Return the root of what is read, and the bundle's version."""
        match self.bundle:
            case Bundle.CLASS:
                return f"{ROOT}/{self._release}", self._release
            case Bundle.LOCAL:
                return LINK, None
            case Bundle.GIT:
                return CLONE, self.ahead or self._release
            case _ as never:
                assert_never(never)

    def _parse(self, path: str) -> None:
        self._clock += 1
        stamp = f"2026-01-01T00:00:00.{self._clock:06}Z"
        contents = (self._before if path in self.behind else self._served).get(path)
        self.behind.discard(path)
        root, version = self._place()
        fileloc = f"{root}/{path}"
        self._errors.pop(path, None)
        found = contents if isinstance(contents, tuple) else ()
        for dag in [d for d in self._dags.values() if d.path == path and d.dag_id not in found]:
            self._dags[dag.dag_id] = replace(dag, stale=True)
        told = self._release if path == CANARY else ""
        for dag_id in found:
            self._dags[dag_id] = SeenDag(
                dag_id, path, fileloc, stamp, version=version, description=told
            )
        if isinstance(contents, Broken):
            trace = (
                "Traceback (most recent call last):\n"
                f'  File "{fileloc}", line {contents.line}, in <module>\n'
                if contents.line
                else ""
            ) + f"{contents.error}\n"
            self._errors[path] = SeenError(path, trace, stamp)
