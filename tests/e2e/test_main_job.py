"""A push becomes a verdict on the commit, through every part, whatever happens to the parts.

What becomes of which file: test_what_becomes_of_files.py, test_check_agrees.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from deployer.core.model import REQUIREMENTS
from deployer.demo.stage import Stage
from deployer.demo.student import Push, Student, dag_file
from tests.e2e.watching import (
    ENDS,
    run_deployer,
    shown,
    verdicts,
    wait_until,
    wait_until_announced,
    worker_log,
)
from tests.github_faults import Fault, Faults

pytestmark = pytest.mark.airflow

BOUND_S = 120.0


def push(student: Student, message: str, files: Mapping[str, str | None]) -> Push:
    student.commit(message, files)
    return student.push()


def test_a_bad_requirement_is_red_for_its_author_and_keeps_nobody_else_waiting(
    stage: Stage,
) -> None:
    teacher, lasse = stage.student("teacher"), stage.student("lasse")
    before, pids = teacher.read(REQUIREMENTS), stage.airflow.pids()
    bad = f"{before}apache-airflow==1.10.15\n"
    said = verdicts(stage, push(teacher, "Want the impossible", {REQUIREMENTS: bad}))
    line = len(bad.splitlines())
    assert said["airflow/deploy"][0] == "failure"
    assert said["airflow/deploy"][1].startswith(f"requirements.txt:{line} ")
    other = push(lasse, "Go on", {"dags/lasse/goes_on.py": dag_file("lasse", "goes_on")})
    said = verdicts(stage, other, "lasse")
    assert {state for state, _ in said.values()} == {"success"}
    assert said["airflow/deploy"][1].endswith("packages kept")
    verdicts(stage, push(teacher, "Do without", {REQUIREMENTS: before}))
    assert stage.airflow.pids() == pids


def test_a_push_whose_delivery_is_lost_is_found_by_the_poll(stage: Stage) -> None:
    url, stage.hub.webhook.url = stage.hub.webhook.url, None
    try:
        text = dag_file("lasse", "unheard")
        lost = push(stage.student("lasse"), "Unheard", {"dags/lasse/unheard.py": text})
    finally:
        stage.hub.webhook.url = url
    assert verdicts(stage, lost, "lasse")["airflow/lasse"] == ("success", "1 DAG: lasse_unheard")
    assert stage.get(f"/api/v1/commits/{lost.sha}").json()["trigger"] == "poll"


def test_statuses_that_github_does_not_take_are_posted_when_it_does(stage: Stage) -> None:
    Faults(stage.hub).add(Fault(status=502, times=3, on="api"))
    text = dag_file("maria", "patient")
    late = push(stage.student("maria"), "Wait", {"dags/maria/patient.py": text})
    assert verdicts(stage, late, "maria")["airflow/maria"] == ("success", "1 DAG: maria_patient")


def test_a_commit_that_a_forced_push_removed_says_so(stage: Stage) -> None:
    lasse = stage.student("lasse")
    lasse.pull()
    base = lasse.git("rev-parse", "HEAD")
    stage.worker.kill()  # so that both pushes are waiting when it looks
    removed = push(lasse, "Regret", {"dags/lasse/regret.py": dag_file("lasse", "regret")})
    lasse.git("reset", "--quiet", "--hard", base)
    lasse.git("commit", "--quiet", "--allow-empty", "--message", "Instead")
    instead = lasse.push(force=True)
    wait_until_announced(stage, removed, instead)
    stage.worker.start()
    said = verdicts(stage, removed)
    assert said["airflow/deploy"] == ("error", "no longer on main")
    assert verdicts(stage, instead)["airflow/deploy"][0] == "success"


@pytest.mark.parametrize("step", ["preflight", "publish", "asked"])
def test_a_worker_killed_in_the_middle_leaves_nothing_pending(stage: Stage, step: str) -> None:
    maria = stage.student("maria")
    text = dag_file("maria", f"killed_at_{step}")
    seen = len(worker_log(stage))
    cut_off = push(maria, "Cut off", {f"dags/maria/killed_at_{step}.py": text})
    wait_until(lambda: step in worker_log(stage)[seen:])
    stage.worker.kill()
    stage.worker.start()
    said = verdicts(stage, cut_off, "maria")
    assert said["airflow/maria"][0] == "success"
    # Killed after publishing, it redoes everything: the folder's other DAGs are named as well.
    assert f"maria_killed_at_{step}" in said["airflow/maria"][1]
    assert {state for state, _ in shown(stage, cut_off.sha).values()} <= ENDS


def test_a_second_worker_refuses_to_start_and_names_the_first(stage: Stage) -> None:
    done = run_deployer(stage, "worker")
    assert done.returncode == 3
    assert f"pid {stage.worker.process.pid}" in done.stderr


def test_deploying_by_hand_judges_the_whole_class(stage: Stage) -> None:
    done = run_deployer(stage, "deploy", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lasse_taxi_pipeline" in done.stdout
    assert "class_demo_hello" in done.stdout


def test_nothing_is_owed_and_the_deployer_is_ready_in_the_end(stage: Stage) -> None:
    ready = stage.get("/readyz")
    assert ready.status_code == 200, ready.text
