"""What a teacher does by hand: hold deployments, go back, ask what became of a push."""

from __future__ import annotations

import pytest

from deployer.demo.stage import Stage
from deployer.demo.student import Push, dag_file
from tests.e2e.watching import run_deployer, shown, verdicts, wait_until

pytestmark = pytest.mark.airflow

FILE = "dags/lasse/steered.py"
WHY = "the second one was wrong"


def push(stage: Stage, name: str) -> Push:
    lasse = stage.student("lasse")
    lasse.commit(f"Steer {name}", {FILE: dag_file("lasse", name)})
    return lasse.push()


def run(stage: Stage, *argv: str) -> str:
    done = run_deployer(stage, *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def live_text(stage: Stage) -> str:
    return (stage.settings.checkout_dir / "current" / FILE).read_text()


def tip_checked(stage: Stage) -> str:
    """Return the line that tells when the worker asked git last."""
    lines = stage.get("/metrics").text.splitlines()
    return next(line for line in lines if line.startswith("deployer_tip_checked_timestamp"))


def test_what_is_pushed_during_a_freeze_says_why_and_is_live_after_it(stage: Stage) -> None:
    verdicts(stage, push(stage, "before"), "lasse")
    run(stage, "freeze", "--why", "exam")
    try:
        held = push(stage, "during")
        frozen = {"airflow/deploy": ("pending", "frozen: exam")}
        wait_until(lambda: shown(stage, held.sha) == frozen)
        assert "lasse_before" in live_text(stage)
        assert "exam" in run(stage, "status")
        assert "exam" in stage.get("/").text
    finally:
        run(stage, "unfreeze")
    assert verdicts(stage, held, "lasse")["airflow/lasse"] == ("success", "1 DAG: lasse_during")


def test_an_earlier_commit_is_live_again_and_the_poll_leaves_it(stage: Stage) -> None:
    good = push(stage, "good")
    verdicts(stage, good, "lasse")
    wrong = push(stage, "wrong")
    verdicts(stage, wrong, "lasse")
    run(stage, "rollback", good.sha[:9], "--why", WHY, "--wait")
    try:
        assert "lasse_good" in live_text(stage)
        told = ("error", f"rolled back to {good.sha[:7]}: {WHY}")
        wait_until(lambda: shown(stage, wrong.sha)["airflow/deploy"] == told)
        checked = tip_checked(stage)
        wait_until(lambda: tip_checked(stage) != checked)
        assert "lasse_good" in live_text(stage)
    finally:
        run(stage, "unfreeze")
    again = ("success", "1 DAG: lasse_wrong")
    wait_until(lambda: shown(stage, wrong.sha)["airflow/lasse"] == again)
    assert "lasse_wrong" in live_text(stage)


def test_what_became_of_a_push_is_explained(stage: Stage) -> None:
    sha = push(stage, "explained").sha
    wait_until(lambda: shown(stage, sha).get("airflow/deploy", ("", ""))[0] == "success")
    told = run(stage, "explain", sha[:9])
    assert [word for word in ("delivery", "live", "airflow/lasse") if word not in told] == []
