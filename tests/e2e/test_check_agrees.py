"""`deployer check` in a student's clone says what the live verdict then says, file by file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from deployer.core.tree.publishable import shown
from deployer.demo.stage import Stage
from tests.dag_cases import CASES, NO_VERDICT, STUDENT, Case
from tests.e2e.watching import begin_check, verdicts

pytestmark = pytest.mark.airflow

BOUND_S = 300.0
FOLDERS = (STUDENT, f"{STUDENT}_b")
Verdicts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Both:
    """The verdicts on all cases, by path."""

    checked: Verdicts
    live: Verdicts


ASKS = """\
from airflow.sdk import BaseHook, DAG, Variable

Variable.get("nowhere", default=None)
try:
    BaseHook.get_connection("nowhere")
except Exception:
    with DAG("class_demo_asks", schedule=None, tags=["student:class_demo"]):
        pass
"""


@pytest.fixture(scope="module")
def both(stage: Stage) -> Iterator[Both]:
    """Check all cases in a clone while they are on their way as one push."""
    teacher = stage.student("teacher")
    # The first question of any file has the dag-processor build its API, for seconds in which it
    # sees to nobody: with all of these at once, some would be over their time on a busy machine.
    teacher.commit("Ask once", {"dags/class_demo/asks.py": ASKS})
    asked = verdicts(stage, teacher.push(), "class_demo", bound_s=BOUND_S)
    assert "class_demo_asks" in asked["airflow/class_demo"][1]
    files = {case.path(name): content for case in CASES for name, content in case.files.items()}
    teacher.commit("Every kind of DAG file", files)
    check = begin_check(teacher.copy, "dags")
    try:
        push = teacher.push()
        verdicts(stage, push, *FOLDERS, bound_s=BOUND_S)
        deployment = stage.get(f"/api/v1/commits/{push.sha}").json()
        out, err = check.communicate(timeout=BOUND_S)
    finally:
        check.kill()
        check.wait()
    assert check.returncode == 1, err
    yield Both(_by_path(json.loads(out)["files"]), _by_path(deployment["verdicts"]))
    teacher.commit("Take them out again", dict.fromkeys(files))
    taken_out = verdicts(stage, teacher.push(), *FOLDERS, bound_s=BOUND_S)
    assert {state for state, _ in taken_out.values()} == {"success"}


def _by_path(found: list[dict[str, Any]]) -> Verdicts:
    return {verdict["path"]: verdict for verdict in found}


def _said(found: Verdicts, path: str) -> tuple[object, ...]:
    """Return of a verdict what must not differ; messages may name another place on disk."""
    verdict = found.get(path)
    if verdict is None:
        return (NO_VERDICT, [], None, None)
    error = verdict["error"] or {}
    return (verdict["outcome"], verdict["dag_ids"], error.get("type"), error.get("line"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check_and_the_live_verdict_say_the_same_and_what_the_table_says(
    both: Both, case: Case
) -> None:
    for name, expected in case.says.items():
        path = shown(case.path(name).encode())
        says = (expected.outcome, list(expected.dag_ids), expected.error, expected.line)
        assert (path, _said(both.checked, path)) == (path, says)
        assert (path, _said(both.live, path)) == (path, says)
        for found in (both.checked, both.live):
            assert expected.words in ((found.get(path, {}).get("error") or {}).get("message", ""))


def test_neither_judges_a_file_that_the_table_does_not_name(both: Both) -> None:
    named = {shown(case.path(name).encode()) for case in CASES for name in case.says}
    cases = tuple(f"dags/{folder}/" for folder in FOLDERS)
    assert {path for path in both.live if path.startswith(cases)} <= named
    assert {path for path in both.checked if path.startswith(cases)} <= named
