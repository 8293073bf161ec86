"""The plain way: containers install the proven packages themselves at start. A real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deployer.core.model import REQUIREMENTS
from deployer.demo.student import dag_file
from tests.e2e.compose.classroom import (
    SERVICES,
    Classroom,
    classroom,
    is_green,
    moved,
    requirements,
)
from tests.e2e.compose.poisons import Life
from tests.e2e.compose.reaching import assert_only_airflow_reaches_it

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def plain_class(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Classroom]:
    """A class whose containers install the packages themselves at start."""
    with classroom(tmp_path_factory.mktemp("plain"), "class-e2e-plain", "plain") as made:
        yield made


def test_a_new_package_is_there_after_one_push(plain_class: Classroom) -> None:
    room = plain_class
    before, pools = room.containers(), room.pools()
    text = dag_file("maria", "says", imports="import cowsay\n")
    files = {REQUIREMENTS: requirements("cowsay==6.1"), "dags/maria/says.py": text}
    said = room.ends(room.push("maria", "Say it with a cow", files), "maria")
    assert is_green(said)
    assert "maria_says" in said["airflow/maria"][1]
    assert moved(before, room.containers()) == set(SERVICES)
    assert room.pools() == pools
    pins = room.stack.checkout / "packages" / "current" / "requirements.txt"
    assert pins.read_text() == "cowsay==6.1\n"


def test_airflow_was_compiled_once_where_no_service_can_write(plain_class: Classroom) -> None:
    ask = "import airflow.models as m, cowsay as c; print(m.__cached__); print(c.__cached__)"
    script = f'python -c "{ask}" | xargs readlink --canonicalize-existing; touch /opt/compiled/x'
    said = plain_class.stack.compose(
        "exec", "-T", "airflow-scheduler", "bash", "-c", f"{script} 2>&1 || true"
    )
    of_airflow, of_the_class, refused = said.stdout.splitlines()
    assert of_airflow.startswith("/opt/compiled/")
    assert not of_the_class.startswith("/opt/compiled/")
    assert "Read-only file system" in refused


def test_packages_that_break_airflows_start_are_taken_back(plain_class: Classroom) -> None:
    room = plain_class
    asked = requirements("cowsay==6.1", "class-breaks-scheduler==1.0")
    said = room.ends(room.push("maria", "Break the class", {REQUIREMENTS: asked}))
    assert said["airflow/deploy"][0] == "failure"
    assert "Airflow does not start with it" in said["airflow/deploy"][1]
    pins = room.stack.checkout / "packages" / "current" / "requirements.txt"
    assert pins.read_text() == "cowsay==6.1\n"
    before = room.containers()
    after = room.push("lasse", "Go on", {"dags/lasse/on.py": dag_file("lasse", "on")})
    assert is_green(room.ends(after, "lasse"))
    assert room.containers() == before


def test_only_airflows_user_and_group_reach_the_parse_feed(plain_class: Classroom) -> None:
    before = Life.of(plain_class)
    assert_only_airflow_reaches_it(plain_class)
    assert Life.of(plain_class) == before


def test_an_impossible_line_touches_no_container(plain_class: Classroom) -> None:
    room = plain_class
    before = room.containers()
    asked = requirements("cowsay==6.1", "class-fails-to-build==1.0")
    said = room.ends(room.push("maria", "Want too much", {REQUIREMENTS: asked}))
    assert said["airflow/deploy"][0] == "failure"
    assert "class-fails-to-build" in said["airflow/deploy"][1]
    assert room.containers() == before
