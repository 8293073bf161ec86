"""The class's rules in Airflow itself: what its parser, alone and in the dag-processor, says."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from deployer.core.model import Examined, ParseError
from deployer.core.planning.held import duplicates
from deployer.core.verdicts import trace
from deployer.edges.embedded.airflow_settings import parsing_environment
from deployer.edges.parser.examiner import IsolatedExaminer
from deployer.edges.parser.warm_parser import LocalParser
from tests.integration.airflow_world import World
from tests.integration.examiner.world import AIRFLOW_FILES, SCRIPT, Disk, Real

pytestmark = pytest.mark.airflow

POLICY = "AirflowClusterPolicyViolation"


def dag(dag_id: str, *options: str, tag: str = "student:lasse", owner: str = "lasse") -> str:
    """Return a file's text that keeps every rule of `dags/lasse/` but what an argument breaks."""
    given = "".join(f", {option}" for option in options)
    return f"""
import pendulum
from airflow.sdk import DAG, task
from datetime import timedelta

with DAG({dag_id!r}, start_date=pendulum.datetime(2026, 1, 1, tz="UTC"), tags=[{tag!r}],
         default_args={{"owner": {owner!r}}}{given}):
    @task
    def nothing(): ...
    nothing()
"""


def making(schedule: str) -> str:
    """Return such a text with a task that makes the asset `made`."""
    text = dag("lasse_x", f"schedule={schedule}").replace("@task", "@task(outlets=[Asset('made')])")
    return f"from airflow.sdk import Asset\n{text}"


@contextmanager
def examining(python: Path, place: Path, rules: str | None, files: Path) -> Iterator[Real]:
    env = parsing_environment(files) | ({"CLASS_RULES": rules} if rules else {})
    parser, disk = LocalParser(lambda: python, files / SCRIPT.name, env), Disk(place)
    with closing(IsolatedExaminer(now=parser, built=parser, materialiser=disk)) as examiner:
        yield Real(examiner, disk)


@pytest.fixture(scope="module")
def warm(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """An examiner that knows the class's rules, as that of `deployer check`."""
    place, rules = tmp_path_factory.mktemp("policy"), AIRFLOW_FILES / "class_rules.toml"
    with examining(airflow_python, place, str(rules), AIRFLOW_FILES) as real:
        yield real


@pytest.fixture(scope="module")
def gate(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """The worker's examiner, which does not know what the teacher has made of the rules."""
    with examining(airflow_python, tmp_path_factory.mktemp("gate"), None, AIRFLOW_FILES) as real:
        yield real


def error_of(warm: Real, path: str, text: str) -> ParseError:
    (found,) = warm.examine(warm.disk.write(path, text))
    assert found.error is not None
    return found.error


@pytest.mark.parametrize(
    "text",
    [
        dag("lasse_x"),
        dag("lasse_x", 'schedule="@daily"'),
        dag("lasse_x", "schedule='*/15 * * * *'"),
        dag("lasse_x", "schedule=timedelta(minutes=15)"),
        dag("lasse_x", "schedule='0 0 29 2 *'"),
        dag("lasse_x", "schedule='@once'"),
        dag("lasse_x", 'schedule="@daily"', "catchup=True", "max_active_runs=1"),
        "from airflow.sdk import Asset\n" + dag("lasse_x", 'schedule=[Asset("a")]'),
        making("None"),
        making("'@daily'"),
        making("[Asset('made'), Asset('a')]"),
        "from airflow.timetables.events import EventsTimetable\n"
        + dag("lasse_x", "schedule=EventsTimetable([pendulum.datetime(2026, 1, 1)])"),
    ],
)
def test_a_dag_within_the_rules_parses_without_advice(warm: Real, text: str) -> None:
    (found,) = warm.examine(warm.disk.write("dags/lasse/x.py", text))
    assert (found.dag_ids, found.error, found.harm, found.advice) == (("lasse_x",), None, None, ())


@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        pytest.param(
            "dags/lasse/x.py",
            dag("pipeline"),
            "dag_id 'pipeline' must begin with 'lasse_': call it 'lasse_pipeline'",
            id="dag_id",
        ),
        pytest.param(
            "dags/lasse/x.py",
            dag("lasse_x", tag="student:maria"),
            "DAG 'lasse_x' has no tag 'student:lasse': add it to its tags=[…]",
            id="tag",
        ),
        pytest.param(
            "dags/x.py",
            dag("lasse_x"),
            "dags/x.py lies in nobody's folder: move it to dags/<your folder>/x.py",
            id="folder",
        ),
        *(
            pytest.param(
                "dags/lasse/x.py",
                dag("lasse_x", f"schedule={schedule}", "max_active_runs=1"),
                f"DAG 'lasse_x' runs {often}: "
                "choose a schedule with at least 15 min between two runs",
                id=schedule,
            )
            for schedule, often in [
                ("'*/5 8 * * *'", "every 5 min"),
                ("'0,55 * * * *'", "every 5 min"),
                ("timedelta(seconds=30)", "every 30 s"),
                ("'@continuous'", "nonstop"),
            ]
        ),
        pytest.param(
            "dags/lasse/x.py",
            dag("lasse_x", "schedule='0 0 31 2 *'"),
            "the schedule of DAG 'lasse_x' has no next run (failed to find next date): mend it",
            id="31 February",
        ),
        pytest.param(
            "dags/lasse/x.py",
            "from airflow.sdk import EventsTimetable\n"
            + dag("lasse_x", "schedule=EventsTimetable([pendulum.datetime(2026, 1, 1)])"),
            (
                "the schedule of DAG 'lasse_x' is one that Airflow itself can't read back "
                "(KeyError: '_summary'): take EventsTimetable from "
                "airflow.timetables.events, or another schedule"
            ),
            id="a timetable that Airflow can't read back",
        ),
        *(
            pytest.param(
                "dags/lasse/x.py",
                making(schedule),
                (
                    "the schedule of DAG 'lasse_x' is an asset that its own tasks make, so it runs "
                    "nonstop: take that out of the schedule or of their outlets"
                ),
                id=f"set off by itself, {schedule}",
            )
            for schedule in ("[Asset('made')]", "Asset('a') | Asset('made')")
        ),
        pytest.param(
            "dags/lasse/x.py",
            dag("lasse_x", "catchup=True", "schedule='@daily'"),
            (
                "DAG 'lasse_x' catches up with max_active_runs=16: "
                "set it from 1 to 3, or catchup=False"
            ),
            id="catchup",
        ),
        pytest.param(
            "dags/lasse/x.py",
            dag("b", tag="week1") + dag("lasse_fine") + dag("a"),
            (
                "dag_id 'a' must begin with 'lasse_': call it 'lasse_a'; "
                "dag_id 'b' must begin with 'lasse_': call it 'lasse_b'; "
                "DAG 'b' has no tag 'student:lasse': add it to its tags=[…]"
            ),
            id="several DAGs, several rules",
        ),
    ],
)
def test_a_violation_is_an_import_error_in_one_sentence(
    warm: Real, path: str, text: str, said: str
) -> None:
    error = error_of(warm, path, text)
    assert (error.type, error.message, error.line) == (POLICY, said, None)


HARMFUL = {
    "retries": dag("any", "max_active_runs=1").replace("@task", "@task(retries=10**12)"),
    "a pool of 300 letters": dag("any").replace("@task", f"@task(pool={'p' * 300!r})"),
    "NUL": dag("any", r"description='a\0b'"),
}


@pytest.mark.parametrize("text", HARMFUL.values(), ids=HARMFUL)
def test_what_would_hurt_others_is_held_though_it_breaks_rules_that_a_teacher_may_have_lifted(
    gate: Real, text: str
) -> None:
    (found,) = gate.examine(gate.disk.write("dags/lasse/x.py", text))
    assert found.harm is not None


def test_two_files_that_claim_one_dag_id_are_seen_though_it_is_against_the_rules(
    gate: Real,
) -> None:
    paths = [gate.disk.write(f"dags/{name}/x.py", dag("weather")) for name in ("lasse", "maria")]
    assert [one.path for one in duplicates(gate.examine(*paths), {})] == paths


def test_what_is_against_the_rules_alone_is_left_to_airflow(gate: Real) -> None:
    (found,) = gate.examine(gate.disk.write("dags/lasse/x.py", dag("weather", tag="week1")))
    assert (found.dag_ids, found.error, found.harm) == (("weather",), None, None)


def test_a_rule_of_level_warn_is_advice_and_no_error(warm: Real) -> None:
    path = warm.disk.write("dags/lasse/x.py", dag("lasse_x", owner="airflow"))
    (found,) = warm.examine(path)
    advice = ("DAG 'lasse_x' has no owner: add default_args={'owner': 'lasse'}",)
    assert found == Examined(path, ("lasse_x",), advice=advice)


def test_what_asset_makes_is_not_asked_for_an_owner_that_it_can_t_have(warm: Real) -> None:
    text = "from airflow.sdk import asset\n\n@asset(schedule='@daily', tags=['student:lasse'])\n"
    path = warm.disk.write("dags/lasse/x.py", f"{text}def lasse_dag(): ...\n")
    (found,) = warm.examine(path)
    assert (found.dag_ids, found.error, found.advice) == (("lasse_dag",), None, ())


def test_the_dag_processor_says_the_same_and_names_the_release_that_it_read(
    world: World, warm: Real
) -> None:
    name = f"bad{uuid4().hex[:8]}"
    path, text = f"dags/lasse/{name}.py", dag(name)
    release = world.publish({path: text})
    live = trace.read(world.error_from(release, path), path)
    ahead = error_of(warm, path, text)
    assert (live.type, live.message, live.line) == (ahead.type, ahead.message, ahead.line)


def test_a_broken_levels_file_stops_nobody_and_is_named_with_its_mistake_at_airflows_start(
    airflow_python: Path, tmp_path: Path
) -> None:
    files = shutil.copytree(AIRFLOW_FILES, tmp_path / "files")
    levels = files / "class_rules.toml"
    levels.write_text(levels.read_text().replace('tag = "error"', 'tag = "eror"'))
    done = subprocess.run(
        [str(airflow_python), "-m", "airflow", "version"],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            **parsing_environment(files),
            "AIRFLOW_HOME": str(tmp_path / "home"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    said = "the class's rules are only advice until this is mended: "
    assert f"{said}{levels}: levels.tag: Input should be 'error'" in done.stderr

    with examining(airflow_python, tmp_path, str(levels), files) as real:
        (found,) = real.examine(real.disk.write("dags/lasse/x.py", dag("pipeline")))
    assert found.dag_ids == ("pipeline",)
    assert found.advice[0].startswith(said)
    assert found.advice[1].startswith("dag_id 'pipeline' must begin with 'lasse_'")
