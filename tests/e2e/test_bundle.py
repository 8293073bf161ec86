"""What the class's bundle promises, with an Airflow that looks at nothing unless it is asked.

Its own looks, at the bundle and at files that it knows, are an hour apart. So whatever it
notices it was asked for, and what it has parsed once stays as it was parsed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deployer.demo.stage import Stage
from deployer.demo.student import Push, dag_file
from deployer.edges.embedded import airflow_settings
from tests.e2e.asking_airflow import BOUND_S, AskingAirflow, until
from tests.e2e.hold import Hold
from tests.e2e.watching import verdicts
from tests.github.watched import watched

pytestmark = pytest.mark.airflow

KEEP = 2
HOUR_S = "3600"
UNASKED = {
    "DAG_PROCESSOR__REFRESH_INTERVAL": HOUR_S,
    "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": HOUR_S,
    # A parse that a test holds up is to end when the test says so.
    "CORE__DAGBAG_IMPORT_TIMEOUT": "100",
    "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "120",
}


@dataclass(frozen=True)
class Class:
    """A stage, its Airflow, and what its pushes came to."""

    stage: Stage
    airflow: AskingAirflow

    def push(self, who: str, files: Mapping[str, str | None]) -> Push:
        student = self.stage.student(who)
        student.commit("Work", files)
        return student.push()

    def deployed(self, push: Push) -> Mapping[str, Any]:
        """Return the deployment of a push, once it is over.

        Not told by its statuses: GitHub takes one a second, and 30 pushes have many.
        """

        def over() -> Mapping[str, Any] | None:
            answer = self.stage.get(f"/api/v1/commits/{push.sha}")
            return answer.json() if answer.is_success and answer.json()["finished_at"] else None

        return until(over, f"the end of {push.sha[:7]}")

    def deploy(self, who: str, files: Mapping[str, str | None]) -> Push:
        """Push, and see that it goes live without a fault."""
        push = self.push(who, files)
        deployment = self.deployed(push)
        assert deployment["state"] == "succeeded", deployment
        return push

    def on_disk(self) -> set[str]:
        """Return the names of the releases that are kept."""
        releases = self.stage.settings.checkout_dir / "releases"
        return {entry.name for entry in releases.iterdir() if not entry.name.startswith(".")}

    def wait_until_gone(self, pushes: list[Push]) -> None:
        names = {push.sha for push in pushes}
        until(lambda: not names & self.on_disk(), "the end of releases that nobody needs")


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Class]:
    more = {"DEPLOYER_KEEP_RELEASES": str(KEEP), "DEPLOYER_POLL_INTERVAL_S": "5"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(airflow_settings, "SETTINGS", {**airflow_settings.SETTINGS, **UNASKED})
        stage = Stage(tmp_path_factory.mktemp("bundle"), print, more)
        with stage, watched(stage.hub):
            airflow = AskingAirflow(stage.airflow)
            try:
                school = Class(stage, airflow)
                school.deploy("teacher", {"dags/teacher/first.py": dag_file("teacher", "first")})
                yield school
            finally:
                airflow.close()


# -- a parse that was under way at the swap


def proof(school: Class, push: Push) -> tuple[str, str]:
    """Return the verdict on maria's file in a push, and its proof."""
    verdicts = school.deployed(push)["verdicts"]
    (verdict,) = (one for one in verdicts if one["folder"] == "maria")
    return verdict["outcome"], verdict["proof"]


def test_a_parse_that_began_before_the_swap_and_ends_after_it_is_nobodys_verdict(
    school: Class, tmp_path: Path
) -> None:
    hold, path = Hold(tmp_path), "dags/maria/slow.py"

    def version(number: int, more: str = "") -> str:
        return dag_file("maria", f"slow_{number}", imports=hold.lines() + more)

    def swap_while(before: Push, text: str, dag_id: str) -> Push:
        """Push `text` while the file of `before` is parsed once more; return its push."""
        hold.begin()
        school.airflow.reparse_until(lambda: hold.has_inside(before), dag_id)
        moved = f"came_after_{before.sha[:7]}"
        files = {path: text, f"dags/lasse/{moved}.py": dag_file("lasse", moved)}
        push = school.push("maria", files)
        # The other parser takes it as soon as Airflow has come to the new release.
        until(
            lambda: f"lasse_{moved}" in school.airflow.dag_ids_of(push.sha),
            "Airflow's look at the new release",
        )
        hold.end()
        return push

    # The next push comes while the first one's own parse is under way: each ends as it is.
    hold.begin()
    one = school.push("maria", {path: version(1)})
    until(lambda: hold.has_inside(one), f"a parse of {one.sha[:7]}")
    two = school.push("maria", {path: version(2)})
    hold.end()
    assert verdicts(school.stage, one, "maria")["airflow/maria"] == (
        "success",
        "1 DAG: maria_slow_1",
    )
    assert verdicts(school.stage, two, "maria")["airflow/maria"] == (
        "success",
        "1 DAG: maria_slow_2",
    )
    assert proof(school, one) == proof(school, two) == ("parsed", "release")

    # A good text is still being parsed when a broken one goes live.
    broken = version(3, "import nothing_of_that_name\n")
    line = broken.splitlines().index("import nothing_of_that_name") + 1
    three = swap_while(two, broken, "maria_slow_2")
    assert verdicts(school.stage, three, "maria")["airflow/maria"] == (
        "failure",
        f"slow.py:{line} ModuleNotFoundError: No module named 'nothing_of_that_name'",
    )
    assert proof(school, three) == ("broken", "release")
    # The old text's parse did end after the swap: Airflow calls it a version of the new release.
    old = school.airflow.dag("maria_slow_2")
    assert old["bundle_version"] == three.sha
    assert f"/releases/{two.sha}/" in old["fileloc"]

    # A broken text is still being parsed when it has been mended.
    four = swap_while(three, version(4), "maria_slow_2")
    assert verdicts(school.stage, four, "maria")["airflow/maria"] == (
        "success",
        "1 DAG: maria_slow_4",
    )
    assert proof(school, four) == ("parsed", "release")
    # What was said of the commits before stays said.
    assert verdicts(school.stage, three, "maria")["airflow/maria"][0] == "failure"
    assert verdicts(school.stage, two, "maria")["airflow/maria"][0] == "success"


# -- a run keeps the version it started with


def pinned(number: int, told: Path, gate: Path) -> dict[str, str]:
    """Return a DAG and its helpers, all of which say `number`.

    Its first task waits for `gate`, imports one more helper, fails, and is tried again.
    """
    text = f"""\
import time
from datetime import timedelta
from pathlib import Path

from airflow.sdk import dag, task
from include.pinned_words import NUMBER as INCLUDED
from lasse.pinned_helper import NUMBER as HELPING

TOLD, GATE = Path({str(told)!r}), Path({str(gate)!r})

def tell(moment, ti):
    with TOLD.open("a") as told:
        told.write(f"{{ti.task_id}} {{ti.try_number}} {{moment}}: ")
        told.write(f"{number} {{INCLUDED}} {{HELPING}} {{__file__}}\\n")

@dag(
    dag_id="lasse_pinned",
    schedule=None,
    is_paused_upon_creation=False,
    tags=["student:lasse", "version {number}"],
    default_args={{"owner": "lasse"}},
)
def pipeline():
    @task(retries=1, retry_delay=timedelta(0))
    def first(ti=None):
        tell("begins", ti)
        end = time.monotonic() + {BOUND_S}
        while not GATE.exists() and time.monotonic() < end:
            time.sleep(0.05)
        from lasse.pinned_late import NUMBER as LATE
        tell(f"ends with {{LATE}}", ti)
        if ti.try_number == 1:
            raise RuntimeError("once more")

    @task
    def second(ti=None):
        tell("runs", ti)

    first() >> second()

pipeline()
"""
    return {
        "dags/lasse/pinned.py": text,
        "dags/lasse/pinned_helper.py": f"NUMBER = {number}\n",
        "dags/lasse/pinned_late.py": f"NUMBER = {number}\n",
        "include/pinned_words.py": f"NUMBER = {number}\n",
    }


def test_a_run_its_retry_and_its_cleared_tasks_keep_the_version_it_started_with(
    school: Class, tmp_path: Path
) -> None:
    told, gate, dag_id = tmp_path / "told", tmp_path / "gate", "lasse_pinned"
    first = school.deploy("lasse", pinned(1, told, gate))
    run = school.airflow.trigger(dag_id)
    until(told.exists, "the beginning of the first task")

    later = [school.deploy("lasse", pinned(number, told, gate)) for number in (2, 3, 4)]
    assert school.airflow.dag(dag_id)["bundle_version"] == later[-1].sha
    # The run's release is the oldest of four where two are kept, and no DAG is of it: also not
    # one that somebody asked for by name before, and Airflow came to when this was live.
    until(lambda: school.airflow.none_is_of(first.sha), "other DAGs to be of a later release")
    school.wait_until_gone(later[:1])
    assert first.sha in school.on_disk()
    gate.touch()
    assert school.airflow.wait_for_end(dag_id, run) == "success"
    school.airflow.clear(dag_id, run)
    assert school.airflow.wait_for_end(dag_id, run) == "success"

    file = school.stage.settings.checkout_dir / "releases" / first.sha / "dags/lasse/pinned.py"
    assert told.read_text().splitlines() == [
        f"{moment}: 1 1 1 {file}"
        for moment in (
            "first 1 begins",
            "first 1 ends with 1",
            "first 2 begins",
            "first 2 ends with 1",
            "second 1 runs",
            "first 3 begins",
            "first 3 ends with 1",
            "second 2 runs",
        )
    ]
    # Nothing needs it any more: it goes when its turn to be asked about comes again, and three
    # are asked about after each deployment.
    assert first.sha in school.on_disk()
    for number in (5, 6, 7):
        school.deploy("lasse", pinned(number, told, gate))
    school.wait_until_gone([first])


# -- what stays, and for how long

PUSHES = 5 * KEEP


def test_a_dag_that_nobody_touches_is_parsed_once_and_runs_after_many_deployments(
    school: Class, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    tell = f"open({str(told)!r}, 'w').write(f'{{NUMBER}} {{__file__}}')"
    text = dag_file(
        "maria", "stays", imports="from maria.staying import NUMBER\n", body=tell
    ).replace("schedule=None,", "schedule=None, is_paused_upon_creation=False,")
    files = {"dags/maria/stays.py": text, "dags/maria/staying.py": "NUMBER = 7\n"}
    stays = school.deploy("maria", files)
    parsed = school.airflow.dag("maria_stays")
    assert parsed["bundle_version"] == stays.sha

    moving = "import time\n# version {}\n"
    pushes = [
        school.deploy(
            "lasse",
            {"dags/lasse/moves.py": dag_file("lasse", "moves", imports=moving.format(n))},
        )
        for n in range(PUSHES)
    ]
    school.wait_until_gone(pushes[:-KEEP])
    used = {dag["bundle_version"] for dag in school.airflow.living_dags()}
    assert school.on_disk() == used | {push.sha for push in pushes[-KEEP:]}

    assert school.airflow.dag("maria_stays") == parsed  # its stamp has not moved either
    assert stays.sha in used
    run = school.airflow.trigger("maria_stays")
    assert school.airflow.wait_for_end("maria_stays", run) == "success"
    release = school.stage.settings.checkout_dir / "releases" / stays.sha
    assert told.read_text() == f"7 {release / 'dags/maria/stays.py'}"


def test_a_folder_that_is_called_as_what_packages_can_do_without_breaks_nobody(
    school: Class,
) -> None:
    school.deploy("eve", {"dags/simplejson/helper.py": "ONE = 1\n"})  # requests looks for it
    asks = dag_file(
        "lasse", "asks", imports="import requests\nfrom simplejson.helper import ONE\n"
    ).replace("schedule=None,", "schedule=None, is_paused_upon_creation=False,")
    school.deploy("lasse", {"dags/lasse/asks.py": asks})
    run = school.airflow.trigger("lasse_asks")
    assert school.airflow.wait_for_end("lasse_asks", run) == "success"
