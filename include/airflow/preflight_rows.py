"""Say what the dag-processor would store of one parsed file, without a database.

The rows are made by Airflow's own code, that of `update_dag_parsing_results_in_db`
(airflow 3.3.2, dag_processing/collection.py), on a session that finds nothing and stores
nothing: so a property that a new Airflow stores is looked at too. Only where that code needs
numbers that a database gives out, the rows are made here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from airflow.dag_processing.collection import AssetModelOperation, DagModelOperation
from airflow.dag_processing.processor import DagFileParsingResult
from airflow.models.asset import (
    AssetAliasModel,
    AssetModel,
    AssetWatcherModel,
    DagScheduleAssetNameReference,
    DagScheduleAssetUriReference,
)
from airflow.models.dag import DagModel
from airflow.models.dagwarning import DagWarning
from airflow.models.errors import ParseImportError
from airflow.models.serialized_dag import DagWriteMetadata, SerializedDagModel
from airflow.models.trigger import Trigger
from airflow.serialization.encoders import encode_trigger
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.timetables.base import Timetable
from preflight_limits import Row, harm, shown
from sqlalchemy import create_mock_engine, inspect
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.orm import Session

BUNDLE = "class"


class CanNotBeStored(Exception):
    """Airflow's own code raises on what a file holds; it would log that, and go on without it."""


def harm_to_database(result: DagFileParsingResult) -> str | None:
    """Return what a file has that can't be stored, without its subject; None: all can be."""
    try:
        return harm(_rows(result))
    except CanNotBeStored as exc:
        return str(exc)


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
    yield from _of_assets(dags)
    for dag_id, dag in dags.items():
        yield from _of_dag(dag_id, dag)
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
    try:
        DagModelOperation({dag_id: dag}, BUNDLE, None).update_dags(
            {dag_id: model}, 0.0, session=session
        )
    except Exception as exc:
        said = shown(f"{type(exc).__name__}: {exc}", 100).strip("'\"")
        raise CanNotBeStored(
            f"has something in DAG {shown(dag_id)} that Airflow can't store ({said}): mend it"
        ) from exc
    # Airflow makes an ordinary import error of what is raised here (`_serialize_dag_…`).
    with contextlib.suppress(Exception):
        SerializedDagModel.write_dag(
            dag,
            bundle_name=BUNDLE,
            session=session,
            _prefetched=DagWriteMetadata(None, None, None),
        )
    yield from session.rows()


def _of_assets(dags: Mapping[str, _Dag]) -> Iterator[Row]:
    found = AssetModelOperation.collect(dags)
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


def _of_watchers(assets: Iterable[Any]) -> Iterator[Row]:
    """Yield what is stored once the DAG is no longer paused."""
    for asset in assets:
        for watcher in asset.watchers:
            name = (AssetWatcherModel.__table__.c.name, watcher.name)
            trigger = (Trigger.__table__.c.classpath, encode_trigger(watcher.trigger)["classpath"])
            yield Row((name, trigger), f"in asset {shown(asset.name)}")
