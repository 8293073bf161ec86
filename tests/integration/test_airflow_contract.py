"""What every `ports.Airflow` does: the shared fake, and `AirflowRest` with a real Airflow."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

import pytest
from airflow_client.client.api.dag_run_api import DagRunApi
from airflow_client.client.api.pool_api import PoolApi
from airflow_client.client.models.pool_body import PoolBody
from airflow_client.client.models.trigger_dag_run_post_body import TriggerDAGRunPostBody

from deployer.core.model import TaskInstance
from deployer.demo.stage import free_port
from deployer.edges.airflow.rest import AirflowRest
from deployer.errors import AirflowError, AirflowUnreachable
from deployer.ports import Airflow
from tests.fakes.airflow import FakeAirflow, Task
from tests.integration.airflow_world import (
    API_TIMEOUT_S,
    PATIENCE_S,
    World,
    dag_text,
)


class Rig(Protocol):
    """An Airflow, and what it is given to read."""

    @property
    def airflow(self) -> Airflow: ...

    def publish(self, dag_id: str) -> str:
        """Have a DAG of t's live, of a new release; return the release's name."""

    def delete(self, dag_id: str) -> str:
        """Have a release live without it."""

    def unreachable(self) -> Airflow: ...

    def add_pool(self, name: str, slots: int) -> None: ...

    def remove_pool(self, name: str) -> None: ...

    def run(self, dag_id: str, pools: Mapping[str, str]) -> Callable[[], None]:
        """Start a run whose tasks, by id, go on in their pools until the answer is called."""


@dataclass
class FakeRig:
    airflow: FakeAirflow = field(default_factory=FakeAirflow)
    living: dict[str, str] = field(default_factory=dict)

    def publish(self, dag_id: str) -> str:
        release = uuid.uuid4().hex
        self.living[dag_id] = release
        self.airflow.in_use = {*self.living.values()}
        return release

    def delete(self, dag_id: str) -> str:
        del self.living[dag_id]
        self.airflow.in_use = {*self.living.values()}
        return uuid.uuid4().hex

    def unreachable(self) -> Airflow:
        self.airflow.reachable = False
        return self.airflow

    def add_pool(self, name: str, slots: int) -> None:
        self.airflow.slots[name] = slots

    def remove_pool(self, name: str) -> None:
        del self.airflow.slots[name]

    def run(self, dag_id: str, pools: Mapping[str, str]) -> Callable[[], None]:
        self.airflow.tasks += [Task(dag_id, task, pool) for task, pool in pools.items()]
        return self.airflow.tasks.clear


@dataclass
class RealRig:
    world: World

    @property
    def airflow(self) -> Airflow:
        return self.world.airflow

    def publish(self, dag_id: str) -> str:
        release = self.world.publish({f"dags/t/{dag_id}/x.py": dag_text(dag_id)})
        self.world.dag_from(release, dag_id)
        return release

    def delete(self, dag_id: str) -> str:
        path = f"dags/t/{dag_id}/x.py"
        release = self.world.publish({path: None})
        assert path not in self.world.hearing.listing(release)
        return release

    def unreachable(self) -> Airflow:
        return AirflowRest(f"http://127.0.0.1:{free_port()}", "admin", "x")

    def add_pool(self, name: str, slots: int) -> None:
        self.airflow.pools()  # logs in
        PoolApi(self.world.airflow._calls._client).post_pool(
            PoolBody(name=name, slots=slots, description="the class's", include_deferred=True)
        )

    def remove_pool(self, name: str) -> None:
        PoolApi(self.world.airflow._calls._client).delete_pool(name)

    def run(self, dag_id: str, pools: Mapping[str, str]) -> Callable[[], None]:
        gate = self.world.releases.root / f"{dag_id}.gate"
        release = self.world.publish({f"dags/t/{dag_id}/x.py": _waiting_text(dag_id, gate, pools)})
        self.world.dag_from(release, dag_id)
        DagRunApi(self.world.airflow._calls._client).trigger_dag_run(
            dag_id, TriggerDAGRunPostBody(logical_date=None)
        )
        return gate.touch


def _waiting_text(dag_id: str, gate: Path, pools: Mapping[str, str]) -> str:
    """Return a DAG that needs nobody to switch it on and whose tasks wait for a file."""
    tasks = "".join(
        f"    PythonOperator(task_id={task!r}, python_callable=wait, pool={pool!r})\n"
        for task, pool in pools.items()
    )
    return f"""\
import time
from pathlib import Path
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG

def wait():
    end = time.monotonic() + {2 * PATIENCE_S}
    while not Path({str(gate)!r}).exists() and time.monotonic() < end:
        time.sleep(0.1)

with DAG({dag_id!r}, schedule=None, is_paused_upon_creation=False, tags=["student:t"]):
{tasks}"""


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.airflow)])
def rig(request: pytest.FixtureRequest) -> Rig:
    return FakeRig() if request.param == "fake" else RealRig(request.getfixturevalue("world"))


@pytest.fixture
def name() -> str:
    """A name of t's that nobody else has; the real Airflow is shared by all tests."""
    return f"t_{uuid.uuid4().hex[:8]}"


def test_the_release_of_a_living_dag_is_in_use(rig: Rig, name: str) -> None:
    release = rig.publish(name)
    assert rig.airflow.versions_in_use([release, "0" * 40]) == {release}


def test_a_release_is_in_use_no_more_when_its_dag_was_parsed_from_another_or_is_gone(
    rig: Rig, name: str
) -> None:
    first, second = rig.publish(name), rig.publish(name)
    assert rig.airflow.versions_in_use([first, second]) == {second}
    third = rig.delete(name)
    assert rig.airflow.versions_in_use([first, second, third]) == frozenset()


def test_the_dag_processors_heartbeat_is_of_just_now(rig: Rig) -> None:
    beat = rig.airflow.parser_beat()
    assert beat
    assert datetime.now(UTC) - beat < timedelta(minutes=1)


def test_an_airflow_that_does_not_answer_is_unreachable(rig: Rig) -> None:
    airflow = rig.unreachable()
    for call in (
        airflow.parser_beat,
        lambda: airflow.versions_in_use(["0" * 40]),
        airflow.pools,
        airflow.busy,
    ):
        with pytest.raises(AirflowUnreachable):
            call()
    with pytest.raises(AirflowUnreachable):
        airflow.resize_pool("default_pool", 0)


# -- what a drain needs


@pytest.fixture
def pool(rig: Rig, name: str) -> Iterator[str]:
    """A pool of three slots with a name that must be quoted in an address."""
    name = f"{name}/ä b?"
    rig.add_pool(name, 3)
    yield name
    if name in rig.airflow.pools():
        rig.remove_pool(name)


def wait_for_busy(
    rig: Rig, dag_id: str, enough: Callable[[set[str]], bool]
) -> Mapping[str, TaskInstance]:
    """Look until `enough` of the ids of a DAG's busy tasks; return those tasks by id."""
    end = time.monotonic() + PATIENCE_S
    while True:
        found = {task.task_id: task for task in rig.airflow.busy() if task.dag_id == dag_id}
        if enough(set(found)):
            return found
        assert time.monotonic() < end, f"{dag_id} never so busy: {found}"
        time.sleep(0.1)


def test_pools_have_their_slots(rig: Rig, pool: str) -> None:
    pools = rig.airflow.pools()
    assert pools[pool] == 3
    assert pools["default_pool"] == 128


@pytest.mark.parametrize("which", ["default", "other"])
def test_a_pool_is_emptied_and_gets_its_slots_back(rig: Rig, pool: str, which: str) -> None:
    resized = "default_pool" if which == "default" else pool
    before = rig.airflow.pools()
    try:
        for _ in range(2):  # once more does no harm
            rig.airflow.resize_pool(resized, 0)
        assert rig.airflow.pools() == {**before, resized: 0}
    finally:
        rig.airflow.resize_pool(resized, before[resized])
    assert rig.airflow.pools() == before


def test_a_pool_may_have_no_limit(rig: Rig, pool: str) -> None:
    rig.airflow.resize_pool(pool, -1)
    assert rig.airflow.pools()[pool] == -1


def test_a_pool_that_is_gone_is_passed_over(rig: Rig, pool: str) -> None:
    rig.remove_pool(pool)
    rig.airflow.resize_pool(pool, 3)
    assert pool not in rig.airflow.pools()


def test_a_task_without_a_slot_waits_and_those_that_run_are_busy_until_they_end(
    rig: Rig, name: str, pool: str
) -> None:
    rig.airflow.resize_pool(pool, 0)
    end = rig.run(name, {"waits": pool, "runs": "default_pool"})
    try:
        # One look of the scheduler serves both, so what had its chance by now has had it.
        found = wait_for_busy(rig, name, lambda ids: "runs" in ids)
        assert set(found) == {"runs"}
        assert found["runs"].state in {"queued", "running"}
        rig.airflow.resize_pool(pool, 1)
        wait_for_busy(rig, name, lambda ids: ids == {"runs", "waits"})
        # Emptied again, the pool takes no slot away from a task that has one.
        rig.airflow.resize_pool(pool, 0)
        assert "waits" in wait_for_busy(rig, name, lambda ids: "waits" in ids)
    finally:
        end()
    wait_for_busy(rig, name, lambda ids: not ids)


def test_a_fake_task_ends_after_as_many_looks_as_it_was_given() -> None:
    airflow = FakeAirflow()
    airflow.tasks.append(Task("lasse_taxi", "load", looks=2))
    looks = [[task.task_id for task in airflow.busy()] for _ in range(3)]
    assert looks == [["load"], ["load"], []]


# -- AirflowRest alone


def another(world: World, password: str | None = None) -> AirflowRest:
    """Return one that has asked nothing yet."""
    local = world.local
    return AirflowRest(
        local.url, local.username, password or local.password, timeout_s=API_TIMEOUT_S
    )


@pytest.mark.airflow
def test_a_wrong_password_is_an_error_that_names_the_settings(world: World) -> None:
    airflow = another(world, password="wrong")
    with pytest.raises(AirflowError, match="DEPLOYER_AIRFLOW_PASSWORD") as caught:
        airflow.pools()
    assert not isinstance(caught.value, AirflowUnreachable)
    assert "wrong" not in str(caught.value)


@pytest.mark.airflow
def test_a_token_that_is_valid_no_more_is_renewed(world: World) -> None:
    airflow = another(world)
    airflow.pools()
    airflow._calls._client.default_headers["Authorization"] = "Bearer ran.out.long-ago"
    assert airflow.pools()


@pytest.fixture
def many(world: World, name: str) -> Iterator[frozenset[str]]:
    """Five pools of ours."""
    rig, names = RealRig(world), frozenset(f"{name}_{number}" for number in range(5))
    for one in names:
        rig.add_pool(one, 3)
    yield names
    for one in names:
        rig.remove_pool(one)


@pytest.mark.airflow
def test_lists_longer_than_a_page_are_read_to_their_end(
    world: World, many: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployer.edges.airflow.calls.PAGE", 2)
    assert world.airflow.pools().keys() >= {*many, "default_pool"}


@pytest.mark.airflow
def test_a_list_that_cannot_be_read_whole_is_an_error_and_not_a_part(
    world: World, many: frozenset[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployer.edges.airflow.calls.PAGE", 2)
    monkeypatch.setattr("deployer.edges.airflow.calls.MOST_ROWS", 2)
    with pytest.raises(AirflowError, match="more than 2 pools"):
        world.airflow.pools()


@pytest.mark.airflow
def test_a_resized_pool_keeps_all_else(world: World, name: str) -> None:
    rig = RealRig(world)
    rig.add_pool(name, 3)
    world.airflow.resize_pool(name, 0)
    pool = PoolApi(world.airflow._calls._client).get_pool(name)
    rig.remove_pool(name)
    assert (pool.slots, pool.description, pool.include_deferred) == (0, "the class's", True)


@contextmanager
def answering(logins: list[str], *, token: int, other: int) -> Iterator[str]:
    """Serve as an Airflow with these statuses; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            logins.append(self.path)
            self._send(token, b'{"access_token": "abc"}')

        def do_GET(self) -> None:
            self._send(other, b'{"detail": "Forbidden"}')

        def _send(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_missing_right_is_named_after_one_more_login() -> None:
    logins: list[str] = []
    with answering(logins, token=201, other=403) as url:
        airflow = AirflowRest(url, "deployer", "hunter2")
        with pytest.raises(AirflowError, match='needs "can read on Pools"; see') as caught:
            airflow.pools()
    assert logins == ["/auth/token"] * 2
    assert "hunter2" not in str(caught.value)
