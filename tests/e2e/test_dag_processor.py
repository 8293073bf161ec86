"""A dag-processor that dies, is stuck or busy: who is told what, through the whole product."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployer.core.model import DAG_PROCESSOR
from deployer.demo import samples
from deployer.demo.stage import Stage
from deployer.demo.student import Push
from tests.e2e.asking_airflow import AskingAirflow
from tests.e2e.watching import stop_between_writes, verdicts

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
    text = samples.dag(who, name, imports=imports)
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
    stage.worker.start()
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
    with patience(stage, 20):
        os.kill(stage.airflow_pids()[DAG_PROCESSOR], signal.SIGKILL)
        late = push(stage, "maria", "nobody_parses")
        stage.hub.wait_for_status(late.sha, "airflow/maria", {"error"}, BOUND_S)
        stage.hub.wait_for_status(late.sha, "airflow/maria", {"success"}, BOUND_S)


def test_one_that_is_stuck_is_an_error_that_says_so(stage: Stage) -> None:
    pid = stage.airflow_pids()[DAG_PROCESSOR]
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


def test_one_that_parses_for_long_is_an_error_and_no_student_s_fault(
    stage: Stage, tmp_path: Path
) -> None:
    gate, inside = tmp_path / "gate", tmp_path / "inside"
    inside.mkdir()
    hold = f"""\
    import signal, time
    from pathlib import Path
    if Path({str(gate)!r}).exists():
        signal.alarm(0)  # Airflow's own bound on an import
        (Path({str(inside)!r}) / Path(__file__).name).touch()
        end = time.monotonic() + 20
        while Path({str(gate)!r}).exists() and time.monotonic() < end:
            time.sleep(0.1)
"""
    slow = OVERLOOKED.format(harm=hold.strip())
    lasse, airflow = stage.student("lasse"), AskingAirflow(stage.airflow)
    names = [f"aaa_slow_{number}" for number in range(4)]

    def files(body: str) -> dict[str, str]:
        return {
            f"dags/lasse/{name}.py": samples.dag("lasse", name, imports=slow, body=body)
            for name in names
        }

    lasse.commit("Take no time yet", files("return 1"))
    assert verdicts(stage, lasse.push(), "lasse")["airflow/lasse"][0] == "success"
    with patience(stage, 8):
        verdicts(stage, push(stage, "maria", "before_the_jam"), "maria")  # the worker is warm
        gate.touch()
        try:
            # Both parsers are taken before the release that is judged has its canary parsed:
            # one that goes on parsing that would tell of an Airflow that goes round.
            airflow.reparse_until(
                lambda: len(list(inside.iterdir())) > 1, *(f"lasse_{name}" for name in names)
            )
            lasse.commit("Take all its time", files("return 2"))
            jam = lasse.push()
            ends = {"error", "failure"}
            status = stage.hub.wait_for_status(jam.sha, "airflow/lasse", ends, BOUND_S)
        finally:
            gate.unlink()
            airflow.close()
        assert (status.state, (status.description or "")[:43]) == (
            "error",
            "Airflow's dag-processor is alive and busy: ",
        )
        stage.hub.wait_for_status(jam.sha, "airflow/lasse", {"success"}, BOUND_S)
    lasse.commit("Take them out", dict.fromkeys(files("")))
    assert verdicts(stage, lasse.push(), "lasse")["airflow/lasse"][0] == "success"
