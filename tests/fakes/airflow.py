"""The one fake of `ports.Airflow`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from deployer.core.model import TaskInstance
from deployer.errors import AirflowUnreachable


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
    """Airflow as its REST API shows it.

    Attributes:
        reachable: False: every call raises AirflowUnreachable.
        alive: False: the dag-processor's heartbeat stands still.
        headless: it knows of no dag-processor.
        in_use: releases that DAGs or unfinished runs refer to.
        slots: of each pool by its name; -1: no limit.
        resizes: pools that were given slots, as `(name, slots)`, oldest first.
        tasks: those of unfinished runs; each look at who is busy gives free slots to them.
    """

    def __init__(self) -> None:
        self.reachable = True
        self.alive = True
        self.headless = False
        self.in_use: set[str] = set()
        self.slots = {"default_pool": 128}
        self.resizes: list[tuple[str, int]] = []
        self.tasks: list[Task] = []
        self._beat = datetime(2026, 1, 1, tzinfo=UTC)

    def parser_beat(self) -> datetime | None:
        self._answer()
        if self.alive:
            self._beat = datetime.now(UTC)
        return None if self.headless else self._beat

    def versions_in_use(self, among: Collection[str]) -> frozenset[str]:
        self._answer()
        return frozenset(self.in_use).intersection(among)

    def pools(self) -> Mapping[str, int]:
        self._answer()
        return dict(self.slots)

    def resize_pool(self, name: str, slots: int) -> None:
        self._answer()
        self._schedule()
        if name in self.slots:
            self.slots[name] = slots
            self.resizes.append((name, slots))

    def busy(self) -> tuple[TaskInstance, ...]:
        self._answer()
        self.tasks[:] = [task for task in self.tasks if not task.running or task.looks != 0]
        self._schedule()
        running = [task for task in self.tasks if task.running]
        for task in running:
            task.looks = None if task.looks is None else task.looks - 1
        return tuple(TaskInstance(task.dag_id, task.task_id, "running") for task in running)

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
