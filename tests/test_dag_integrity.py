"""The class's rules, kept by every DAG file of the tree: one test a file and rule.

Runs wherever Airflow is installed: `astro dev pytest`, plain pytest, `scripts/test`. It needs no
database. The rules are those that Airflow itself applies (include/airflow/class_rules.py); one
of level `warn` shows as pytest's warning. An empty tree is a failure, and a file that could not
be parsed keeps no rule: its first test fails, the others are skipped.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from pathlib import Path

import pytest

pytest.importorskip("airflow", reason="runs in Airflow's environment")

from airflow import settings
from airflow.dag_processing.dagbag import DagBag

ROOT = Path(__file__).resolve().parents[1]
DAGS = ROOT / "dags"
RULES = ROOT / "include" / "airflow"

# As a student's clone has them, unless this Airflow has loaded its own already.
sys.path.insert(0, str(RULES))
import class_dags
import class_levels
import class_rules

sys.path.remove(str(RULES))

AGREED = class_levels.read(RULES / "class_rules.toml")
# What Airflow itself would look at, without asking Airflow: every file with a DAG's words in it.
FILES = sorted(
    path
    for path in DAGS.rglob("*.py")
    if b"dag" in (text := path.read_bytes().lower()) and b"airflow" in text
)


# A warning is for reading, however strict the repository's own settings are.
pytestmark = pytest.mark.filterwarnings("default")


class ClassRule(UserWarning):
    """A rule of level `warn` is broken."""


@cache
def parse(path: Path) -> tuple[list[class_rules.Dag], dict[str, str]]:
    """Return the DAGs of a file, also those against the rules, and its errors."""
    found = {}
    with pytest.MonkeyPatch.context() as patched:
        # As in the class's Airflow: installed modules first, then the repository's.
        patched.setattr(sys, "path", [*sys.path, str(ROOT), str(DAGS)])
        # A policy that is active here would keep DAGs from the tests that are to name its rules.
        patched.setattr(settings, "dag_policy", lambda dag: found.setdefault(id(dag), dag))
        bag = DagBag(dag_folder=str(path), safe_mode=True)
    at = path.relative_to(ROOT).as_posix()
    return [class_dags.read(dag, at) for dag in found.values()], bag.import_errors


def name(path: Path) -> str:
    return path.relative_to(DAGS).as_posix()


def test_the_tree_holds_dag_files():
    assert FILES, f"no DAG file below {DAGS}"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_parses(path: Path):
    dags, errors = parse(path)
    assert errors == {}
    assert dags, f"{path.name} speaks of DAGs and makes none"


@pytest.mark.parametrize("rule", class_levels.RULES)
@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_keeps(path: Path, rule: str):
    dags, errors = parse(path)
    if errors or not dags:
        pytest.skip("not parsed: test_file_parses tells why")
    if rule == class_levels.DUPLICATE:
        tree = [dag for file in FILES for dag in parse(file)[0]]
        found = [one for one in class_rules.duplicates(tree, AGREED) if one.path == dags[0].path]
    else:
        found = [one for dag in dags for one in class_rules.violations(dag, AGREED)]
        found = [one for one in found if one.rule == rule]
    for one in found:
        if one.level is class_levels.Level.WARN:
            warnings.warn(ClassRule(one.sentence), stacklevel=1)
    wrong = [one.sentence for one in found if one.level is class_levels.Level.ERROR]
    assert not wrong, "\n".join(wrong)
