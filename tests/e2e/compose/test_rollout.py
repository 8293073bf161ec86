"""`requirements.txt` moves: proven first, then swapped, healthy or taken back. A real engine."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from deployer.core.model import REQUIREMENTS
from deployer.demo.student import dag_file
from tests.compose_stack import UP_TIMEOUT_S
from tests.e2e.compose.classroom import (
    BOUND_S,
    SERVICES,
    Classroom,
    is_green,
    moved,
    requirements,
    wait_until,
)
from tests.e2e.compose.engine import Engine
from tests.e2e.watching import ENDS, run_deployer, shown

pytestmark = pytest.mark.docker

LONG = '''\
"""Two tasks that take until a word is there, and go on beyond it."""

from __future__ import annotations

import time
from pathlib import Path

from airflow.sdk import dag, task

BEYOND, WORD = {beyond_s}, Path("/opt/class/{word}")


@dag(dag_id="{student}_{name}", schedule=None, tags=["student:{student}"])
def pipeline():
    @task(retries=0)
    def in_python():
        while not WORD.exists():
            time.sleep(0.2)
        time.sleep(BEYOND)

    @task.bash(retries=0)
    def in_bash():
        return f"until [ -e {{WORD}} ]; do sleep 0.2; done; sleep {{BEYOND}}"

    in_python()
    in_bash()


pipeline()
'''
BEYOND_DOCKERS_PATIENCE_S = 12
"""Docker's own, where nothing says otherwise, is 10 s."""
BOTH_WELL = {"in_python": ("success", 1), "in_bash": ("success", 1)}


DIFFER = "packages differ from those of the live commit (cowsay"
COW = "cowsay==6.1"
"""What a DAG of maria's needs from the first test on."""


def asked_for(*more: str) -> dict[str, str]:
    """Return the requirements file with what maria's DAG needs, and further lines."""
    return {REQUIREMENTS: requirements(*more, COW)}


def start_long_tasks(room: Classroom, name: str, beyond_s: int) -> tuple[str, str, Path]:
    """Have a Python and a Bash task run; return DAG, run, and the file that is their word."""
    path, word = f"dags/lasse/{name}.py", f"{name}.word"
    text = LONG.format(student="lasse", name=name, word=word, beyond_s=beyond_s)
    assert is_green(room.ends(room.push("lasse", f"Add {name}", {path: text}), "lasse"))
    return f"lasse_{name}", room.trigger(f"lasse_{name}"), room.stack.checkout / word


def test_a_new_package_is_there_after_one_push_and_running_tasks_end_in_peace(
    image_class: Classroom,
) -> None:
    room = image_class
    dag_id, run_id, word = start_long_tasks(room, "long_drained", 1)
    before, pools = room.containers(), room.pools()
    text = dag_file("maria", "says", imports="import cowsay\n")
    files = {**asked_for("tabulate"), "dags/maria/says.py": text}
    push = room.push("maria", "Say it with a cow", files)

    def waits() -> bool:
        running = room.deployment(push).get("running") or {"words": ""}
        return f"waiting for {dag_id}.in_bash" in running["words"]

    wait_until(waits, "a word about who is waited for")
    word.touch()
    said = room.ends(push, "maria")
    assert is_green(said)
    assert "maria_says" in said["airflow/maria"][1]
    assert room.outcome(dag_id, run_id) == BOTH_WELL
    assert moved(before, room.containers()) == set(SERVICES)
    assert room.pools() == pools
    steps = room.steps(push)
    assert steps["drain"]["detail"] == "no task runs"


def test_a_comment_another_order_or_case_restarts_nothing(image_class: Classroom) -> None:
    room = image_class
    assert is_green(room.ends(room.push("maria", "Two", asked_for("tabulate", "# and"))))
    before = room.containers()
    same = {REQUIREMENTS: requirements("# a cow", "CowSay == 6.1  # here", "", "Tabulate")}
    assert is_green(room.ends(room.push("maria", "Words", same)))
    assert room.containers() == before


def test_packages_that_a_rebuilt_image_lacks_are_told_and_come_back_by_themselves(
    image_class: Classroom,
) -> None:
    room = image_class
    before = room.containers()
    tip = room.stage.get("/api/v1/deployments?limit=1").json()["deployments"][0]["sha"]
    said = shown(room.stage, tip)
    room.stack.compose("up", "--detach", "--build", timeout_s=UP_TIMEOUT_S)
    rebuilt = room.containers()
    assert moved(before, rebuilt) == set(SERVICES)

    def differs() -> bool:
        return DIFFER in room.stage.get("/").text

    wait_until(differs, "the page tells that packages are gone")
    asked = run_deployer(room.stage, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(asked.stdout)["checks"]}
    assert not checks["packages"]["passed"]
    wait_until(lambda: not differs(), "packages are back")
    (last,) = room.stage.get("/api/v1/deployments?limit=1").json()["deployments"]
    assert last["sha"] == tip
    assert last["state"] in {"succeeded", "broken"}  # of what other tests left there
    states = {step["name"]: step["state"] for step in last["steps"]}
    assert (states["recreate"], states["health"]) == ("ok", "ok")
    assert DIFFER in next(step["detail"] for step in last["steps"] if step["name"] == "plan")
    assert moved(rebuilt, room.containers()) == set(SERVICES)
    room.stack.compose("exec", "-T", "airflow-scheduler", "python", "-c", "import cowsay")
    assert is_green(shown(room.stage, tip))
    assert shown(room.stage, tip).keys() == said.keys()


def test_tasks_that_outlast_the_drain_end_well_though_the_scheduler_is_stopped_under_them(
    image_class: Classroom,
) -> None:
    room = image_class
    dag_id, run_id, word = start_long_tasks(room, "long_undrained", BEYOND_DOCKERS_PATIENCE_S)
    room.restart_worker(DEPLOYER_DRAIN_TIMEOUT_S="2")
    push = room.push("maria", "Colour", asked_for("colorama"))
    try:
        told = "Exiting gracefully upon receiving signal 15"
        wait_until(lambda: told in room.stack.logs("airflow-scheduler"), "it is told to stop")
        word.touch()
        assert is_green(room.ends(push))
    finally:
        room.restart_worker(DEPLOYER_DRAIN_TIMEOUT_S="300")
    assert room.steps(push)["drain"]["detail"].startswith(f"still running: {dag_id}.")
    assert room.outcome(dag_id, run_id) == BOTH_WELL


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("too_old", "apache-airflow==1.10.15", "apache-airflow"),
        ("unknown", "no-such-package-of-that-name==1.0", "no-such-package-of-that-name"),
        ("typo", "pandas=2.0", "a version is asked for with '==', not '='"),
        ("no_build", "class-fails-to-build==1.0", "class-fails-to-build"),
    ],
)
def test_an_impossible_line_touches_no_container_and_delays_nobody_else(
    image_class: Classroom, name: str, line: str, reason: str
) -> None:
    room = image_class
    before = room.containers()
    said = room.ends(room.push("maria", "Want too much", asked_for(line)))
    state, text = said["airflow/deploy"]
    assert state == "failure"
    assert text.startswith("requirements.txt:")
    assert reason in text
    text = dag_file("lasse", f"after_{name}")
    after = room.push("lasse", "Go on", {f"dags/lasse/after_{name}.py": text})
    assert is_green(room.ends(after, "lasse"))
    assert "resolve" not in room.steps(after)
    assert room.containers() == before


def test_packages_that_break_airflows_start_are_taken_back_though_the_worker_dies_in_it(
    image_class: Classroom,
) -> None:
    room = image_class
    seen, before = len(room.events()), room.containers()
    push = room.push("maria", "Break the class", asked_for("class-breaks-scheduler==1.0"))
    room.kill_worker_in("rollback", seen)
    said = room.ends(push)
    assert said["airflow/deploy"][0] == "failure"
    assert "Airflow does not start with it" in said["airflow/deploy"][1]
    assert "this scheduler can't start" in json.dumps(room.deployment(push))
    # What the first service does not start with, no other is given.
    assert moved(before, room.containers()) == {"airflow-scheduler"}
    after = room.push("lasse", "Go on", {"dags/lasse/healed.py": dag_file("lasse", "healed")})
    assert is_green(room.ends(after, "lasse"))
    assert room.pools()["default_pool"] > 0


def test_a_service_stopped_by_hand_just_as_it_starts_on_new_packages_is_not_their_fault(
    image_class: Classroom,
) -> None:
    room, name = image_class, "airflow-scheduler"
    running = partial(room.stack.compose, "ps", "--quiet", "--status", "running", name)
    before = running().stdout
    push = room.push("maria", "Grey", asked_for("humanize"))
    wait_until(lambda: running().stdout not in {before, ""}, "another one runs")
    room.stack.compose("stop", name)
    assert is_green(room.ends(push))
    assert "rollback" in room.steps(push)
    listed = room.stack.compose("exec", "-T", "airflow-scheduler", "pip", "list")
    assert "humanize" in listed.stdout


def test_a_worker_killed_in_any_step_converges_to_the_tip(image_class: Classroom) -> None:
    room = image_class
    seen, pools = len(room.events()), room.pools()
    push = room.push("maria", "Emoji", asked_for("emoji"))
    for step in ("resolve", "build", "drain", "recreate", "health"):
        seen = room.kill_worker_in(step, seen)
    assert is_green(room.ends(push))
    assert room.throwaways() == []
    assert room.pools() == pools
    names = set(SERVICES)
    listed = room.stack.compose("ps", "--all", "--format", "json").stdout.splitlines()
    found = [json.loads(line) for line in listed]
    healthy = {one["Service"] for one in found if one["Health"] == "healthy"}
    assert names <= healthy
    assert len([one for one in found if one["Service"] in names]) == len(names)


def test_an_engine_that_stops_in_the_middle_is_an_error_and_mended_by_itself(
    image_class: Classroom, engine: Engine
) -> None:
    room = image_class
    seen = len(room.events())
    push = room.push("maria", "Six", asked_for("six"))
    wait_until(lambda: ("begins", "recreate") in room.events()[seen:], "recreate begins")
    engine.stop()
    try:
        room.stage.hub.wait_for_status(push.sha, "airflow/deploy", {"error"}, BOUND_S)
    finally:
        engine.start()
    room.stage.hub.wait_for_status(push.sha, "airflow/deploy", {"success"}, BOUND_S)
    assert {state for state, _ in shown(room.stage, push.sha).values()} <= ENDS


def test_a_pushed_compose_file_is_not_used_and_page_log_and_doctor_say_that_it_differs(
    image_class: Classroom,
) -> None:
    room = image_class
    before = room.containers()
    text = room.stack.compose_file.read_text().replace("max-size: 10m", "max-size: 10g")
    push = room.push("maria", "Log more", {"docker-compose.yaml": text})
    assert is_green(room.ends(push))
    assert room.containers() == before
    words = "docker-compose.yaml of the repository differs from the operator's copy"
    assert words in room.steps(push)["plan"]["detail"]
    page = room.stage.get(f"/deployments/{room.deployment(push)['id']}").text
    assert words.replace("'", "&#39;") in page
    assert words in run_deployer(room.stage, "logs").stdout
    asked = run_deployer(room.stage, "doctor", "--json")
    checks = {check["name"]: check for check in json.loads(asked.stdout)["checks"]}
    assert not checks["compose file of the repository"]["passed"]
    room.ends(room.push("maria", "Log less", {"docker-compose.yaml": None}))


def test_doctor_finds_the_class_in_order(image_class: Classroom) -> None:
    asked = run_deployer(image_class.stage, "doctor", "--json")
    checks = json.loads(asked.stdout)["checks"]
    assert [check for check in checks if not check["passed"]] == []
    assert asked.returncode == 0
