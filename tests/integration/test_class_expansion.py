"""The scheduler makes no more instances of a mapped task than it can, in the installed Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.airflow_world import ran

pytestmark = pytest.mark.airflow

EXPANDS = """
import json
from types import SimpleNamespace
import class_expansion
from airflow.models.expandinput import NotFullyPopulated
from airflow.models.taskmap import TaskMap

TaskMap.expand_mapped_task = classmethod(lambda cls, task, run_id, *, session: (["made"], 0))
class_expansion.mend()

def count(task, run_id, *, session):
    if task.task_id is None:
        raise NotFullyPopulated({"x"})
    return int(task.task_id)

class_expansion.get_mapped_ti_count = count
log = SimpleNamespace(error=lambda *_: None)
states = []
session = SimpleNamespace(execute=lambda said: states.append(said.compile().params["state"]))

def made(task_id):
    task = SimpleNamespace(dag_id="a", task_id=task_id, log=log)
    return len(TaskMap.expand_mapped_task(task, "run", session=session)[0])

print(json.dumps([[made("10000"), made("10001"), made(None)], states]))
"""


def test_a_task_that_would_become_too_many_fails_and_nothing_of_it_is_made(
    airflow_python: Path, tmp_path: Path
) -> None:
    assert ran(airflow_python, EXPANDS, tmp_path) == [[1, 0, 1], ["failed"]]
