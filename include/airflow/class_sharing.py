"""Have the scheduler leave places for the tasks of others, however many one folder has.

Airflow's own (3.3.2, `SchedulerJobRunner._executable_task_instances_to_queued`) starts what is most
urgent, then what has the earliest logical date. With one student's tasks in each place, and more of
them waiting, nobody else's began for hours; also where they are short, since a run by hand has no
logical date and comes last.

Here a folder with n tasks in a place gets one more just while more than n are free: by itself half
of them, beside another one a third. So there is one for whoever has none; and it is looked for in
the same pass, for with very many tasks the next one comes after those have ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from airflow.configuration import conf
from airflow.jobs import scheduler_job_runner
from airflow.jobs.scheduler_job_runner import ConcurrencyMap, SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import Subquery, and_, case, select
from sqlalchemy.orm import Session

Run = tuple[str, str]
"""dag_id and run_id."""
TOO_MANY = 2**31 - 1
"""Tasks of a run, as many as any `DagModel.max_active_tasks` allows: then it gets no more."""


class Shares(Counter[Run]):
    """How many tasks of a run have a place; of a folder that gets no more now, too many."""

    def __init__(self, active: Mapping[Run, int], folders: Mapping[str, str], places: int) -> None:
        super().__init__(active)
        self._folders, self._places = folders, places

    def __getitem__(self, run: Run) -> int:
        return TOO_MANY if self.full(self._folders.get(run[0])) else self.get(run, 0)

    def full(self, folder: str | None) -> bool:
        has = sum(n for (dag_id, _), n in self.items() if self._folders.get(dag_id) == folder)
        return has >= self._places - self.total()


def mend() -> None:
    """Have Airflow count so, and ask until all that may be started is found.

    Raises:
        AttributeError: another Airflow's has not what this builds on.
    """
    theirs = SchedulerJobRunner._executable_task_instances_to_queued  # noqa: SLF001  # nothing else chooses
    active = scheduler_job_runner._get_current_dr_task_concurrency  # noqa: SLF001  # likewise
    _ = ConcurrencyMap().dag_run_active_tasks_map
    places = conf.getint("core", "parallelism")
    full: set[str] = set()

    class Sharing(ConcurrencyMap):
        def load(self, session: Session) -> None:
            super().load(session)
            files = session.execute(select(DagModel.dag_id, DagModel.relative_fileloc)).tuples()
            folders = {dag_id: (file or "").partition("/")[0] for dag_id, file in files}
            shares = Shares(self.dag_run_active_tasks_map, folders, places)
            self.dag_run_active_tasks_map = shares
            fullness = {folder: shares.full(folder) for folder in {*folders.values()}}
            full.clear()
            full.update(dag_id for dag_id, folder in folders.items() if fullness[folder])

    def counted(states: Iterable[TaskInstanceState]) -> Subquery:
        """Pass over the DAGs of a folder that gets no more now, at once."""
        own = active(states)
        of_run = and_(own.c.dag_id == DagRun.dag_id, own.c.run_id == DagRun.run_id)
        count = case((DagRun.dag_id.in_(full), TOO_MANY), else_=own.c.task_per_dr_count)
        return (
            select(DagRun.dag_id, DagRun.run_id, count.label("task_per_dr_count"))
            .join(own, of_run, isouter=True)
            .where(DagRun.state == DagRunState.RUNNING)
            .subquery()
        )

    def executable(self: SchedulerJobRunner, max_tis: int, session: Session) -> list[TaskInstance]:
        found: list[TaskInstance] = []
        while len(found) < max_tis:
            more = theirs(self, max_tis - len(found), session)
            if not more:
                break
            found += more
        return found

    scheduler_job_runner.ConcurrencyMap = Sharing
    scheduler_job_runner._get_current_dr_task_concurrency = counted  # noqa: SLF001  # likewise
    SchedulerJobRunner._executable_task_instances_to_queued = executable  # noqa: SLF001  # likewise
