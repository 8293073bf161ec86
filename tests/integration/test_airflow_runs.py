"""Whose turn it is to get a run, in the Airflow that is installed, with the class's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.airflow_world import ran

pytestmark = pytest.mark.airflow

DUE = """
import json
from datetime import UTC, datetime
from airflow.models import import_all_models
from airflow.models.base import Base
from airflow.models.dag import DagModel
from airflow.models.dagbundle import DagBundleModel
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

engine = create_engine("sqlite://")
import_all_models()
Base.metadata.create_all(engine)
with Session(engine) as session:
    session.add(DagBundleModel(name="class"))
    for number in range(41):
        due = datetime(2025 if number else 2026, 1, 1, tzinfo=UTC)
        session.add(DagModel(
            dag_id=f"amy_{number}" if number else "bob", fileloc="x.py", bundle_name="class",
            is_paused=False, is_stale=False, max_active_tasks=1, has_task_concurrency_limits=False,
            next_dagrun=due, next_dagrun_create_after=due,
        ))
    session.commit()
    dags, _ = DagModel.dags_needing_dagruns(session)
    print(json.dumps("bob" in [dag.dag_id for dag in dags]))
"""


def test_many_dags_that_catch_up_leave_others_their_runs(
    airflow_python: Path, tmp_path: Path
) -> None:
    assert ran(airflow_python, DUE, tmp_path) is True
