"""What GitHub does for a pull request: the workflow, CODEOWNERS, and the form that is shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"


@pytest.fixture
def workflow() -> dict[Any, Any]:
    parsed = yaml.safe_load((GITHUB / "workflows" / "dag-integrity.yml").read_text())
    assert isinstance(parsed, dict)
    return parsed


def trigger(workflow: dict[Any, Any]) -> dict[str, Any]:
    on: dict[str, Any] = workflow[True]  # YAML 1.1: `on` is a boolean
    return on


def steps(workflow: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def commands(workflow: dict[Any, Any]) -> str:
    return "\n".join(step.get("run", "") for step in steps(workflow))


def test_it_runs_for_pull_requests_only_and_without_the_repositorys_secrets(
    workflow: dict[Any, Any],
) -> None:
    # `pull_request_target` would run a stranger's code with a token that may write.
    assert set(trigger(workflow)) == {"pull_request"}
    assert "secrets." not in (GITHUB / "workflows" / "dag-integrity.yml").read_text()


def test_it_runs_for_what_the_class_shares_and_for_nothing_else(workflow: dict[Any, Any]) -> None:
    assert set(trigger(workflow)["pull_request"]["paths"]) == {
        "dags/**",
        "include/**",
        "requirements.txt",
        "tests/test_dag_integrity.py",
        ".github/workflows/dag-integrity.yml",
    }


def test_each_of_its_paths_is_there(workflow: dict[Any, Any]) -> None:
    for path in trigger(workflow)["pull_request"]["paths"]:
        assert (ROOT / path.removesuffix("/**")).exists(), path


def test_it_may_read_and_never_write(workflow: dict[Any, Any]) -> None:
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job for job in workflow["jobs"].values())
    checkout = next(step for step in steps(workflow) if "checkout" in step.get("uses", ""))
    assert checkout["with"]["persist-credentials"] is False


def test_it_runs_the_class_test_that_is_there(workflow: dict[Any, Any]) -> None:
    run = re.findall(r"pytest .*?(tests/\S+)", commands(workflow))
    assert run == ["tests/test_dag_integrity.py"]
    assert (ROOT / run[0]).is_file()


def test_its_airflow_is_that_of_the_class_and_held_by_constraints(workflow: dict[Any, Any]) -> None:
    (image,) = re.findall(
        r"^ARG AIRFLOW_IMAGE_NAME=apache/airflow:(\S+)$",
        (ROOT / "Dockerfile").read_text(),
        flags=re.MULTILINE,
    )
    (job,) = workflow["jobs"].values()
    assert job["env"]["AIRFLOW_VERSION"] == image
    said = commands(workflow)
    assert re.search(r'"apache-airflow\S*==\$\{AIRFLOW_VERSION\}"', said)
    assert re.search(
        r'--constraint "\S+-\$\{AIRFLOW_VERSION\}/\S+-\$\{PYTHON_VERSION\}\.txt"', said
    )
    assert "--requirement requirements.txt" in said


def test_it_installs_by_uv_into_the_python_that_runs_the_test(workflow: dict[Any, Any]) -> None:
    (job,) = workflow["jobs"].values()
    assert job["env"]["UV_SYSTEM_PYTHON"] == "1"
    said = commands(workflow)
    assert re.findall(r"pip install (\S+)", said) == ["uv", "pytest"]
    assert "python -m pip install uv" in said
    assert "uv pip install pytest" in said


def test_its_actions_are_github_s_own_with_a_pinned_major_version(
    workflow: dict[Any, Any],
) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in used), used


def test_it_ends_by_itself(workflow: dict[Any, Any]) -> None:
    assert all(job["timeout-minutes"] <= 15 for job in workflow["jobs"].values())


def test_each_folder_of_dags_has_an_owner_and_everything_else_has_the_teacher() -> None:
    lines = [
        line.split()
        for line in (GITHUB / "CODEOWNERS").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert all(re.fullmatch(r"@[\w-]+", owner) for _, *owners in lines for owner in owners)
    first, *folders = [pattern for pattern, *_ in lines]
    assert first == "*"  # the last line that fits counts, so this one comes first
    there = {f"/dags/{path.name}/" for path in (ROOT / "dags").iterdir() if path.is_dir()}
    assert set(folders) == there - {"/dags/__pycache__/"}


def test_the_form_asks_for_what_the_ten_steps_say() -> None:
    form = (GITHUB / "pull_request_template.md").read_text()
    for asked in ("deployer check", "dag_id", "student:<folder>", "requirements.txt"):
        assert asked in form
    assert "docs/students.md" in form
