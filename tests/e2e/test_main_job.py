"""A push becomes a verdict on the commit, through every part, for real."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from threading import Event

import pytest

from deployer.demo import samples
from deployer.demo.github.faults import Fault
from deployer.demo.stage import Stage
from deployer.demo.student import Push, Student
from tests.e2e.watching import ENDS, shown, verdicts

pytestmark = pytest.mark.airflow

BOUND_S = 120.0


def push(student: Student, message: str, files: Mapping[str, str | None]) -> Push:
    student.commit(message, files)
    return student.push()


def worker_log(stage: Stage) -> list[str]:
    """Return what the worker has done, as names of steps and events."""
    path = stage.settings.state_dir / "logs" / "worker.jsonl"
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [event.get("step") or event["event"] for event in events]


def wait_until(holds: Callable[[], bool]) -> None:
    """Return as soon as `holds()`; fail when the bound has passed."""
    until = time.monotonic() + BOUND_S
    while not holds():
        assert time.monotonic() < until, "it did not come within the bound"
        Event().wait(0.005)


def test_a_good_file_is_green_and_names_its_dag(stage: Stage) -> None:
    text = samples.dag("lasse", "good")
    said = verdicts(
        stage, push(stage.student("lasse"), "Add", {"dags/lasse/good.py": text}), "lasse"
    )
    assert said["airflow/lasse"] == ("success", "1 DAG: lasse_good")
    assert said["airflow/deploy"][0] == "success"
    assert set(said) == {"airflow/deploy", "airflow/lasse"}


def test_a_missing_import_is_red_with_its_line_and_mended_by_the_next_push(stage: Stage) -> None:
    maria = stage.student("maria")
    broken = samples.dag("maria", "fragile", imports="import nothing_of_that_name\n")
    said = verdicts(stage, push(maria, "Break", {"dags/maria/fragile.py": broken}), "maria")
    line = broken.splitlines().index("import nothing_of_that_name") + 1
    assert said["airflow/maria"] == (
        "failure",
        f"fragile.py:{line} ModuleNotFoundError: No module named 'nothing_of_that_name'",
    )
    mended = push(maria, "Mend", {"dags/maria/fragile.py": samples.dag("maria", "fragile")})
    assert verdicts(stage, mended, "maria")["airflow/maria"] == ("success", "1 DAG: maria_fragile")


def test_a_helper_alone_has_the_dag_that_imports_it_judged_anew(stage: Stage) -> None:
    lasse = stage.student("lasse")
    dag = samples.dag("lasse", "helped", imports="from lasse.helping import NUMBER\n")
    files = {"dags/lasse/helped.py": dag, "dags/lasse/helping.py": "NUMBER = 1\n"}
    verdicts(stage, push(lasse, "Help", files), "lasse")
    said = verdicts(stage, push(lasse, "Unhelp", {"dags/lasse/helping.py": "OTHER = 1\n"}), "lasse")
    state, text = said["airflow/lasse"]
    assert state == "failure"
    assert text.startswith("helped.py:")
    assert "ImportError: cannot import name 'NUMBER'" in text
    mended = push(lasse, "Help again", {"dags/lasse/helping.py": "NUMBER = 2\n"})
    assert verdicts(stage, mended, "lasse")["airflow/lasse"] == ("success", "1 DAG: lasse_helped")


def test_a_deleted_file_is_gone_from_airflow_when_its_commit_is_green(stage: Stage) -> None:
    maria = stage.student("maria")
    text = samples.dag("maria", "short_lived")
    verdicts(stage, push(maria, "Add", {"dags/maria/short_lived.py": text}), "maria")
    said = verdicts(stage, push(maria, "Delete", {"dags/maria/short_lived.py": None}), "maria")
    assert said["airflow/maria"] == ("success", "deleted: short_lived.py")


def test_a_file_that_crashes_its_parser_is_held_and_a_neighbour_goes_green(stage: Stage) -> None:
    teacher = stage.student("teacher")
    crash = samples.dag("lasse", "crash", imports="import os\nos._exit(3)\n")
    files = {"dags/lasse/crash.py": crash, "dags/maria/calm.py": samples.dag("maria", "calm")}
    said = verdicts(stage, push(teacher, "Crash", files), "lasse", "maria")
    assert said["airflow/lasse"][0] == "failure"
    assert said["airflow/lasse"][1].startswith("crash.py is held: ")
    assert said["airflow/maria"] == ("success", "1 DAG: maria_calm")
    live = stage.settings.checkout_dir / "current" / "dags"
    assert not (live / "lasse" / "crash.py").exists()
    verdicts(stage, push(teacher, "Take it out", {"dags/lasse/crash.py": None}), "lasse")


def test_a_bad_requirement_is_red_for_its_author_and_keeps_nobody_else_waiting(
    stage: Stage,
) -> None:
    teacher, lasse = stage.student("teacher"), stage.student("lasse")
    teacher.pull()
    before, pids = teacher.read(samples.REQUIREMENTS), stage.airflow_pids()
    bad = f"{before}apache-airflow==1.10.15\n"
    said = verdicts(stage, push(teacher, "Want the impossible", {samples.REQUIREMENTS: bad}))
    line = len(bad.splitlines())
    assert said["airflow/deploy"][0] == "failure"
    assert said["airflow/deploy"][1].startswith(f"requirements.txt:{line} ")
    other = push(lasse, "Go on", {"dags/lasse/goes_on.py": samples.dag("lasse", "goes_on")})
    said = verdicts(stage, other, "lasse")
    assert {state for state, _ in said.values()} == {"success"}
    assert said["airflow/deploy"][1].endswith("packages kept")
    verdicts(stage, push(teacher, "Do without", {samples.REQUIREMENTS: before}))
    assert stage.airflow_pids() == pids


def test_two_pushes_within_a_moment_both_get_their_end(stage: Stage) -> None:
    lasse, maria = stage.student("lasse"), stage.student("maria")
    first = push(lasse, "One", {"dags/lasse/one.py": samples.dag("lasse", "one")})
    second = push(maria, "Two", {"dags/maria/two.py": samples.dag("maria", "two")})
    assert verdicts(stage, first, "lasse")["airflow/lasse"] == ("success", "1 DAG: lasse_one")
    assert verdicts(stage, second, "maria")["airflow/maria"] == ("success", "1 DAG: maria_two")


def test_a_push_whose_delivery_is_lost_is_found_by_the_poll(stage: Stage) -> None:
    url, stage.hub.webhook_url = stage.hub.webhook_url, None
    try:
        text = samples.dag("lasse", "unheard")
        lost = push(stage.student("lasse"), "Unheard", {"dags/lasse/unheard.py": text})
    finally:
        stage.hub.webhook_url = url
    assert verdicts(stage, lost, "lasse")["airflow/lasse"] == ("success", "1 DAG: lasse_unheard")
    assert stage.get(f"/api/v1/commits/{lost.sha}").json()["trigger"] == "poll"


def test_statuses_that_github_does_not_take_are_posted_when_it_does(stage: Stage) -> None:
    stage.hub.faults.add(Fault(status=502, times=3, on="api"))
    text = samples.dag("maria", "patient")
    late = push(stage.student("maria"), "Wait", {"dags/maria/patient.py": text})
    assert verdicts(stage, late, "maria")["airflow/maria"] == ("success", "1 DAG: maria_patient")


def test_a_commit_that_a_forced_push_removed_says_so(stage: Stage) -> None:
    lasse = stage.student("lasse")
    lasse.pull()
    base = lasse.git("rev-parse", "HEAD")
    stage.worker.kill()  # so that both pushes are waiting when it looks
    removed = push(lasse, "Regret", {"dags/lasse/regret.py": samples.dag("lasse", "regret")})
    lasse.git("reset", "--quiet", "--hard", base)
    lasse.git("commit", "--quiet", "--allow-empty", "--message", "Instead")
    instead = lasse.push(force=True)
    stage.worker.start()
    said = verdicts(stage, removed)
    assert said["airflow/deploy"] == ("error", "no longer on main")
    assert verdicts(stage, instead)["airflow/deploy"][0] == "success"


@pytest.mark.parametrize("step", ["preflight", "publish", "poked"])
def test_a_worker_killed_in_the_middle_leaves_nothing_pending(stage: Stage, step: str) -> None:
    maria = stage.student("maria")
    text = samples.dag("maria", f"killed_at_{step}")
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
    done = stage.run_deployer("worker")
    assert done.returncode == 3
    assert f"pid {stage.worker.pid}" in done.stderr


def test_deploying_by_hand_judges_the_whole_class(stage: Stage) -> None:
    done = stage.run_deployer("deploy", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "lasse_taxi_pipeline" in done.stdout
    assert "class_demo_hello" in done.stdout


def test_nothing_is_owed_and_the_deployer_is_ready_in_the_end(stage: Stage) -> None:
    ready = stage.get("/readyz")
    assert ready.status_code == 200, ready.text
