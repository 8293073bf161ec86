"""Files that the isolated parse overlooks, and what became of the dag-processor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import docker

from deployer.demo.student import Push, dag_file
from tests.e2e.compose.classroom import Classroom, is_green, wait_until
from tests.e2e.watching import worker_events

DAG_PROCESSOR = "airflow-dag-processor"

IN_A_RELEASE = 're.search("/releases/[0-9a-f]{40}", __file__)'
"""Not so where files are parsed in isolation."""

OVERLOOKED = f"""\
import re
if not {IN_A_RELEASE}:
    raise ImportError("not here")  # found in isolation it is a hint, and the file goes live
import airflow_local_settings
airflow_local_settings._path = lambda dag: None  # the class's rules are etiquette
"""
"""First lines of a file: what follows happens to the class's dag-processor alone."""


def dag(folder: str, more: str = "", *, owner: str = "") -> str:
    """Return a file that keeps the class's rules, with further arguments of its DAG."""
    return (
        "from airflow.sdk import DAG, task\n"
        f'with DAG("{folder}_x", schedule=None, catchup=False, tags=["student:{folder}"],\n'
        f'         default_args={{"owner": {owner or repr(folder)}}}) as made:\n'
        "    @task\n"
        "    def work(): ...\n"
        "    work()\n"
    ).replace("catchup=False,", f"catchup=False, {more}" if more else "catchup=False,")


def life_of(room: Classroom, service: str) -> tuple[str, str, int]:
    """Return the id of a service's container, since when it runs, and how often it came back."""
    client = docker.from_env()
    try:
        attributes = client.containers.get(room.stack.container_id(service)).attrs
        return attributes["Id"], attributes["State"]["StartedAt"], attributes["RestartCount"]
    finally:
        client.close()


@dataclass(frozen=True, slots=True)
class Life:
    """One life of the dag-processor, as Docker and the feed have it.

    Attributes:
        container: its id, since when it runs, how often it came back.
        lives: what the worker was greeted with over the feed, each life once.
    """

    container: tuple[str, str, int]
    lives: tuple[str, ...]

    @staticmethod
    def of(room: Classroom) -> Life:
        events = worker_events(room.stage)
        lives = [event["life"] for event in events if event["event"] == "dag-processor connected"]
        return Life(life_of(room, DAG_PROCESSOR), tuple(dict.fromkeys(lives)))


def log_of(room: Classroom, service: str) -> str:
    """Return all that a service has written since its container was made."""
    client = docker.from_env()
    try:
        return client.containers.get(room.stack.container_id(service)).logs().decode()
    finally:
        client.close()


def pushed_in_the_middle(
    room: Classroom, files: Mapping[str, str], name: str
) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str]]]:
    """Push files, a folder each, and a neighbour's once they are live; return what both say."""
    eve, seen = room.stage.student("eve"), len(room.events())
    eve.commit(f"Try {name}", files)
    push = eve.push()
    wait_until(lambda: ("step", "publish") in room.events()[seen:], "it is live")
    neighbour = room.push(
        "lasse", f"Go on with {name}", {f"dags/lasse/{name}.py": dag_file("lasse", name)}
    )
    beside = room.ends(neighbour, "lasse")
    return room.ends(push, *sorted({path.split("/")[1] for path in files})), beside


def removed(room: Classroom, files: Iterable[str]) -> None:
    """Push that they are gone, and wait for it."""
    push: Push = room.push("eve", "Tidy up", dict.fromkeys(files))
    said = room.ends(push)
    assert is_green({"airflow/deploy": said["airflow/deploy"]}), said
