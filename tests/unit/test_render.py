"""A deployment as the contract's JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

from deployer.core.model import (
    Deployment,
    LeftOut,
    Outcome,
    ParseError,
    Plan,
    Proof,
    RequirementsDiff,
    Running,
    State,
    Status,
    StatusRecord,
    StatusState,
    StepName,
    StepRecord,
    Trigger,
    Verdict,
)
from deployer.core.reporting.render import as_json, timestamp

QUEUED = datetime(2026, 3, 1, 9, 15, 0, 250_400, tzinfo=UTC)
A, B, C = "a" * 40, "b" * 40, "c" * 40


def test_a_whole_deployment_has_the_contracts_keys_in_its_order() -> None:
    deployment = Deployment(
        id=12,
        sha=A,
        base_sha=B,
        ref="refs/heads/main",
        trigger=Trigger.WEBHOOK,
        state=State.BROKEN,
        queued_at=QUEUED,
        started_at=QUEUED + timedelta(seconds=1),
        finished_at=QUEUED + timedelta(seconds=2),
        running=Running(StepName.BUILD, QUEUED, "building them"),
        waits_for="bc0a4e2: packages change",
        covers=(C,),
        reason="not part of the contract",
        plan=Plan(
            dag_files=("dags/lasse/taxi_pipeline.py",),
            deleted=("dags/maria/old.py",),
            requirements=RequirementsDiff(("pandas",), ("numpy",), ("dbt-core==1.9",)),
            recreate=("airflow-scheduler",),
            refused="nor is this",
            left_out=(LeftOut("dags/x", "nor this"),),
            installs="nor this",
        ),
        steps=(StepRecord(StepName.FETCH, "ok", QUEUED, QUEUED, "1 new commit"),),
        verdicts=(
            Verdict(
                "dags/lasse/taxi_pipeline.py",
                Outcome.BROKEN,
                ("lasse_taxi_pipeline",),
                ParseError("ModuleNotFoundError", "No module named 'pandas'", 12, "Traceback"),
                Proof.RELEASE,
                0.81234,
                ("Dag 'x' references non-existent pools: ['p']",),
            ),
        ),
        statuses=(
            StatusRecord(
                Status(A, "airflow/lasse", StatusState.FAILURE, "taxi_pipeline.py:12 …"),
                "https://deployer.example.org/deployments/12",
                QUEUED,
                2,
                None,
            ),
        ),
    )
    expected = {
        "id": 12,
        "sha": A,
        "base_sha": B,
        "ref": "refs/heads/main",
        "trigger": "webhook",
        "state": "broken",
        "queued_at": "2026-03-01T09:15:00.250Z",
        "started_at": "2026-03-01T09:15:01.250Z",
        "finished_at": "2026-03-01T09:15:02.250Z",
        "covers": [C],
        "plan": {
            "dag_files": ["dags/lasse/taxi_pipeline.py"],
            "deleted": ["dags/maria/old.py"],
            "requirements": {
                "added": ["pandas"],
                "removed": ["numpy"],
                "changed": ["dbt-core==1.9"],
            },
            "recreate": ["airflow-scheduler"],
        },
        "running": {"step": "build", "since": "2026-03-01T09:15:00.250Z", "words": "building them"},
        "waits_for": "bc0a4e2: packages change",
        "steps": [
            {
                "name": "fetch",
                "state": "ok",
                "started_at": "2026-03-01T09:15:00.250Z",
                "finished_at": "2026-03-01T09:15:00.250Z",
                "detail": "1 new commit",
            }
        ],
        "verdicts": [
            {
                "path": "dags/lasse/taxi_pipeline.py",
                "folder": "lasse",
                "outcome": "broken",
                "dag_ids": ["lasse_taxi_pipeline"],
                "error": {
                    "type": "ModuleNotFoundError",
                    "message": "No module named 'pandas'",
                    "line": 12,
                    "trace": "Traceback",
                },
                "proof": "release",
                "waited_s": 0.812,
                "warnings": ["Dag 'x' references non-existent pools: ['p']"],
            }
        ],
        "statuses": [
            {
                "sha": A,
                "context": "airflow/lasse",
                "state": "failure",
                "description": "taxi_pipeline.py:12 …",
                "target_url": "https://deployer.example.org/deployments/12",
                "posted_at": "2026-03-01T09:15:00.250Z",
                "attempts": 2,
                "error": None,
            }
        ],
    }
    assert json.dumps(as_json(deployment)) == json.dumps(expected)


def test_what_has_not_happened_is_null() -> None:
    waiting = Deployment(1, A, None, "refs/heads/main", Trigger.POLL, State.QUEUED, QUEUED)
    shown = as_json(waiting)
    assert (shown["base_sha"], shown["started_at"], shown["finished_at"]) == (None, None, None)


def test_a_file_outside_every_folder_has_no_folder_and_a_good_one_no_error() -> None:
    good = Verdict("dags/loose.py", Outcome.PARSED)
    deployment = Deployment(
        1, A, None, "refs/heads/main", Trigger.POLL, State.RUNNING, QUEUED, verdicts=(good,)
    )
    (shown,) = json.loads(json.dumps(as_json(deployment)))["verdicts"]
    assert (shown["folder"], shown["error"], shown["proof"]) == (None, None, "none")


def test_a_time_of_another_zone_is_shown_in_utc() -> None:
    in_berlin = datetime(2026, 3, 1, 10, 15, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(in_berlin) == "2026-03-01T09:15:00.000Z"
