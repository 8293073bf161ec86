"""Have the scheduler make no more instances of a mapped task at once than it can.

`expand` over several lists multiplies them. How long those are that tasks return is known only as
the DAG runs, and `[core] max_map_length` bounds each, not their product (airflow 3.3.2,
models/taskmap.py): over three lists of 1,024 the scheduler made a billion instances in one
transaction. Nothing of anybody ran until its memory was full, and again after its next start.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.models.expandinput import NotFullyPopulated
from airflow.models.taskinstance import TaskInstance
from airflow.models.taskmap import TaskMap
from airflow.serialization.definitions.mappedoperator import get_mapped_ti_count
from airflow.utils.state import TaskInstanceState
from preflight_limits import MOST_TASKS
from sqlalchemy import update


def mend() -> None:
    """Have a task fail, whole, that would become too many.

    Raises:
        AttributeError: another Airflow's has not what this builds on.
    """
    theirs = TaskMap.expand_mapped_task

    def expand(
        cls: type[TaskMap],  # noqa: ARG001  # theirs is bound to it
        task: Any,  # noqa: ANN401  # mapped or not
        run_id: str,
        *,
        session: Any,  # noqa: ANN401  # SQLAlchemy's
    ) -> tuple[Sequence[TaskInstance], int]:
        try:
            count = get_mapped_ti_count(task, run_id, session=session)
        except NotFullyPopulated:
            count = 0
        if count <= MOST_TASKS:
            found: tuple[Sequence[TaskInstance], int] = theirs(task, run_id, session=session)
            return found
        task.log.error("%r would become %s instances, %s are made at most", task, count, MOST_TASKS)
        session.execute(
            update(TaskInstance)
            .where(
                TaskInstance.dag_id == task.dag_id,
                TaskInstance.task_id == task.task_id,
                TaskInstance.run_id == run_id,
                TaskInstance.map_index == -1,
            )
            .values(state=TaskInstanceState.FAILED)
            .execution_options(synchronize_session="fetch")
        )
        return (), -1

    TaskMap.expand_mapped_task = classmethod(expand)
