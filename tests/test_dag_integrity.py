"""Every DAG file of the tree parses: one test a file.

Runs wherever Airflow is installed: `astro dev pytest`, plain pytest, `scripts/test`.
It needs no database, and an empty tree is a failure, not a success.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="runs in Airflow's environment")

from airflow.dag_processing.dagbag import DagBag

DAGS = Path(__file__).resolve().parents[1] / "dags"
# What Airflow itself would look at, without asking Airflow: every file with a DAG's words in it.
FILES = sorted(
    path
    for path in DAGS.rglob("*.py")
    if b"dag" in (text := path.read_bytes().lower()) and b"airflow" in text
)


def test_the_tree_holds_dag_files():
    assert FILES, f"no DAG file below {DAGS}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(DAGS).as_posix())
def test_file_parses(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(DAGS))
    bag = DagBag(dag_folder=str(path), safe_mode=True)
    assert bag.import_errors == {}
    assert bag.dags, f"{path.name} speaks of DAGs and makes none"
