"""Whose files a push changes, and whose `dag_id` it claims, told to those whom it concerns."""

from __future__ import annotations

import pytest

from deployer.demo.stage import Stage
from deployer.demo.student import dag_file
from tests.e2e.watching import verdicts

pytestmark = pytest.mark.airflow

ROSTER = """\
teachers: [teacher]
folders:
  lasse: [lasse-j, lasse@class.example]
  maria: maria
"""


def plan_step(stage: Stage, sha: str) -> str:
    steps = stage.get(f"/api/v1/commits/{sha}").json()["steps"]
    return str(next(step["detail"] for step in steps if step["name"] == "plan"))


def test_a_change_of_anothers_folder_is_noted_and_one_of_ones_own_is_not(stage: Stage) -> None:
    teacher, lasse = stage.student("teacher"), stage.student("lasse")
    teacher.commit("Say who is who", {"roster.yaml": ROSTER})
    lasse.pull()
    verdicts(stage, teacher.push())

    # Lasse pushes as `lasse`, which is not his login: it is his address that counts.
    lasse.commit("Mine", {"dags/lasse/whose.py": dag_file("lasse", "whose")})
    mine = lasse.push()
    assert "folder" not in verdicts(stage, mine, "lasse")["airflow/deploy"][1]

    lasse.commit("Hers", {"dags/maria/whose.py": dag_file("maria", "whose")})
    hers = lasse.push()
    said = verdicts(stage, hers, "maria")
    assert said["airflow/maria"] == ("success", "1 DAG: maria_whose")
    assert said["airflow/deploy"][0] == "success"
    assert said["airflow/deploy"][1].endswith("; changes maria's folder")
    noted = f"{hers.sha[:7]} changes maria's folder"
    assert noted in plan_step(stage, hers.sha)
    page = stage.get(f"/commits/{hers.sha}").text
    assert noted.replace("'", "&#39;") in page


def test_a_file_with_anothers_dag_id_is_held_until_it_has_one_of_its_own(stage: Stage) -> None:
    # Both may call a DAG so, as far as the class's policy goes.
    lasse, namesake = stage.student("lasse"), stage.student("lasse_b")
    first = {"dags/lasse_b/first.py": dag_file("lasse_b", "contested")}
    namesake.commit("First", first)
    said = verdicts(stage, namesake.push(), "lasse_b")
    assert said["airflow/lasse_b"] == ("success", "1 DAG: lasse_b_contested")

    lasse.commit("Second", {"dags/lasse/second.py": dag_file("lasse", "b_contested")})
    said = verdicts(stage, lasse.push(), "lasse")
    assert said["airflow/lasse"] == (
        "failure",
        (
            "second.py is held: dag_id 'lasse_b_contested' is already used by"
            " dags/lasse_b/first.py: choose another"
        ),
    )
    assert said["airflow/deploy"][1].endswith(
        "; dags/lasse/second.py claims dag_id 'lasse_b_contested' of dags/lasse_b/first.py"
    )
    live = stage.settings.checkout_dir / "current" / "dags"
    assert not (live / "lasse" / "second.py").exists()

    # A file that moves is no duplicate of itself.
    text = first["dags/lasse_b/first.py"]
    namesake.commit("Move", {"dags/lasse_b/first.py": None, "dags/lasse_b/moved.py": text})
    said = verdicts(stage, namesake.push(), "lasse_b")
    assert said["airflow/lasse_b"] == ("success", "1 DAG: lasse_b_contested")

    lasse.commit("Rename", {"dags/lasse/second.py": dag_file("lasse", "contested")})
    said = verdicts(stage, lasse.push(), "lasse")
    assert said["airflow/lasse"] == ("success", "1 DAG: lasse_contested")
