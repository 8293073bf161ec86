"""The class repository in small parses, by its own test, in Airflow's own environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[[Path], subprocess.CompletedProcess[str]]
DAG_FILES = {"class_demo/hello.py", "lasse/taxi_pipeline.py", "maria/weather.py"}

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def run(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the class's test in a copy of the class repository, as a student would."""
    packages = tmp_path_factory.mktemp("pytest")
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python"]
    subprocess.run(
        [*install, str(airflow_python), "--target", str(packages), "pytest"],
        check=True,
        timeout=300,
    )

    def in_a_copy(copy: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(airflow_python), "-m", "pytest", "-v", "-p", "no:cacheprovider", "tests"],
            cwd=copy,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(copy),
                "AIRFLOW_HOME": str(copy / "home"),
                "PYTHONPATH": str(packages),
                "COLUMNS": "200",
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return in_a_copy


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A class repository of one's own: `dags/` and its test."""
    shutil.copytree(ROOT / "dags", tmp_path / "dags")
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "test_dag_integrity.py", tmp_path / "tests")
    return tmp_path


def ids(out: str, outcome: str) -> set[str]:
    return set(re.findall(rf"test_file_parses\[(.+?)\] {outcome}", out))


def test_every_dag_file_of_the_tree_has_a_test_of_its_own_and_parses(run: Run, copy: Path) -> None:
    done = run(copy)
    assert ids(done.stdout, "PASSED") == DAG_FILES, done.stdout
    assert done.returncode == 0


def test_a_broken_file_fails_its_own_test_alone(run: Run, copy: Path) -> None:
    broken = copy / "dags" / "maria" / "weather.py"
    broken.write_text("import nothing_of_that_name  # airflow dag\n")
    (copy / "dags" / "maria" / "empty.py").write_text("# speaks of airflow, makes no dag\n")
    done = run(copy)
    assert ids(done.stdout, "FAILED") == {"maria/weather.py", "maria/empty.py"}, done.stdout
    assert ids(done.stdout, "PASSED") == DAG_FILES - {"maria/weather.py"}


def test_an_empty_tree_does_not_pass(run: Run, copy: Path) -> None:
    shutil.rmtree(copy / "dags")
    assert run(copy).returncode != 0
