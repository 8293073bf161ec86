"""What has been seen to kill the dag-processor for everybody, on a real Airflow with PostgreSQL."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deployer.demo.student import dag_file
from tests.e2e.compose.classroom import SERVICES, Classroom, is_green
from tests.e2e.compose.poisons import DAG_PROCESSOR, OVERLOOKED, Life, dag, life_of, removed
from tests.integration.examiner import unstorable

pytestmark = pytest.mark.docker


@dataclass(frozen=True, slots=True)
class Poison:
    """What one folder brings, and what its status says.

    Attributes:
        files: content by name within the folder.
        links: target by name.
    """

    state: str
    words: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


def bad(words: str, files: Mapping[str, str | bytes]) -> Poison:
    return Poison("failure", words, files)


def link(name: str, target: str, words: str) -> Poison:
    return Poison("failure", f"{name} is held: {words}", links={name: target})


A_FOLDER = "the link leads to a folder; only links to files are published"
NO_PATTERN = "is not a valid pattern, which would stop Airflow for everybody"
NUL = "Airflow's database takes none: remove it"

POISONS = {
    "loop": link("again", "../loop", A_FOLDER),
    "itself": link("x.py", "x.py", "the link leads back to itself"),
    "across": link("theirs", "../lasse", A_FOLDER),
    "bang": bad(f".airflowignore is held: line 1: '!' {NO_PATTERN}", {".airflowignore": "!\n"}),
    "range": bad(
        f".airflowignore is held: line 1: '[z-a]' {NO_PATTERN}", {".airflowignore": "[z-a]\n"}
    ),
    "bytes": bad(
        ".airflowignore is held: byte 1 is not UTF-8, which would stop Airflow for everybody",
        {".airflowignore": b"\xe6*\n"},
    ),
    "named": bad("the file name is not UTF-8", {"caf\udce9.py": dag("named")}),
    "described": bad(
        f"x.py is held: has a description with a NUL character in DAG 'described_x'; {NUL}",
        {"x.py": dag("described", r"description='\0',")},
    ),
    "documented": bad(
        f"x.py is held: has a 'doc_md' with a NUL character in DAG 'documented_x'; {NUL}",
        {"x.py": dag("documented", r"doc_md='\0',")},
    ),
    "tagged": bad(
        f"x.py is held: has a tag with a NUL character in DAG 'tagged_x'; {NUL}",
        {"x.py": dag("tagged").replace("tags=[", r"tags=['\0', ")},
    ),
    "owned": bad(
        "x.py is held: has owners of 3000 characters in DAG 'owned_x'; "
        "Airflow's database takes 2000: shorten it",
        {"x.py": dag("owned", owner="'o' * 3000")},
    ),
    "displayed": bad(
        "x.py is held: has a dag_display_name of 3000 characters in DAG 'displayed_x'; "
        "Airflow's database takes 2000: shorten it",
        {"x.py": dag("displayed", "dag_display_name='d' * 3000,")},
    ),
    "linked": bad(
        "x.py is held: has a link in owner_links of 900 characters in DAG 'linked_x'; "
        "Airflow's database takes 500: shorten it",
        {"x.py": dag("linked", "owner_links={'me': 'https://a/' + 'x' * 890},")},
    ),
    # The class's own rule, which a teacher may lift, is met later.
    "ran": bad(
        "x.py is held: has a max_active_runs of 1000000000000 in DAG 'ran_x'; "
        "Airflow's database takes 2147483647 at most: mend it",
        {"x.py": dag("ran", "max_active_runs=10**12,")},
    ),
    "tasked": bad(
        "x.py is held: has a max_active_tasks of 1000000000000 in DAG 'tasked_x'; "
        "Airflow's database takes 2147483647 at most: mend it",
        {"x.py": dag("tasked", "max_active_tasks=10**12,")},
    ),
    "raised": bad(
        "x.py is held: has an error message with a NUL character in "
        r"'ValueError: a\x00b'; " + NUL,
        {"x.py": f"{dag('raised')}raise ValueError('a\\0b')\n"},
    ),
    # Harmless to Airflow.
    "dangling": link(
        "x.py", "gone.py", "the link leads to nothing in dags/ or include/ of this commit"
    ),
    "text": bad("source code string cannot contain null bytes", {"x.py": f"{dag('text')}# \0\n"}),
    "zipped": Poison("success", "no DAG", {"x.zip": "an airflow dag\n"}),
    "large": Poison("success", "large_x", {"x.py": dag("large", "params={'x': 'x' * 3_000_000},")}),
}
"""By the folder that brings it."""


def test_no_poison_reaches_the_dag_processor_and_each_is_named_to_its_folder(
    image_class: Classroom,
) -> None:
    room = image_class
    before = Life.of(room)
    eve = room.stage.student("eve")
    for folder, poison in POISONS.items():
        for name, target in poison.links.items():
            place = eve.copy / "dags" / folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target)
    poisons = {
        f"dags/{folder}/{name}": content
        for folder, poison in POISONS.items()
        for name, content in poison.files.items()
    }

    eve.commit("Poison everybody", poisons)
    said = room.ends(eve.push(), *POISONS)
    after = room.push("lasse", "Go on", {"dags/lasse/on.py": dag_file("lasse", "on")})
    neighbour = room.ends(after, "lasse")

    wrong = {}
    for folder, poison in POISONS.items():
        state, words = said[f"airflow/{folder}"]
        if state != poison.state or poison.words not in words:
            wrong[folder] = (state, words)
    assert wrong == {}
    assert is_green(neighbour), neighbour
    assert Life.of(room) == before


def test_what_ends_the_dag_processor_itself_is_taken_back(image_class: Classroom) -> None:
    room, path = image_class, "dags/eve/killer.py"
    others = [service for service in SERVICES if service != DAG_PROCESSOR]
    before, lives = {service: life_of(room, service) for service in others}, Life.of(room)
    live = (room.stack.checkout / "current").readlink().name
    # Nothing but what kills processes is left to do that.
    text = f"{OVERLOOKED}import os\nos.kill(os.getppid(), 9)\n{dag('eve')}"
    killer = room.push("eve", "Slip through", {path: text})
    said = room.ends(killer, "eve")
    after = room.push("maria", "Go on", {"dags/maria/on.py": dag_file("maria", "on")})
    neighbour = room.ends(after, "maria")

    assert said["airflow/eve"][0] == "failure"
    # Which of the two depends on whether Docker has already started it again.
    words = re.compile(
        r"killer\.py is held: Airflow's dag-processor died of it: "
        r"it (was killed|ended with exit code 137)"
    )
    assert words.match(said["airflow/eve"][1]), said
    assert said["airflow/deploy"][0] == "failure"
    steps = room.deployment(killer)["steps"]
    taken_back = [step["detail"] for step in steps if step["name"] == "rollback"]
    assert [detail.rpartition("; ")[2] for detail in taken_back] == [f"live again: {live}"] * 2
    assert is_green(neighbour), neighbour
    assert not (room.stack.checkout / "current" / path).exists()
    assert {service: life_of(room, service) for service in others} == before
    # Docker's policy brings it back, each death is one, and the last life is the third.
    now = Life.of(room)
    assert now.container[2] == lives.container[2] + 2
    assert len(now.lives) == len(lives.lives) + 2
    removed(room, [path])


def test_the_gate_holds_exactly_what_the_database_refuses(image_class: Classroom) -> None:
    room = image_class
    folder = room.stack.checkout / "persisting"
    (folder / "files").mkdir(parents=True)
    shutil.copy(Path(__file__).with_name("persisting.py"), folder)
    for name, text in unstorable.files().items():
        (folder / "files" / f"{name}.py").write_text(text)

    # Without the class's policy, by which the names of these DAGs won't do.
    env = ("--env", "PYTHONPATH=", "--env", "AIRFLOW__DATABASE__MAX_DB_RETRIES=1")
    run = ("run", "--rm", "--no-deps", "-T", *env, DAG_PROCESSOR)
    inside = "/opt/class/persisting"
    said = room.stack.compose(*run, "python", f"{inside}/persisting.py", f"{inside}/files").stdout

    # Airflow's log comes before.
    refused = {name for name, why in json.loads(said.splitlines()[-1]).items() if why}
    assert refused == set(unstorable.HELD), said
