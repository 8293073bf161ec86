"""The class's own test of its DAGs, in Airflow's environment: what passes it, and what does not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from deployer import app
from deployer.app import sample_class
from deployer.core.tree.facts import facts

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[[Path], subprocess.CompletedProcess[str]]
RULES = {"folder", "dag_id", "tag", "duplicate", "schedule", "runs_at_once", "owner"}

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


def class_repository(place: Path, dags: Mapping[str, str]) -> Path:
    """Make a class repository: the shared `include/` and the test as they are, `dags` by path."""
    (place / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "test_dag_integrity.py", place / "tests")
    (place / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    ignored = shutil.ignore_patterns("__pycache__", "target", "logs")
    shutil.copytree(ROOT / "include", place / "include", ignore=ignored)
    for path, text in dags.items():
        file = place / "dags" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place


def dag(student: str, dag_id: str, *options: str, tag: str | None = None) -> str:
    """Return a DAG file that keeps every rule but the one that an argument breaks."""
    given = [f'default_args={{"owner": "{student}"}}', *options]
    return f"""\
import pendulum
from airflow.sdk import DAG
from airflow.providers.standard.operators.empty import EmptyOperator

with DAG(
    "{dag_id}",
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    tags=["{tag or f"student:{student}"}"],
    {", ".join(given)},
):
    EmptyOperator(task_id="nothing")
"""


BROKEN = {
    "amy/fine.py": dag("amy", "amy_fine"),
    "amy/no_import.py": "import nothing_of_that_name  # airflow dag\n",
    "amy/helper.py": "# speaks of airflow, makes no dag\n",
    "amy/prefix.py": dag("amy", "prefix"),
    "amy/tag.py": dag("amy", "amy_tag", tag="week1"),
    "amy/often.py": dag("amy", "amy_often", 'schedule="*/5 8 * * *"'),
    "amy/many.py": dag("amy", "amy_many", 'schedule="@daily"', "catchup=True"),
    "amy/nobodys.py": dag("airflow", "amy_nobodys", tag="student:amy"),
    "bob/same.py": dag("bob", "bob_same"),
    "bob/two_of_them.py": dag("bob", "bob_same"),
    "mine.py": dag("bob", "bob_mine"),
}


@pytest.fixture(scope="module")
def judged(run: Run, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What the class's test says of a tree in which each file but one breaks one rule."""
    return run(class_repository(tmp_path_factory.mktemp("broken"), BROKEN))


def parses(out: str, outcome: str) -> set[str]:
    return set(re.findall(rf"test_file_parses\[(.+?)\] {outcome}", out))


def keeps(out: str, outcome: str) -> set[tuple[str, str]]:
    """Return file and rule of each test that ended so."""
    return set(re.findall(rf"test_file_keeps\[(.+?)-(\w+)\] {outcome}", out))


def test_every_dag_file_of_the_tree_has_a_test_for_each_rule_and_passes(
    run: Run, tmp_path: Path
) -> None:
    repository = sample_class()
    texts = {path: text for path, text in repository.items() if path.startswith("dags/")}
    files = {
        path.removeprefix("dags/") for path, text in texts.items() if facts(path, text).may_hold_dag
    }
    dags = {path.removeprefix("dags/"): text.decode() for path, text in texts.items()}
    done = run(class_repository(tmp_path, dags))
    assert parses(done.stdout, "PASSED") == files, done.stdout
    assert keeps(done.stdout, "PASSED") == {(file, rule) for file in files for rule in RULES}
    assert done.returncode == 0
    assert "warning" not in done.stdout.splitlines()[-1]


def test_a_class_that_was_just_begun_passes_its_own_test(run: Run, tmp_path: Path) -> None:
    app.new_class(tmp_path / "class", ())
    done = run(tmp_path / "class")
    files = {"class_demo/hello.py", "class_demo/taxi_pipeline.py"}
    assert parses(done.stdout, "PASSED") == files, done.stdout
    assert keeps(done.stdout, "PASSED") == {(file, rule) for file in files for rule in RULES}
    assert done.returncode == 0


def test_a_broken_file_fails_its_own_test_a_helper_passes_and_neither_keeps_a_rule(
    judged: subprocess.CompletedProcess[str],
) -> None:
    assert parses(judged.stdout, "FAILED") == {"amy/no_import.py"}, judged.stdout
    assert parses(judged.stdout, "PASSED") == BROKEN.keys() - {"amy/no_import.py"}
    without = {"amy/no_import.py", "amy/helper.py"}
    assert keeps(judged.stdout, "SKIPPED") == {(file, rule) for file in without for rule in RULES}


def test_each_violation_fails_the_test_of_its_file_and_rule_alone_and_a_duplicate_both_files(
    judged: subprocess.CompletedProcess[str],
) -> None:
    assert keeps(judged.stdout, "FAILED") == {
        ("amy/prefix.py", "dag_id"),
        ("amy/tag.py", "tag"),
        ("amy/often.py", "schedule"),
        ("amy/many.py", "runs_at_once"),
        ("bob/same.py", "duplicate"),
        ("bob/two_of_them.py", "duplicate"),
        ("mine.py", "folder"),
    }


@pytest.mark.parametrize(
    "sentence",
    [
        "dag_id 'prefix' must begin with 'amy_': call it 'amy_prefix'",
        "DAG 'amy_often' runs every 5 min: choose a schedule with at least 15 min between two runs",
        "dag_id 'bob_same' is also in dags/bob/same.py: rename one, Airflow runs only one",
    ],
)
def test_a_failing_test_says_how_to_mend_it(
    judged: subprocess.CompletedProcess[str], sentence: str
) -> None:
    assert sentence in judged.stdout


def test_a_rule_of_level_warn_is_pytests_warning(
    judged: subprocess.CompletedProcess[str],
) -> None:
    assert ("amy/nobodys.py", "owner") in keeps(judged.stdout, "PASSED")
    said = "ClassRule: DAG 'amy_nobodys' has no owner: add default_args={'owner': 'amy'}"
    assert said in judged.stdout


# Each with a `utils` of its own, as the first tutorial on the web has it.
BESIDE = "import sys, os\nsys.path.insert(0, os.path.dirname(__file__))\nfrom utils import "
ASSET = """\
from airflow.sdk import asset

@asset(schedule="* * * * *")
def fay_prices():
    pass
"""
NAMED_BY_AN_ENUM = f"""\
import enum

class Name(str, enum.Enum):
    MINE = "jan_enum"

{dag("jan", "x").replace('"x"', "Name.MINE")}"""
ENDLESS = """\
# airflow dag
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
ODD = {
    "bob/one.py": f"{BESIDE}NAME_bob\n{dag('bob', 'bob_one')}",
    "bob/utils.py": "NAME_bob = clean = None\n",
    "cy/one.py": f"{BESIDE}NAME_cy\n{dag('cy', 'cy_one')}",
    "cy/utils.py": "NAME_cy = None\n",
    "dee/.airflowignore": "draft.py\n",
    "dee/draft.py": "import nothing_of_that_name  # airflow dag\n",
    "eve/forgot_utils.py": f"{BESIDE}clean\n{dag('eve', 'eve_one')}",
    "fay/asset.py": ASSET,
    "hal/ends.py": "import os  # airflow dag\nos._exit(0)\n",
    "hal/faults.py": "import ctypes  # airflow dag\nctypes.string_at(0)\n",
    "ivo/endless.py": ENDLESS,
    "jan/enum.py": NAMED_BY_AN_ENUM,
    "jan/old.py": f"import warnings\nwarnings.warn('is old')\n{dag('jan', 'jan_old')}",
}


@pytest.fixture(scope="module")
def odd(run: Run, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What the class's test says of files that its own process had better not read."""
    place = class_repository(tmp_path_factory.mktemp("odd"), ODD)
    (place / "dags" / "gia").mkdir()
    with ZipFile(place / "dags" / "gia" / "pack.zip", "w") as packed:
        packed.writestr("zipped.py", dag("gia", "zipped", tag="week1"))
    test = place / "tests" / "test_dag_integrity.py"
    text = test.read_text()
    assert "\nLONGEST_S = 60\n" in text
    test.write_text(text.replace("LONGEST_S = 60", "LONGEST_S = 5"))
    return run(place)


def test_its_files_are_those_that_airflow_looks_at(
    odd: subprocess.CompletedProcess[str],
) -> None:
    looked_at = parses(odd.stdout, "PASSED") | parses(odd.stdout, "FAILED")
    modules = {"bob/utils.py", "cy/utils.py"}  # without Airflow's words
    hidden = {"dee/.airflowignore", "dee/draft.py"}
    assert looked_at == ODD.keys() - modules - hidden | {"gia/pack.zip"}, odd.stdout


def test_what_an_asset_and_a_zip_hold_keeps_the_rules_too(
    odd: subprocess.CompletedProcess[str],
) -> None:
    assert keeps(odd.stdout, "FAILED") == {
        ("fay/asset.py", "tag"),
        ("fay/asset.py", "schedule"),
        ("gia/pack.zip", "dag_id"),
        ("gia/pack.zip", "tag"),
    }, odd.stdout


def test_one_students_modules_are_not_anothers_and_a_silent_end_is_no_pass(
    odd: subprocess.CompletedProcess[str],
) -> None:
    broken = {"eve/forgot_utils.py", "hal/ends.py", "hal/faults.py", "ivo/endless.py"}
    assert parses(odd.stdout, "FAILED") == broken, odd.stdout
    assert odd.returncode == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "ModuleNotFoundError: No module named 'utils'",
        "ParserDied: its parser ended with exit status 0, without a result",
        "ParserDied: its parser crashed (signal 11), without a result",
        "ParserTimeout: its parser was ended after 5 s: do less while the file is read",
        "UserWarning: is old",
    ],
)
def test_what_a_parse_came_to_is_told(odd: subprocess.CompletedProcess[str], sentence: str) -> None:
    assert sentence in odd.stdout


def test_an_empty_tree_does_not_pass(run: Run, tmp_path: Path) -> None:
    assert run(class_repository(tmp_path, {})).returncode != 0
