"""What every `ports.Airflow` does: the shared fake, and `AirflowRest` with a real Airflow."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest

from deployer.core.model import SeenDag, SeenError
from deployer.edges.airflow import AirflowRest
from deployer.errors import AirflowError, AirflowUnreachable
from deployer.ports import Airflow
from tests.fakes.airflow import Broken, Contents, FakeAirflow
from tests.integration.airflow_world import PATIENCE_S, World, broken_text, dag_text
from tests.integration.ports import free_port


class Rig(Protocol):
    """An Airflow, and what it is given to read."""

    @property
    def airflow(self) -> Airflow: ...

    def publish(self, changes: Mapping[str, Contents | None]) -> str:
        """Make changes live and poke; return the release's name."""

    def unreachable(self) -> Airflow: ...


@dataclass
class FakeRig:
    airflow: FakeAirflow = field(default_factory=FakeAirflow)

    def __post_init__(self) -> None:
        self.airflow.serve("first", {})
        self.airflow.look()

    def publish(self, changes: Mapping[str, Contents | None]) -> str:
        release = uuid.uuid4().hex
        self.airflow.serve(release, changes)
        self.airflow.poke()
        return release

    def unreachable(self) -> Airflow:
        self.airflow.reachable = False
        return self.airflow


@dataclass
class RealRig:
    world: World

    @property
    def airflow(self) -> Airflow:
        return self.world.airflow

    def publish(self, changes: Mapping[str, Contents | None]) -> str:
        return self.world.publish({path: _text(holds) for path, holds in changes.items()})

    def unreachable(self) -> Airflow:
        return AirflowRest(f"http://127.0.0.1:{free_port()}", "admin", "x")


def _text(holds: Contents | None) -> str | None:
    if holds is None:
        return None
    if isinstance(holds, Broken):
        return broken_text(holds.line)
    return "".join(map(dag_text, holds))


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.airflow)])
def rig(request: pytest.FixtureRequest) -> Rig:
    return FakeRig() if request.param == "fake" else RealRig(request.getfixturevalue("world"))


@pytest.fixture
def name() -> str:
    """A name nobody else has; the real Airflow is shared by all tests."""
    return f"t{uuid.uuid4().hex[:8]}"


def wait_for_dag(rig: Rig, release: str, dag_id: str, *, stale: bool = False) -> SeenDag:
    end = time.monotonic() + PATIENCE_S
    while True:
        dags = {dag.dag_id: dag for dag in rig.airflow.observe(release, [dag_id]).dags}
        dag = dags.get(dag_id)
        if dag and dag.stale == stale and (stale or f"/{release}/" in dag.fileloc):
            return dag
        assert time.monotonic() < end, f"{dag_id} not seen so: {dag}"
        time.sleep(0.1)


def wait_for_error(rig: Rig, release: str, path: str) -> SeenError:
    end = time.monotonic() + PATIENCE_S
    while True:
        errors = {error.path: error for error in rig.airflow.observe(release, []).errors}
        if path in errors:
            return errors[path]
        assert time.monotonic() < end, f"no error of {path}: {errors}"
        time.sleep(0.1)


def test_a_new_files_dag_names_its_release_and_its_path_in_the_repository(
    rig: Rig, name: str
) -> None:
    path = f"dags/{name}/new.py"
    release = rig.publish({path: (name,)})
    dag = wait_for_dag(rig, release, name)
    assert dag.path == path
    assert dag.fileloc.endswith(f"/releases/{release}/{path}")
    assert dag.stamp


def test_two_dags_of_one_file_are_both_seen(rig: Rig, name: str) -> None:
    path = f"dags/{name}/two.py"
    release = rig.publish({path: (f"{name}_a", f"{name}_b")})
    assert wait_for_dag(rig, release, f"{name}_a").path == path
    assert wait_for_dag(rig, release, f"{name}_b").path == path


def test_a_changed_file_is_seen_from_the_new_release_with_another_stamp(
    rig: Rig, name: str
) -> None:
    path = f"dags/{name}/changed.py"
    before = wait_for_dag(rig, rig.publish({path: (name,)}), name)
    after = wait_for_dag(rig, rig.publish({path: (name, f"{name}_more")}), name)
    assert after.stamp != before.stamp


def test_a_broken_files_trace_names_the_release_and_the_line(rig: Rig, name: str) -> None:
    path = f"dags/{name}/broken.py"
    release = rig.publish({path: Broken(line=3)})
    error = wait_for_error(rig, release, path)
    assert f"/releases/{release}/{path}" in error.trace
    assert "line 3" in error.trace
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in error.trace
    assert error.stamp


def test_a_file_that_breaks_leaves_its_dag_stale(rig: Rig, name: str) -> None:
    path = f"dags/{name}/breaks.py"
    wait_for_dag(rig, rig.publish({path: (name,)}), name)
    release = rig.publish({path: Broken()})
    wait_for_error(rig, release, path)
    assert f"/{release}/" not in wait_for_dag(rig, release, name, stale=True).fileloc


def test_a_mended_files_error_is_gone_when_its_dag_is_seen(rig: Rig, name: str) -> None:
    path = f"dags/{name}/mended.py"
    wait_for_error(rig, rig.publish({path: Broken()}), path)
    release = rig.publish({path: (name,)})
    wait_for_dag(rig, release, name)
    assert path not in {error.path for error in rig.airflow.observe(release, []).errors}


def test_a_deleted_files_dag_goes_stale(rig: Rig, name: str) -> None:
    path = f"dags/{name}/deleted.py"
    wait_for_dag(rig, rig.publish({path: (name,)}), name)
    wait_for_dag(rig, rig.publish({path: None}), name, stale=True)


def test_only_dags_of_the_release_and_those_asked_for_are_returned(rig: Rig, name: str) -> None:
    release = rig.publish({f"dags/{name}/x.py": (name, f"{name}_longer")})
    wait_for_dag(rig, release, name)
    seen = rig.airflow.observe("0" * 40, [name, "never_heard_of"])
    assert [dag.dag_id for dag in seen.dags] == [name]


def test_the_release_of_a_living_dag_is_in_use(rig: Rig, name: str) -> None:
    path = f"dags/{name}/used.py"
    release = rig.publish({path: (name,)})
    wait_for_dag(rig, release, name)
    assert release in rig.airflow.versions_in_use()


def test_health_has_heartbeats_of_just_now(rig: Rig) -> None:
    health = rig.airflow.health()
    assert health.database_ok
    for beat in (health.scheduler, health.dag_processor):
        assert beat
        assert datetime.now(UTC) - beat < timedelta(minutes=1)


def test_an_airflow_that_does_not_answer_is_unreachable(rig: Rig) -> None:
    airflow = rig.unreachable()
    for call in (airflow.poke, airflow.health, airflow.versions_in_use):
        with pytest.raises(AirflowUnreachable):
            call()
    with pytest.raises(AirflowUnreachable):
        airflow.observe("0" * 40, [])


# -- AirflowRest alone


@pytest.mark.airflow
def test_poking_before_the_canary_is_known_does_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployer.edges.airflow.CANARY_DAG_ID", "never_heard_of")
    airflow = AirflowRest(world.local.url, world.local.username, world.local.password)
    airflow.poke()
    assert airflow._canary_token is None


@pytest.mark.airflow
def test_a_wrong_password_is_an_error_that_names_the_settings(world: World) -> None:
    airflow = AirflowRest(world.local.url, "admin", "wrong")
    with pytest.raises(AirflowError, match="DEPLOYER_AIRFLOW_PASSWORD") as caught:
        airflow.poke()
    assert not isinstance(caught.value, AirflowUnreachable)
    assert "wrong" not in str(caught.value)


@pytest.mark.airflow
def test_a_token_that_is_valid_no_more_is_renewed(world: World) -> None:
    airflow = AirflowRest(world.local.url, world.local.username, world.local.password)
    airflow.versions_in_use()
    airflow._calls._client.default_headers["Authorization"] = "Bearer ran.out.long-ago"
    assert airflow.versions_in_use()


@pytest.mark.airflow
def test_poking_twice_at_once_is_no_error(world: World) -> None:
    for _ in range(3):
        world.airflow.poke()
    assert world.airflow.health().dag_processor is not None


@pytest.mark.airflow
def test_lists_longer_than_a_page_are_read_to_their_end(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = tuple(f"{name}_{number}" for number in range(5))
    release = world.publish({f"dags/{name}/many.py": "".join(map(dag_text, ids))})
    world.dag_from(release, ids[-1])
    monkeypatch.setattr("deployer.edges.airflow_calls.PAGE", 2)
    assert set(ids) <= {dag.dag_id for dag in world.airflow.observe(release, []).dags}


@pytest.mark.airflow
def test_a_list_that_cannot_be_read_whole_is_an_error_and_not_a_part(
    world: World, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(dag_text(f"{name}_{number}") for number in range(3))
    world.dag_from(world.publish({f"dags/{name}/many.py": text}), f"{name}_2")
    monkeypatch.setattr("deployer.edges.airflow_calls.PAGE", 1)
    monkeypatch.setattr("deployer.edges.airflow_calls.MOST_ROWS", 2)
    with pytest.raises(AirflowError, match="more than 2 dags"):
        world.airflow.versions_in_use()
