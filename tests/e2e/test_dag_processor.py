"""A dag-processor that dies, is stuck or busy: who is told what, through the whole product.

And a file that parses for long: who waits for it.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.core.model import DAG_PROCESSOR
from deployer.demo.stage import Stage
from deployer.demo.student import Push, dag_file
from tests.e2e.asking_airflow import AskingAirflow
from tests.e2e.watching import (
    shown,
    stop_between_writes,
    verdicts,
    wait_until,
    worker_log,
)

pytestmark = pytest.mark.airflow

BOUND_S = 240.0
OVERLOOKED = """\
import os
if "AIRFLOW__API_AUTH__JWT_SECRET" in os.environ:  # not so where files are parsed in isolation
    {harm}
"""
KILLS = OVERLOOKED.format(harm="os.kill(os.getppid(), 9)")


def push(stage: Stage, who: str, name: str, imports: str = "") -> Push:
    student = stage.student(who)
    text = dag_file(who, name, imports=imports)
    student.commit(f"Add {name}", {f"dags/{who}/{name}.py": text})
    return student.push()


def deployment(stage: Stage, sha: str) -> dict[str, list[dict[str, str]]]:
    answer: dict[str, list[dict[str, str]]] = stage.get(f"/api/v1/commits/{sha}").json()
    return answer


@contextmanager
def patience(stage: Stage, parse_timeout_s: int) -> Iterator[None]:
    """Let the worker wait only so long for Airflow's verdicts."""
    before = stage.worker.environment
    stage.worker.stop()
    stage.worker.environment = {**before, "DEPLOYER_PARSE_TIMEOUT_S": str(parse_timeout_s)}
    seen = len(worker_log(stage))
    stage.worker.start()
    wait_until(lambda: "dag-processor connected" in worker_log(stage)[seen:])
    try:
        yield
    finally:
        stage.worker.stop()
        stage.worker.environment = before
        stage.worker.start()


def test_a_push_that_kills_it_is_taken_back_and_the_next_one_of_a_neighbour_is_green(
    stage: Stage,
) -> None:
    live = stage.settings.checkout_dir / "current"
    before = live.readlink()
    killer = push(stage, "lasse", "killer", KILLS)
    said = verdicts(stage, killer, "lasse")
    assert said["airflow/lasse"][0] == "failure"
    assert said["airflow/lasse"][1].startswith(
        "killer.py is held: Airflow's dag-processor died of it: "
    )
    assert said["airflow/deploy"][0] == "failure"
    steps = deployment(stage, killer.sha)["steps"]
    taken_back = [step for step in steps if step["name"] == "rollback"]
    assert [step["state"] for step in taken_back] == ["ok", "ok"]
    assert all(step["detail"].endswith(f"live again: {before.name}") for step in taken_back)
    assert not (live / "dags/lasse/killer.py").exists()
    calm = push(stage, "maria", "calm_after_a_death")
    assert verdicts(stage, calm, "maria")["airflow/maria"][0] == "success"
    assert not (live / "dags/lasse/killer.py").exists()
    mended = push(stage, "lasse", "killer")
    assert verdicts(stage, mended, "lasse")["airflow/lasse"] == ("success", "1 DAG: lasse_killer")


def test_one_that_does_not_run_is_an_error_and_mended_by_itself(stage: Stage) -> None:
    os.kill(stage.airflow.pids()[DAG_PROCESSOR], signal.SIGKILL)
    late = push(stage, "maria", "nobody_parses")
    status = stage.hub.wait_for_status(late.sha, "airflow/maria", {"error"}, BOUND_S)
    assert (status.description or "").startswith("live, not judged: Airflow's dag-processor ")
    stage.hub.wait_for_status(late.sha, "airflow/maria", {"success"}, BOUND_S)


def test_one_that_is_stuck_is_an_error_that_says_so(stage: Stage) -> None:
    pid = stage.airflow.pids()[DAG_PROCESSOR]
    with patience(stage, 38):
        stop_between_writes(pid)
        try:
            late = push(stage, "maria", "stuck")
            status = stage.hub.wait_for_status(late.sha, "airflow/maria", {"error"}, BOUND_S)
            assert "Airflow's dag-processor is stuck, without a heartbeat since" in (
                status.description or ""
            )
        finally:
            os.kill(pid, signal.SIGCONT)
        stage.hub.wait_for_status(late.sha, "airflow/maria", {"success"}, BOUND_S)


@dataclass(frozen=True)
class Gate:
    """Holds up the import of DAG files until it is opened; each holds for a bound of its own."""

    folder: Path

    def lines(self, condition: str) -> str:
        """Return what a file does that is held up where `condition` holds."""
        return f"""\
import signal, time
from pathlib import Path
if {condition} and Path({str(self.folder)!r}, "shut").exists():
    signal.alarm(0)  # Airflow's own bound on an import
    Path({str(self.folder)!r}, f"inside-{{Path(__file__).stem}}").touch()
    end = time.monotonic() + 20
    while Path({str(self.folder)!r}, "shut").exists() and time.monotonic() < end:
        time.sleep(0.1)
"""

    def shut(self) -> None:
        (self.folder / "shut").touch()

    def open(self) -> None:
        (self.folder / "shut").unlink(missing_ok=True)

    @property
    def inside(self) -> int:
        return len(list(self.folder.glob("inside-*")))


@pytest.mark.parametrize(
    ("where", "condition"),
    [
        ("in Airflow", "'/.tmp-' not in __file__"),
        ("in isolation", "'/.tmp-' in __file__"),
    ],
)
def test_files_that_parse_for_long_keep_no_neighbour_waiting_and_are_judged_in_their_time(
    stage: Stage, tmp_path: Path, where: str, condition: str
) -> None:
    gate, name = Gate(tmp_path), where.replace(" ", "_")
    verdicts(stage, push(stage, "anna", f"before_{name}"), "anna")  # the worker is warm
    lasse = stage.student("lasse")
    slow = {
        f"dags/lasse/{name}_{number}.py": dag_file(
            "lasse", f"{name}_{number}", imports=gate.lines(condition)
        )
        for number in range(4)
    }
    gate.shut()
    try:
        lasse.commit("Take all the time", slow)
        long = lasse.push()
        wait_until(lambda: gate.inside > 1)
        neighbour = push(stage, "anna", f"beside_{name}")
        said = verdicts(stage, neighbour, "anna")
        pending = {state for state, _ in shown(stage, long.sha).values()}
    finally:
        gate.open()
    assert said["airflow/anna"] == ("success", f"1 DAG: anna_beside_{name}")
    assert said["airflow/deploy"][0] == "success"
    assert pending <= {"pending"}  # which takes no verdict's place in GitHub's pace
    said = verdicts(stage, long, "lasse")
    assert said["airflow/lasse"][0] == "success"
    assert said["airflow/lasse"][1].startswith("4 DAGs: ")
    assert said["airflow/deploy"][0] == "success"


def callbacks_to_take(stage: Stage) -> int:
    """Return how many the dag-processor has not in its queue yet."""
    with closing(sqlite3.connect(stage.airflow.layout.database)) as database:
        (count,) = database.execute("SELECT count(*) FROM callback").fetchone()
    return int(count)


def test_callbacks_that_hang_keep_no_push_waiting(stage: Stage, tmp_path: Path) -> None:
    gate, lasse = Gate(tmp_path), stage.student("lasse")
    verdicts(stage, push(stage, "anna", "was_there"), "anna")
    hang = "".join(f"    {line}\n" for line in gate.lines("True").splitlines())
    names = [f"hangs_{number}" for number in range(4)]  # two at a time, others wait
    told = {
        f"dags/lasse/{name}.py": dag_file(
            "lasse", name, imports=f"def tell(_):\n{hang}", body="raise ValueError"
        ).replace("catchup=False", "on_failure_callback=tell, is_paused_upon_creation=False")
        for name in names
    }
    lasse.commit("Tell of each failure", told)
    verdicts(stage, lasse.push(), "lasse")
    airflow = AskingAirflow(stage.airflow)
    gate.shut()
    try:
        for dag_id, run_id in [(f"lasse_{n}", airflow.trigger(f"lasse_{n}")) for n in names]:
            airflow.wait_for_end(dag_id, run_id)
        wait_until(lambda: gate.inside > 1 and not callbacks_to_take(stage))
        anna = stage.student("anna")
        anna.commit("Change", {"dags/anna/was_there.py": dag_file("anna", "was_there", body="1")})
        said = verdicts(stage, anna.push(), "anna")
        still_hang = gate.inside
    finally:
        gate.open()
        airflow.close()
    assert said["airflow/anna"] == ("success", "1 DAG: anna_was_there")
    assert still_hang < len(names)
