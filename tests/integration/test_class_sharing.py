"""Whose tasks are started next, by the scheduler of the installed Airflow with a class's mends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.airflow_world import ran

pytestmark = pytest.mark.airflow

PLACES = 8
STARTED = """
import json, os
from collections import Counter
from datetime import UTC, datetime
from uuid import uuid4
import class_sharing
from airflow.executors.local_executor import LocalExecutor
from airflow.jobs import scheduler_job_runner
from airflow.jobs.job import Job
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.pool import Pool
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import create_engine, insert
from sqlalchemy.orm import Session

os.environ["AIRFLOW__CORE__PARALLELISM"] = "PLACES"
class_sharing.mend()
engine = create_engine("sqlite://")
import_all_models()
Base.metadata.create_all(engine)
now = datetime.now(UTC)

def begin(session, dag_id, tasks, priority):
    session.add(DagModel(
        dag_id=dag_id, fileloc="x.py", relative_fileloc=f"{dag_id.rpartition('_')[0]}/x.py",
        bundle_name="class", is_paused=False, max_active_tasks=16, max_active_runs=1,
        has_task_concurrency_limits=False,
    ))
    session.add(DagRun(dag_id=dag_id, run_id="r", run_type="manual", run_after=now,
                       state="running"))
    session.flush()
    session.execute(insert(TaskInstance), [
        {"id": uuid4(), "dag_id": dag_id, "run_id": "r", "task_id": "t", "map_index": n,
         "state": "scheduled", "pool": "default_pool", "pool_slots": 1, "max_tries": 0,
         "priority_weight": priority, "queue": "default", "try_number": 0}
        for n in range(tasks)
    ])

def started(dags):
    with Session(engine) as session:
        for table in (TaskInstance, DagRun, DagModel):
            session.query(table).delete()
        for dag_id, tasks, priority in dags:
            begin(session, dag_id, tasks, priority)
        executor = LocalExecutor(PLACES)
        executor.name = "local"
        runner = scheduler_job_runner.SchedulerJobRunner(Job(), executors=[executor])
        runner._try_to_load_executor = lambda *_, **__: executor
        found = runner._executable_task_instances_to_queued(PLACES, session)
        session.rollback()
        return dict(Counter(one.dag_id for one in found))

with Session(engine) as session:
    session.add(DagBundleModel(name="class"))
    session.add(Pool(pool="default_pool", slots=128, include_deferred=False))
    session.commit()
print(json.dumps(list(map(started, CASES))))
"""


CASES = {
    "urgent": [
        *((f"amy_{name}", 40, 2**31 - 1) for name in "abc"),
        ("bob_a", 1, 1 - 2**31),
    ],
    "three": [(f"class_{name}_a", 40, 1) for name in ("amy", "bob", "eve")],
    "nine": [(f"s{number}_a", 1, 1) for number in range(9)],
}
"""DAGs, each with how many tasks wait, and how urgent they are."""


@pytest.fixture(scope="module")
def started(
    airflow_python: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, int]]:
    """How many tasks of each DAG have a place after one pass, by case."""
    script = STARTED.replace("CASES", repr([*CASES.values()])).replace("PLACES", str(PLACES))
    found = ran(airflow_python, script, tmp_path_factory.mktemp("sharing"))
    return dict(zip(CASES, found, strict=True))


def test_tasks_of_one_folder_however_many_and_urgent_leave_one_of_another_a_place(
    started: dict[str, dict[str, int]],
) -> None:
    assert started["urgent"]["bob_a"] == 1
    assert sum(started["urgent"].values()) == PLACES / 2 + 1


def test_several_folders_with_many_tasks_have_as_many_places_each(
    started: dict[str, dict[str, int]],
) -> None:
    assert started["three"] == {dag_id: 2 for dag_id, _, _ in CASES["three"]}


def test_no_place_is_left_where_as_many_folders_have_a_task(
    started: dict[str, dict[str, int]],
) -> None:
    assert sum(started["nine"].values()) == PLACES
