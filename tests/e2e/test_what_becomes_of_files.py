"""Whatever a file becomes, its commit says so: the table of tests/kinds.py, pushed for real.

Its files stay in the class: named so that it comes after what has the whole class judged anew.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from deployer.demo.stage import Stage
from deployer.demo.student import Push
from tests.e2e.asking_airflow import until
from tests.e2e.hold import Hold
from tests.e2e.watching import (
    BOUND_S,
    ENDS,
    begin_check,
    owed_verdicts,
    shown,
    stop_between_writes,
    verdicts,
    wait_until,
    wait_until_announced,
)
from tests.kinds import KINDS, ROUNDS, Kind, Says, Step, file

pytestmark = pytest.mark.airflow

SLOW = ("slow", "endless")
SLOW_ROUND = 1

Json = Mapping[str, Any]
STEPS = [(kind, number) for kind in KINDS for number in range(len(kind.steps))]
"""Each step of each case: a failing test names both."""


@dataclass(frozen=True)
class Round:
    """What became of step k of all cases.

    Attributes:
        deployment: as JSON.
        said: state and description by context.
        live: contents of files under `dags/` by path from there, None: it is not there.
        checked: what `deployer check` said of the slow ones, in their round.
    """

    deployment: Json
    said: Mapping[str, tuple[str, str]]
    live: Mapping[str, str | None]
    checked: tuple[Json, ...]


def steps(number: int) -> list[tuple[Kind, Step]]:
    return [(kind, kind.steps[number]) for kind in KINDS if number < len(kind.steps)]


def at(path: str) -> str:
    """Return the path in the repository of a path of the table."""
    return path if path.startswith("include/") else f"dags/{path}"


def folders(number: int) -> list[str]:
    """Return the folders in which the files of a round lie."""
    paths = [path for _, step in steps(number) for path in step.files]
    return sorted({path.split("/")[0] for path in paths if not path.startswith("include/")})


@pytest.fixture(scope="module")
def rounds(stage: Stage) -> list[Round]:
    """Push step after step, each as soon as the one before is judged."""
    teacher = stage.student("teacher")
    pushes, found = [], []
    for number in range(ROUNDS):
        files = {at(path): text for _, step in steps(number) for path, text in step.files.items()}
        teacher.commit(f"Step {number}", files)
        paths = [at(folder) for folder in SLOW] if number == SLOW_ROUND else []
        with begin_check(teacher.copy, *paths) if paths else nullcontext() as check:
            pushes.append(teacher.push())
            deployment = judged(stage, pushes[-1])
            checked = json.loads(check.communicate(timeout=BOUND_S)[0])["files"] if check else ()
        found.append((deployment, live_now(stage, number), tuple(checked)))
    return [
        Round(deployment, owed_verdicts(stage, push, *folders(number)), live, checked)
        for number, (push, (deployment, live, checked)) in enumerate(
            zip(pushes, found, strict=True)
        )
    ]


def live_now(stage: Stage, number: int) -> dict[str, str | None]:
    release = stage.settings.checkout_dir / "current" / "dags"
    return {
        path: (release / path).read_text() if (release / path).exists() else None
        for _, step in steps(number)
        for path in step.live
    }


def judged(stage: Stage, push: Push) -> Json:
    """Return the deployment of a commit, once it has ended."""

    def ended() -> Json | None:
        answer = stage.get(f"/api/v1/commits/{push.sha}")
        return answer.json() if answer.is_success and answer.json()["finished_at"] else None

    return until(ended, f"the end of {push.sha[:7]}")


def seconds(deployment: Json) -> float:
    """Return how long it took from the announcement to the last verdict."""
    began, ended = (datetime.fromisoformat(deployment[at]) for at in ("queued_at", "finished_at"))
    return (ended - began).total_seconds()


def of_case(kind: Kind, deployment: Json) -> dict[str, Json]:
    """Return the verdicts in the case's folders, by path from `dags/`."""
    mine = {kind.name, f"{kind.name}_b"}
    return {
        v["path"].removeprefix("dags/"): v for v in deployment["verdicts"] if v["folder"] in mine
    }


def agrees(says: Says, folder: str, verdict: Json) -> None:
    error = verdict["error"] or {}
    assert re.fullmatch(says.outcome, verdict["outcome"]), verdict
    assert (error.get("type"), error.get("line")) == (says.error, says.line), verdict
    assert re.search(says.words, error.get("message", "")), verdict
    if says.dag_ids is not None:
        assert verdict["dag_ids"] == [f"{folder}_{name}" for name in says.dag_ids]
    if says.proof is not None:
        assert verdict["proof"] == says.proof


@pytest.mark.parametrize(
    ("kind", "number"), STEPS, ids=[f"{kind.name}-{number}" for kind, number in STEPS]
)
def test_a_step_ends_as_the_table_says(rounds: list[Round], kind: Kind, number: int) -> None:
    step, done = kind.steps[number], rounds[number]
    found = of_case(kind, done.deployment)
    assert found.keys() == step.says.keys()
    for path, says in step.says.items():
        agrees(says, path.partition("/")[0], found[path])
    if step.state is None:
        assert f"airflow/{kind.name}" not in done.said
    else:
        state, text = done.said[f"airflow/{kind.name}"]
        assert (state, bool(re.fullmatch(step.text, text))) == (step.state, True), text
    if step.others:
        assert done.said[f"airflow/{kind.name}_b"] == step.others
    assert {path: done.live[path] for path in step.live} == step.live


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_commit_shows_the_folders_that_it_changes_and_none_stays_pending(
    rounds: list[Round], number: int
) -> None:
    said = rounds[number].said
    assert said.keys() == {"airflow/deploy", *(f"airflow/{name}" for name in folders(number))}
    assert {state for state, _ in said.values()} <= ENDS


@pytest.mark.parametrize("number", range(ROUNDS))
def test_a_commit_is_red_as_a_whole_if_it_breaks_files_of_folders_that_it_does_not_touch(
    rounds: list[Round], number: int
) -> None:
    breaks = any(step.breaks for _, step in steps(number))
    state, text = rounds[number].said["airflow/deploy"]
    assert (state, text.startswith("breaks ")) == ("failure" if breaks else "success", breaks)


@pytest.mark.parametrize("number", range(ROUNDS))
def test_no_push_takes_longer_than_its_slowest_case_may(rounds: list[Round], number: int) -> None:
    assert seconds(rounds[number].deployment) <= max(step.bound_s for _, step in steps(number))


def test_check_says_of_slow_files_what_the_live_verdict_says(rounds: list[Round]) -> None:
    done = rounds[SLOW_ROUND]
    live = {verdict["path"]: verdict for verdict in done.deployment["verdicts"]}
    assert len(done.checked) == len(SLOW)
    for checked in done.checked:
        assert what_matters(checked) == what_matters(live[checked["path"]])


def what_matters(verdict: Json) -> tuple[object, ...]:
    error = verdict["error"]
    return (verdict["outcome"], verdict["dag_ids"], error["type"], error["line"])


# --- commits of several students ---------------------------------------------

HARM = {
    "dags/lasse/ends.py": file("lasse", line="import os; os._exit(3)"),
    "dags/lasse/crash.py": file("lasse", line="import ctypes; ctypes.string_at(0)"),
    "dags/lasse/broken.py": file("lasse", line="import pandaz"),
}


@dataclass(frozen=True)
class Batch:
    """Pushes of one moment; the worker was held until all were there."""

    early: Push
    deleted: Push
    before: Push
    harmful: Push
    after: Push


@pytest.fixture(scope="module")
def batch(
    stage: Stage, rounds: list[Round], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Batch]:
    """Push a file that is slow to parse, and four commits more while it is being parsed."""
    assert rounds
    hold = Hold(tmp_path_factory.mktemp("hold"))
    hold.begin()
    early = push(stage, "early", {"dags/early/x.py": hold.lines() + file("early")})
    wait_until(lambda: hold.has_inside(early))
    stop_between_writes(stage.worker.process.pid)
    try:
        done = Batch(
            early,
            push(stage, "early", {"dags/early/x.py": None}),
            push(stage, "maria", {"dags/maria/before.py": file("maria", "before")}),
            push(stage, "lasse", HARM),
            push(stage, "maria", {"dags/maria/after.py": file("maria", "after")}),
        )
        wait_until_announced(stage, done.deleted, done.before, done.harmful, done.after)
    finally:
        os.kill(stage.worker.process.pid, signal.SIGCONT)
    verdicts(stage, done.after, "maria")
    yield done
    hold.end()


def push(stage: Stage, name: str, files: Mapping[str, str | None]) -> Push:
    student = stage.student(name)
    student.commit("Go on", files)
    return student.push()


def test_a_file_deleted_while_it_is_being_parsed_ends_as_deleted(
    stage: Stage, batch: Batch
) -> None:
    first = verdicts(stage, batch.early, "early")
    assert first["airflow/early"] == ("success", "deleted: x.py")
    assert first["airflow/deploy"][0] == "success"
    then = verdicts(stage, batch.deleted, "early")
    assert then["airflow/early"] == ("success", "deleted: x.py")
    assert then["airflow/deploy"][1].startswith(f"deployed as part of {batch.after.sha[:7]}: ")


def test_commits_of_one_deployment_are_coloured_by_their_own_files(
    stage: Stage, batch: Batch
) -> None:
    for mine in (batch.before, batch.after):
        said = verdicts(stage, mine, "maria")
        assert said.keys() == {"airflow/deploy", "airflow/maria"}
        assert {state for state, _ in said.values()} == {"success"}
        assert judged(stage, mine)["sha"] == batch.after.sha
    said = verdicts(stage, batch.harmful, "lasse")
    assert said["airflow/deploy"][0] == "success"
    assert said["airflow/lasse"] == (
        "failure",
        "broken.py:2 ModuleNotFoundError: No module named 'pandaz' (+2 more)",
    )


def test_commits_before_and_after_a_harmful_one_stay_green(stage: Stage, batch: Batch) -> None:
    quiet = push(stage, "maria", {"dags/maria/before.py": file("maria", "before", line="# 2")})
    assert verdicts(stage, quiet, "maria")["airflow/maria"] == ("success", "1 DAG: maria_before")
    again = {path: text + "\n" for path, text in HARM.items()}
    assert verdicts(stage, push(stage, "lasse", again), "lasse")["airflow/lasse"][0] == "failure"
    later = push(stage, "maria", {"dags/maria/after.py": file("maria", "after", line="# 2")})
    said = verdicts(stage, later, "maria")
    assert said["airflow/maria"] == ("success", "1 DAG: maria_after")
    assert said["airflow/deploy"][1].startswith("live: 1 file parsed in ")
    assert shown(stage, quiet.sha)["airflow/maria"][0] == "success"
    gone = verdicts(stage, push(stage, "lasse", dict.fromkeys(HARM)), "lasse")
    assert gone["airflow/lasse"] == ("success", "deleted: broken.py, crash.py, ends.py")
    assert verdicts(stage, batch.early, "early")["airflow/early"][0] == "success"
