"""The parse feed between the worker on the host and the dag-processor in its container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployer.edges.airflow.parse_feed import PLACE, ParseFeedListener
from tests.e2e.compose.classroom import Classroom, is_green
from tests.e2e.compose.poisons import DAG_PROCESSOR, IN_A_RELEASE, Life, dag, removed
from tests.e2e.compose.reaching import CONNECT, as_user, assert_only_airflow_reaches_it

pytestmark = pytest.mark.docker


def test_only_airflows_user_and_group_reach_the_feed(image_class: Classroom) -> None:
    before = Life.of(image_class)
    assert_only_airflow_reaches_it(image_class)
    assert Life.of(image_class) == before


def test_a_parse_reaches_it_too_and_says_nothing_that_the_worker_could_not_bear(
    image_class: Classroom,
) -> None:
    room, before = image_class, Life.of(image_class)
    text = (
        f"import re\nif {IN_A_RELEASE}:\n    exec({CONNECT!r})\n"
        f'    print("it was", connect("/opt/class/{PLACE}"))\n{dag("liar")}'
    )
    said = room.ends(room.push("eve", "Tell lies", {"dags/liar/x.py": text}), "liar")
    assert is_green({"airflow/liar": said["airflow/liar"]}), said
    assert 'it was {"feed":1} dropped' in room.stack.logs(DAG_PROCESSOR)
    assert Life.of(room) == before
    removed(room, ["dags/liar/x.py"])


def test_a_worker_that_is_not_root_keeps_what_root_gave_its_folder() -> None:
    # Not in pytest's own folder, which is closed to other users.
    place = Path("/var/tmp", f"feed-of-{os.getpid()}")  # noqa: S108  # made by this test alone

    def listen() -> str:
        ParseFeedListener(place / PLACE, group=0).close()
        end = (place / PLACE).stat()
        return f"{end.st_mode & 0o7777:o} {end.st_gid}"

    place.mkdir()
    try:
        os.chown(place, 65534, 65534)
        assert as_user(65534, listen) == "660 65534"
        folder = place / "feed"
        os.chown(folder, -1, 0)
        folder.chmod(0o2750)
        assert [as_user(65534, listen) for _ in range(2)] == ["660 0", "660 0"]
    finally:
        for path in sorted(place.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        place.rmdir()
