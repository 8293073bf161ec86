"""Store DAG files as Airflow's dag-processor does, and a run of each DAG as its scheduler.

usage: persisting.py FOLDER

Runs in a container of the class's, where it makes a database of its own beside Airflow's. The
last line that it prints is a JSON object: by each file's name what that raised, or null.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import structlog
from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.dag_processing.processor import DagFileParseRequest, _parse_file
from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.deadline import Deadline
from airflow.models.taskinstance import TaskInstance
from airflow.providers.fab.auth_manager.models import Model as FabModel
from airflow.sdk.execution_time.comms import _RequestFrame
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils import timezone
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy import create_engine, make_url, select
from sqlalchemy.orm import Session

BUNDLE = "class"
DATABASE = "persisting"


def new_database() -> Session:
    """Return a session on an empty database with Airflow's tables."""
    url = make_url(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {DATABASE}")
        # The provider FAB commits a dozen times a DAG.
        connection.exec_driver_sql(f"ALTER DATABASE {DATABASE} SET synchronous_commit = off")
    engine = create_engine(url.set(database=DATABASE))
    import_all_models()
    for model in (Base, FabModel):
        model.metadata.create_all(engine)
    return Session(engine)


def stored(session: Session, file: Path) -> str | None:
    """Return what storing a file raised, as `handle_parsing_result` has it, None: nothing."""
    request = DagFileParseRequest(file=str(file), bundle_path=file.parent, bundle_name=BUNDLE)
    result = _parse_file(request, structlog.get_logger())
    assert result is not None
    try:
        _RequestFrame(id=0, body=result.model_dump()).as_bytes()
        DagFileProcessorManager.persist_parsing_result(
            None,  # it is not looked at
            bundle_name=BUNDLE,
            bundle_version=None,
            version_data=None,
            parsing_result=result,
            run_duration=0.1,
            relative_fileloc=file.name,
            session=session,
        )
        session.commit()
        for dag in result.serialized_dags:
            run(session, dag)
    except Exception as exc:  # noqa: BLE001  # the dag-processor swallows it, the scheduler ends
        session.rollback()
        return f"{type(exc).__name__}: {exc}"
    return None


def run(session: Session, dag: LazyDeserializedDAG) -> None:
    """Make a run and its tasks' instances, and reckon with its times, as the scheduler does."""
    now, whole = timezone.utcnow(), DagSerialization.from_dict(dag.data)
    version = DagVersion.get_latest_version(dag.dag_id, session=session)
    if version is None:  # FAB does not take so long a dag_id: an ordinary import error
        return
    made = DagRun(
        dag_id=dag.dag_id,
        run_id=run_id_of(whole, session.get_one(DagModel, dag.dag_id)),
        run_type=DagRunType.MANUAL,
        run_after=now,
        start_date=now,
        queued_at=now,
        state=DagRunState.RUNNING,
    )
    made.dag, made.created_dag_version_id = whole, version.id
    if whole.timetable.can_be_scheduled:  # SerializedDAG.create_dagrun
        whole.params.deep_merge(None).validate()
    session.add(made)
    session.flush()
    if whole.deadline:
        whole._process_dagrun_deadline_alerts(made, session)  # likewise
    made.verify_integrity(dag_version_id=version.id, session=session)
    session.commit()
    if whole.dagrun_timeout:  # SchedulerJobRunner._schedule_dag_run
        assert made.start_date >= timezone.utcnow() - whole.dagrun_timeout
    for instance in made.get_task_instances(session=session):
        instance.task, instance.end_date, instance.try_number = (
            whole.get_task(instance.task_id),
            now,
            1,
        )
        instance.next_retry_datetime()
        for most in (instance.task.max_active_tis_per_dag, instance.task.max_active_tis_per_dagrun):
            assert most is None or most > 0  # _executable_task_instances_to_queued
        sorted_by = select(-TaskInstance.priority_weight).where(TaskInstance.id == instance.id)
        session.execute(sorted_by).one()  # likewise
        TaskInstanceDTO.model_validate(instance, from_attributes=True)  # ExecuteTask.make
    now += timedelta(hours=1)
    passed = Deadline.dagrun_id == made.id, Deadline.deadline_time < now
    for deadline in session.scalars(select(Deadline).where(*passed)).all():
        deadline.handle_miss(session)
    session.commit()


def run_id_of(dag: SerializedDAG, model: DagModel) -> str:
    """Return what a run by time would be called, as _create_dag_runs has it."""
    if model.next_dagrun_create_after is None:
        return "run"
    info = dag.timetable.next_run_info_from_dag_model(dag_model=model)
    return dag.timetable.generate_run_id(
        run_type=DagRunType.SCHEDULED,
        run_after=info.run_after,
        data_interval=info.data_interval,
        partition_key=info.partition_key,
    )


if __name__ == "__main__":
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "client"  # as a parser has it
    with new_database() as session:
        session.add(DagBundleModel(name=BUNDLE))
        session.commit()
        files = sorted(Path(sys.argv[1]).glob("*.py"))
        found = {file.stem: stored(session, file) for file in files}
    print(json.dumps(found))  # noqa: T201  # that is its answer
