"""Say what Airflow would store of one parsed file, without a database.

The rows are made by Airflow's own code on a session that finds nothing and stores nothing: so a
property that a new Airflow stores is looked at too. Those of the dag-processor by that of
`update_dag_parsing_results_in_db` (airflow 3.3.2, dag_processing/collection.py), those of a run's
tasks by that of the scheduler (`TaskInstance.insert_mapping`), which ends where the database
refuses one, and again at each start: no DAG of anybody runs then. Only where that code needs
numbers that a database gives out, the rows are made here. What else a run is made of is reckoned
out as the scheduler does: of a run that an asset sets off, it ends of any exception
(`_create_dag_runs_asset_triggered`, jobs/scheduler_job_runner.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from json import dumps
from time import thread_time
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.collection import AssetModelOperation, DagModelOperation
from airflow.dag_processing.processor import DagFileParsingResult
from airflow.exceptions import NotMapped
from airflow.executors.executor_loader import ExecutorLoader
from airflow.models import taskinstance
from airflow.models.asset import (
    AssetAliasModel,
    AssetModel,
    AssetWatcherModel,
    DagScheduleAssetNameReference,
    DagScheduleAssetUriReference,
)
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.dagwarning import DagWarning
from airflow.models.deadline import Deadline
from airflow.models.errors import ParseImportError
from airflow.models.expandinput import NotFullyPopulated
from airflow.models.serialized_dag import DagWriteMetadata, SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.definitions.deadline import SerializedReferenceModels
from airflow.serialization.encoders import encode_trigger
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.timetables.base import Timetable
from airflow.utils.types import DagRunType
from preflight_limits import MOST_TASKS, Row, harm, refusal, shown
from sqlalchemy import create_mock_engine, inspect
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.orm import Session

BUNDLE = "class"
MOST_DAGS = 200
"""Of one file, again with each parse of it. The dag-processor stores nothing of other files
meanwhile: 1,000 of two tasks took it 10 s."""
MOST_S = 0.5
"""Of a processor, to find out when a DAG runs next; a cron takes milliseconds."""
MOST_LISTED = 100_000
"""Characters of a DAG in each list of DAGs, whose page, of 50, all people of the class load."""
MOST_DEADLINES = 10
"""Of one DAG. The callbacks of those missed go before everybody's tasks: 300 took them 150 s."""
MOST_ASSETS = 1_000
"""Of one file, each time that a task or a schedule names one. Each is stored by itself with each
parse, while all other files wait (20,000: 50 s), and once more as the task that updates it ends."""

taskinstance.getuser = lambda: "airflow"
"""Who stores a row: in a container the user may have no name."""


class CanNotBeStored(Exception):
    """Airflow's own code raises on what a file holds: it would go on without it, or end of it."""


def harm_to_database(result: DagFileParsingResult) -> str | None:
    """Return what a file has that can't be stored, without its subject; None: all can be."""
    try:
        return harm(_rows(result))
    except CanNotBeStored as exc:
        return str(exc)


def assets_of(result: DagFileParsingResult) -> list[tuple[str, str]]:
    """Return name and URI of each asset that the file's DAGs use."""
    dags = {dag.dag_id: LazyDeserializedDAG(data=dag.data) for dag in result.serialized_dags}
    return sorted(AssetModelOperation.collect(dags).assets)


def _unused(*_: object, **__: object) -> None:
    """Take a statement that is never sent."""


_ENGINE = create_mock_engine("postgresql://", _unused)
"""Airflow's code asks for its dialect."""


class NoDatabase(Session):
    """A session that finds nothing and keeps what it is given."""

    def __init__(self) -> None:
        super().__init__(_ENGINE, autoflush=False)

    def execute(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401  # a dozen overloads
        return IteratorResult(SimpleResultMetaData(["nothing"]), iter(()))

    def scalars(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401  # likewise
        return self.execute().scalars()

    def scalar(self, *_: object, **__: object) -> None:
        return None

    def rows(self) -> Iterator[Row]:
        """Yield what it was given, and what hangs on that."""
        for one in self.new:
            has = vars(one)
            values = tuple(
                (attribute.columns[0], has[attribute.key])
                for attribute in inspect(one).mapper.column_attrs
                if attribute.key in has
            )
            yield Row(values, _where(one))


class _Dag(LazyDeserializedDAG):
    """A DAG that decodes its timetable once, not sixteen times, which takes milliseconds."""

    @cached_property
    def timetable(self) -> Timetable:
        return super().timetable


def _where(one: Any) -> str:  # noqa: ANN401  # a row of any table
    match one:
        case AssetModel():
            return f"in asset {shown(one.name or one.uri)}"
        case ParseImportError():
            last = (one.stacktrace or "").strip().rpartition("\n")[2]
            return f"in {shown(last, 60)}"
    dag_id = getattr(one, "dag_id", None)
    return f"in DAG {shown(dag_id)}" if dag_id else ""


def _rows(result: DagFileParsingResult) -> Iterator[Row]:
    dags = {dag.dag_id: _Dag(data=dag.data) for dag in result.serialized_dags}
    _bound_dags(len(dags))
    yield from _of_assets(dags)
    for dag_id, dag in dags.items():
        yield from _of_deadlines(dag_id, dag)  # what is stored next takes them out
        yield from _of_dag(dag_id, dag)
        yield from _of_a_run(dag_id, dag)
    session = NoDatabase()
    for filename, trace in (result.import_errors or {}).items():
        session.add(ParseImportError(filename=filename, bundle_name=BUNDLE, stacktrace=trace))
    for warning in result.warnings or ():
        session.add(DagWarning(**warning) if isinstance(warning, dict) else warning)
    yield from session.rows()


def _of_dag(dag_id: str, dag: _Dag) -> Iterator[Row]:
    session = NoDatabase()
    model = DagModel(dag_id=dag_id)
    session.add(model)
    with _refusing(f"a schedule in DAG {shown(dag_id)} that Airflow itself can't read back"):
        _ = dag.timetable
    with _refusing(f"something in DAG {shown(dag_id)} that Airflow can't store"):
        tasks = dag._real_dag.tasks  # noqa: SLF001  # as Airflow's own properties do
    for task in tasks:
        if not isinstance(task.owner, str):
            where = f"task {shown(task.task_id)} of DAG {shown(dag_id)}"
            raise CanNotBeStored(f"has {shown(task.owner)} as the owner in {where}: give one text")
    began = thread_time()
    with _refusing(f"something in DAG {shown(dag_id)} that Airflow can't store"):
        DagModelOperation({dag_id: dag}, BUNDLE, None).update_dags(
            {dag_id: model}, 0.0, session=session
        )
    if thread_time() - began > MOST_S:
        raise CanNotBeStored(
            f"has a schedule in DAG {shown(dag_id)} whose next run takes long to find, and at each "
            "run Airflow's scheduler does nothing else meanwhile: choose another"
        )
    # Airflow makes an ordinary import error of what is raised here (`_serialize_dag_…`).
    with contextlib.suppress(Exception):
        SerializedDagModel.write_dag(
            dag,
            bundle_name=BUNDLE,
            session=session,
            _prefetched=DagWriteMetadata(None, None, None),
        )
    yield from session.rows()
    if row := _first_run(dag, model):
        yield row


def _first_run(dag: _Dag, model: DagModel) -> Row | None:
    """Return of a run by time what its schedule makes up (SchedulerJobRunner._create_dag_runs).

    What that raises the scheduler catches: only that run is not made.
    """
    with contextlib.suppress(Exception):
        run = dag.timetable.next_run_info_from_dag_model(dag_model=model)
        if run is not None:
            run_id = dag.timetable.generate_run_id(
                run_type=DagRunType.SCHEDULED,
                run_after=run.run_after,
                data_interval=run.data_interval,
                partition_key=run.partition_key,
            )
            return Row(((DagRun.__table__.c.run_id, run_id),), f"in DAG {shown(model.dag_id)}")
    return None


@contextlib.contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as exc:
        said = shown(f"{type(exc).__name__}: {exc}", 100)[1:-1]
        raise CanNotBeStored(f"has {what} ({said}): mend it") from exc


def _of_a_run(dag_id: str, dag: _Dag) -> Iterator[Row]:
    """Yield what the scheduler stores when the DAG runs, and reckon with its times as it does."""
    whole, now = dag._real_dag, datetime.now(UTC)  # noqa: SLF001  # as Airflow's own properties do
    with _refusing(f"a dagrun_timeout in DAG {shown(dag_id)} that stops Airflow's scheduler"):
        now - (whole.dagrun_timeout or timedelta())  # jobs/scheduler_job_runner.py:2856
    if dag.timetable.can_be_scheduled:
        with _refusing(f"params in DAG {shown(dag_id)} with which Airflow makes no run"):
            whole.params.deep_merge(None).validate()
    _bound_tasks(dag_id, whole.tasks)
    assets = dag.timetable.asset_condition.as_expression()
    listed = (whole.description or "", dumps(assets) if assets else "", *whole.tags)
    _bound_listed(dag_id, sum(map(len, listed)))
    run = SimpleNamespace(context_carrier={})
    columns = inspect(TaskInstance).mapper.column_attrs
    for task in whole.tasks:
        where = f"task {shown(task.task_id)} of DAG {shown(dag_id)}"
        with _refusing(f"a retry_delay in {where} that stops Airflow's scheduler"):
            if not task.retry_exponential_backoff:  # that has a bound (models/taskinstance.py:1286)
                now + task.retry_delay
        with _refusing(f"something in {where} that Airflow can't store"):
            stored = TaskInstance.insert_mapping("", task, -1, dag_version_id=None, dag_run=run)
        with _refusing(f"something in {where} that stops Airflow's scheduler"):
            _ready_to_run(task, stored)
        values = ((columns[key].columns[0], stored[key]) for key in stored if key in columns)
        yield Row(tuple(values), f"in {where}")


def _bound_dags(count: int) -> None:
    if count > MOST_DAGS:
        raise CanNotBeStored(
            f"has {count} DAGs, which Airflow stores while all other files wait: "
            f"{MOST_DAGS} are allowed; expand tasks, or let one DAG do many"
        )


def _ready_to_run(task: Any, stored: Mapping[str, Any]) -> None:  # noqa: ANN401  # mapped or not
    """Do with a task what the scheduler does before it hands it out (jobs/scheduler_job_runner.py).

    Of a mapped one Airflow looks at no argument's type before (`OperatorPartial`).
    """
    if refusal(TaskInstance.__table__.c.priority_weight, -stored["priority_weight"]):
        raise OverflowError(f"{stored['priority_weight']} as a priority can't be sorted")
    for most in (task.max_active_tis_per_dag, task.max_active_tis_per_dagrun):
        _ = most is not None and most <= 0
    if not isinstance(config := stored["executor_config"], dict | None):  # TaskInstanceDTO
        raise TypeError(f"executor_config={shown(config)} is no dict")


def _bound_tasks(dag_id: str, tasks: Iterable[Any]) -> None:
    """Refuse a DAG whose run begins with too many tasks."""
    if (count := sum(map(_instances, tasks))) > MOST_TASKS:
        raise CanNotBeStored(
            f"has {count} tasks in each run of DAG {shown(dag_id)}, which Airflow makes all "
            f"at once: {MOST_TASKS} are allowed; expand over fewer, lists given together are "
            "multiplied"
        )


def _bound_listed(dag_id: str, length: int) -> None:
    if length > MOST_LISTED:
        raise CanNotBeStored(
            f"has a description, tags and assets of {length} characters in DAG {shown(dag_id)}, "
            f"which each list of DAGs shows to everybody: {MOST_LISTED} are allowed, shorten them"
        )


def _instances(task: Any) -> int:  # noqa: ANN401  # mapped or not
    """Return how many of a task there are when a run begins (models/dagrun.py, _create_tasks)."""
    try:
        return max(1, task.get_parse_time_mapped_ti_count())
    except (NotMapped, NotFullyPopulated):
        return 1


def _of_deadlines(dag_id: str, dag: _Dag) -> Iterator[Row]:
    """Yield what is stored of deadlines with a run (serialization/definitions/dag.py)."""
    fixed, session = SerializedReferenceModels.FixedDatetimeDeadline, NoDatabase()
    deadlines = dag.data["dag"].get("deadline") or ()
    if len(deadlines) > MOST_DEADLINES:
        raise CanNotBeStored(
            f"has {len(deadlines)} deadlines in DAG {shown(dag_id)}, whose callbacks go before "
            f"everybody's tasks: {MOST_DEADLINES} are allowed"
        )
    for encoded in deadlines:
        with _refusing(f"a deadline in DAG {shown(dag_id)} that stops Airflow's scheduler"):
            alert = decode_deadline_alert(encoded)
            since, interval = alert.reference, alert.interval
            begins = since._datetime if isinstance(since, fixed) else datetime.now(UTC)  # noqa: SLF001  # nothing else tells
            passes = begins + (interval if isinstance(interval, timedelta) else timedelta())
            if getattr(since, "max_runs", 0) < 0:
                raise ValueError("max_runs is less than 0")  # as a LIMIT it is refused
            missed = Deadline(passes, alert.callback, 0, None, dag_id, BUNDLE)
            told = missed.callback.data
            dict(told.get("kwargs") or {})  # as Deadline.handle_miss does
            session.add(missed)
        # One that no executor takes waits for ever, in front of everybody's.
        with _refusing(f"a deadline in DAG {shown(dag_id)} whose callback no executor takes"):
            if executor := told.get("executor"):
                ExecutorLoader.lookup_executor_name_by_str(executor)
        # To read a Variable closes the session in which the scheduler makes its runs.
        if not isinstance(interval, timedelta) and dag.timetable.can_be_scheduled:
            raise CanNotBeStored(
                f"has a VariableInterval in DAG {shown(dag_id)} that stops Airflow's scheduler: "
                "use a timedelta, or no schedule"
            )
    yield from (Row(row.values, f"in DAG {shown(dag_id)}") for row in session.rows())


def _of_assets(dags: Mapping[str, _Dag]) -> Iterator[Row]:
    found = AssetModelOperation.collect(dags)
    _bound_assets(found)
    session = NoDatabase()
    session.add_all(AssetModel.from_serialized(asset) for asset in found.assets.values())
    session.add_all(
        AssetAliasModel.from_serialized(alias) for alias in found.asset_aliases.values()
    )
    yield from session.rows()
    for model, column, references in (
        (DagScheduleAssetNameReference, "name", found.schedule_asset_name_references),
        (DagScheduleAssetUriReference, "uri", found.schedule_asset_uri_references),
    ):
        for dag_id, reference in sorted(references):
            value = (model.__table__.c[column], reference)
            yield Row((value,), f"in DAG {shown(dag_id)}")
    yield from _of_watchers(found.assets.values())


def _bound_assets(found: AssetModelOperation) -> None:
    named = (
        found.schedule_asset_references,
        found.schedule_asset_alias_references,
        found.inlet_references,
        found.outlet_references,
    )
    count = sum(len(assets) for of_dags in named for assets in of_dags.values())
    count += len(found.asset_aliases)
    if count > MOST_ASSETS:
        raise CanNotBeStored(
            f"names assets {count} times, which Airflow stores while all other files wait: "
            f"{MOST_ASSETS} times are allowed"
        )
    length = sum(len(dumps(asset.extra)) for asset in found.assets.values())
    if length > MOST_LISTED:
        raise CanNotBeStored(
            f"has extras of assets of {length} characters, which each list of assets shows to "
            f"everybody: {MOST_LISTED} are allowed, shorten them"
        )


def _of_watchers(assets: Iterable[Any]) -> Iterator[Row]:
    """Yield what is stored once the DAG is no longer paused."""
    for asset in assets:
        for watcher in asset.watchers:
            name = (AssetWatcherModel.__table__.c.name, watcher.name)
            trigger = (Trigger.__table__.c.classpath, encode_trigger(watcher.trigger)["classpath"])
            yield Row((name, trigger), f"in asset {shown(asset.name)}")
