"""The class's Airflow in Docker Compose: what its files say, what it and its accounts may do."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from deployer.app.airflow import GROUP_OF_AIRFLOW
from deployer.core.model import ParseEnd, ParseResult, ProcessorLeft
from deployer.edges.airflow.parse_feed import PLACE, ParseFeedListener
from deployer.edges.airflow.rest import AirflowRest
from deployer.edges.compose.plain_way import at_start
from tests.compose_stack import STUDENTS, UP_TIMEOUT_S, ClassStack, Way
from tests.e2e.compose.classroom import Classroom
from tests.integration.airflow_world import (
    FIRST_DAG_ID,
    FIRST_FILES,
    HandMadeReleases,
    Hearing,
    dag_text,
    publish,
)

pytestmark = pytest.mark.docker

AIRFLOW = ("airflow-apiserver", "airflow-scheduler", "airflow-dag-processor")
PATIENCE_S = 600.0
FORBIDDEN = 403
SIGNING = {"AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"}
ONCE: dict[Way, set[str]] = {
    "image": {"airflow-init"},
    "plain": {"airflow-init", "airflow-compile"},
}
"""They end; what waits for them asks for their exit status."""
PASSWORDS = {"AIRFLOW_ADMIN_PASSWORD", "DEPLOYER_AIRFLOW_PASSWORD"}


class Class:
    """A running stack, and what is pushed to it."""

    def __init__(self, stack: ClassStack, feed: ParseFeedListener) -> None:
        self.stack = stack
        self.releases = HandMadeReleases(stack.checkout)
        self.feed = feed
        self.hearing = Hearing(feed)
        self.deployer = AirflowRest(stack.url, "deployer", stack.deployer_password, timeout_s=30)

    def as_(self, username: str, password: str) -> httpx.Client:
        """Log in; the client raises nothing for an answer that is no."""
        answer = self.log_in(username, password)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return httpx.Client(base_url=f"{self.stack.url}/api/v2", headers=headers, timeout=30)

    def log_in(self, username: str, password: str) -> httpx.Response:
        login = {"username": username, "password": password}
        return httpx.post(f"{self.stack.url}/auth/token", json=login, timeout=30)

    def publish(self, changes: Mapping[str, str | None]) -> str:
        return publish(self.releases, self.hearing, changes)

    def wait_for_dag(self, dag_id: str, release: str) -> ParseResult:
        return self.hearing.dag(release, dag_id)

    def run(self, service: str, *argv: str) -> str:
        """Run something in a service's container."""
        return self.stack.compose("exec", "-T", service, *argv).stdout

    def wait_until(self, holds: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > end:
                pytest.fail(f"never within {PATIENCE_S:g} s: {what}\n{self.stack.state()}")
            time.sleep(0.1)


@pytest.fixture(scope="module")
def a_class(image_class: Classroom) -> Iterator[Class]:
    """The stack that all tests here share, which is pushed to by hand."""
    current = image_class.stack.checkout / "current"
    before = current.readlink()
    with image_class.instead_of_the_worker() as feed:
        made = Class(image_class.stack, feed)
        made.wait_for_dag(FIRST_DAG_ID, made.publish(FIRST_FILES))
        yield made
        current.unlink()
        current.symlink_to(before)


@pytest.fixture(scope="module")
def deployer(a_class: Class) -> Iterator[httpx.Client]:
    with a_class.as_("deployer", a_class.stack.deployer_password) as client:
        yield client


@pytest.fixture(scope="module")
def amy(a_class: Class) -> Iterator[httpx.Client]:
    with a_class.as_("student-amy", STUDENTS["amy"]) as client:
        yield client


# -- what the files say


@pytest.fixture(params=["image", "plain"])
def services(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, dict[str, Any]]:
    """The services of either file, as Compose understands it, warehouse included."""
    return config(tmp_path, request.param)


def config(folder: Path, way: Way) -> dict[str, dict[str, Any]]:
    stack = ClassStack(folder, f"class-test-{way}-config", way=way)
    said = stack.compose("--profile", "*", "config", "--format", "json").stdout
    found: dict[str, dict[str, Any]] = json.loads(said)["services"]
    assert found.keys() == {*AIRFLOW, *ONCE[way], "postgres", "warehouse"}
    return found


def test_every_service_is_watched_bounded_and_comes_back(
    services: dict[str, dict[str, Any]],
) -> None:
    once = {name: services[name] for name in services.keys() & ONCE["plain"]}
    for name, service in services.items():
        assert service["restart"] == ("no" if name in once else "unless-stopped"), name
        if name not in once:
            assert service["healthcheck"]["test"], name
    for name in AIRFLOW:
        waits_for = {one: services[name]["depends_on"][one]["condition"] for one in once}
        assert waits_for == dict.fromkeys(once, "service_completed_successfully")
    for name, service in services.items():
        assert service["logging"]["options"].keys() == {"max-size", "max-file"}, name
        assert int(service["mem_limit"]) == int(service["memswap_limit"]) > 0, name
        assert service["pids_limit"] > 0, name
        assert "no-new-privileges:true" in service["security_opt"], name


def test_a_secret_is_only_where_it_is_needed(services: dict[str, dict[str, Any]]) -> None:
    has = {name: set(service.get("environment", {})) for name, service in services.items()}
    assert [name for name in has if has[name] & PASSWORDS] == ["airflow-init"]
    assert not has["airflow-dag-processor"] & SIGNING
    assert not has.get("airflow-compile")
    for name in ("postgres", "warehouse"):
        assert has[name] == {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD"}


def test_tasks_may_finish_when_the_scheduler_is_stopped(
    services: dict[str, dict[str, Any]],
) -> None:
    scheduler = services["airflow-scheduler"]
    assert scheduler["stop_grace_period"] == "10m0s"
    assert scheduler["environment"]["DUMB_INIT_SETSID"] == "0"


def test_only_the_api_server_is_published_and_on_loopback(
    services: dict[str, dict[str, Any]],
) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    (port,) = ports.pop("airflow-apiserver")
    assert not ports
    assert (port["host_ip"], port["target"]) == ("127.0.0.1", 8080)


def test_the_image_way_builds_and_the_plain_way_installs_at_start(tmp_path: Path) -> None:
    image, plain = config(tmp_path / "i", "image"), config(tmp_path / "p", "plain")
    assert image["airflow-init"]["build"]
    for name in AIRFLOW:
        assert image[name]["image"] == image["airflow-init"]["image"]
        assert "build" not in image[name]
        assert "_PIP_ADDITIONAL_REQUIREMENTS" not in image[name]["environment"]
        assert "build" not in plain[name]
        told = plain[name]["environment"]["_PIP_ADDITIONAL_REQUIREMENTS"]
        assert told == at_start("current")  # as it was proven
        mounted = {volume["target"]: volume for volume in plain[name]["volumes"]}
        assert mounted["/opt/compiled"]["read_only"]
    # Who writes what they all run has nothing of a student's, and hears nobody.
    assert plain["airflow-compile"]["network_mode"] == "none"
    assert {volume["target"] for volume in plain["airflow-compile"]["volumes"]} == {
        "/opt/deployer/airflow",
        "/opt/compiled",
    }
    # The database is migrated whatever the class's packages are.
    assert "_PIP_ADDITIONAL_REQUIREMENTS" not in plain["airflow-init"]["environment"]


def test_what_airflow_runs_for_the_deployer_is_the_teachers_copy_and_not_the_images(
    services: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    for name in (*AIRFLOW, "airflow-init"):
        mounted = {volume["target"]: volume for volume in services[name]["volumes"]}
        files = mounted["/opt/deployer/airflow"]
        assert (files["type"], files["read_only"]) == ("bind", True), name
        assert files["source"] == str(tmp_path / "etc" / "include" / "airflow"), name


# -- the parse feed, from a container to this machine


def test_the_dag_processor_is_connected_over_a_mount_that_it_may_only_read(a_class: Class) -> None:
    (came,) = a_class.feed.present().values()
    assert came.unfit == ""
    place = f"/opt/class/{PLACE}"
    container = a_class.run("airflow-dag-processor", "stat", "--format=%u:%g %A", place)
    assert container.split()[0].endswith(f":{GROUP_OF_AIRFLOW}")
    denied = a_class.stack.compose(
        "exec", "-T", "airflow-dag-processor", "touch", f"{place}.mine", check=False
    )
    assert denied.returncode == 1


def test_a_dag_processor_that_is_killed_has_ended_and_comes_again(a_class: Class) -> None:
    """Its process is seen from outside of its container."""
    (came,) = a_class.feed.present().values()
    a_class.stack.compose("kill", "airflow-dag-processor")
    left = ProcessorLeft(came.life, ended=True)
    a_class.hearing.until(lambda: left if left in a_class.hearing.told else None, "that it ended")
    # Not by Compose, which would have init run again before.
    container = a_class.stack.container_id("airflow-dag-processor")
    subprocess.run(["docker", "start", container], check=True, capture_output=True)
    release = a_class.publish({"dags/x/after.py": dag_text("x_after")})
    a_class.wait_for_dag("x_after", release)
    assert a_class.feed.present().keys().isdisjoint({came.life})


# -- what the containers may


def test_all_services_are_healthy(a_class: Class) -> None:
    services = {*AIRFLOW, "postgres", "warehouse"}
    a_class.wait_until(
        lambda: a_class.stack.healthy() == services, "all services are healthy at once"
    )


@pytest.mark.parametrize(
    ("service", "check"),
    [
        # Alive, but in another container: it may be the one that was just replaced.
        ("airflow-dag-processor", ["python", "/opt/deployer/airflow/heartbeat.py", "SchedulerJob"]),
        ("airflow-scheduler", ["python", "/opt/deployer/airflow/heartbeat.py", "DagProcessorJob"]),
        ("airflow-scheduler", ["bash", "/opt/deployer/airflow/answers.sh"]),
    ],
)
def test_a_health_check_fails_where_that_part_does_not_run(
    a_class: Class, service: str, check: list[str]
) -> None:
    assert a_class.stack.compose("exec", "-T", service, *check, check=False).returncode == 1


@pytest.mark.parametrize("service", AIRFLOW)
def test_no_service_can_write_what_others_run(a_class: Class, service: str) -> None:
    places = [
        "/opt/class/mine",
        "/opt/class/current/dags/mine",
        "/opt/deployer/mine",
        "/opt/deployer/requirements.txt",
        "/opt/deployer/airflow/mine.py",
        "/opt/deployer/airflow/class_bundle.py",
    ]
    script = 'for place; do touch "$place" 2>/dev/null && echo "$place"; done; touch /tmp/mine'
    assert not a_class.run(service, "bash", "-c", script, "bash", *places)


def test_a_file_that_eats_all_memory_ends_its_own_parse_alone(a_class: Class) -> None:
    hungry = """
import os
with open("/tmp/hungry", "w") as file:
    file.write(str(os.getpid()))
ate = b"x" * 2_000_000_000
open("/tmp/ate", "w").close()
"""
    # proc(5): field 22 is when the process began.
    began = ("airflow-dag-processor", "cut", "-d ", "-f22", "/proc/1/stat")
    before = a_class.run(*began)
    release = a_class.publish({"dags/x/hungry.py": hungry + dag_text("x_hungry")})
    told = a_class.hearing.result(release, "dags/x/hungry.py")
    assert (told.end, told.code) == (ParseEnd.DIED, -signal.SIGKILL)
    assert a_class.run("airflow-dag-processor", "cat", "/tmp/hungry")  # noqa: S108  # a container's own
    assert "ate" not in a_class.run("airflow-dag-processor", "ls", "/tmp").split()  # noqa: S108  # a container's own
    release = a_class.publish({"dags/x/hungry.py": None, "dags/x/modest.py": dag_text("x_modest")})
    a_class.wait_for_dag("x_modest", release)
    assert a_class.run(*began) == before


# -- accounts


def test_the_deployer_may_do_all_that_it_needs(a_class: Class) -> None:
    release = a_class.publish(FIRST_FILES)
    a_class.wait_for_dag(FIRST_DAG_ID, release)
    assert a_class.deployer.parser_beat() is not None
    assert a_class.deployer.versions_in_use([release]) == {release}
    before = a_class.deployer.pools()
    for slots in (0, before["default_pool"]):
        a_class.deployer.resize_pool("default_pool", slots)
        assert a_class.deployer.pools()["default_pool"] == slots
    assert a_class.deployer.busy() == ()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/connections", None),
        ("POST", "/connections", {"connection_id": "mine", "conn_type": "http"}),
        ("GET", "/variables", None),
        ("POST", "/variables", {"key": "mine", "value": "1"}),
        ("GET", "/config", None),
        ("GET", "/eventLogs", None),
        ("POST", "/pools", {"name": "mine", "slots": 1}),
        ("DELETE", "/pools/mine", None),
        ("POST", f"/dags/{FIRST_DAG_ID}/dagRuns", {"logical_date": None}),
        ("PATCH", f"/dags/{FIRST_DAG_ID}?update_mask=is_paused", {"is_paused": False}),
        ("DELETE", f"/dags/{FIRST_DAG_ID}", None),
        ("GET", f"/dags/{FIRST_DAG_ID}/dagRuns/~/taskInstances/work/xcomEntries", None),
        ("GET", f"/dags/{FIRST_DAG_ID}/dagRuns/none/taskInstances/work/logs/1", None),
    ],
)
def test_the_deployer_may_do_nothing_else(
    deployer: httpx.Client, method: str, path: str, body: object
) -> None:
    assert deployer.request(method, path, json=body).status_code == FORBIDDEN


def test_the_deployer_may_not_have_a_file_parsed(deployer: httpx.Client) -> None:
    token = deployer.get(f"/dags/{FIRST_DAG_ID}/details").json()["file_token"]
    assert deployer.put(f"/parseDagFile/{token}").status_code == FORBIDDEN


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/connections", None),
        ("POST", "/connections", {"connection_id": "mine", "conn_type": "http"}),
        ("GET", "/variables", None),
        ("GET", "/config", None),
        ("POST", "/pools", {"name": "mine", "slots": 1}),
        ("PATCH", "/pools/default_pool?update_mask=slots", {"pool": "default_pool", "slots": 0}),
    ],
)
def test_a_student_may_not_touch_what_belongs_to_all(
    amy: httpx.Client, method: str, path: str, body: object
) -> None:
    assert amy.request(method, path, json=body).status_code == FORBIDDEN


def test_a_student_runs_a_dag_that_reads_the_warehouse_and_its_log(
    a_class: Class, amy: httpx.Client
) -> None:
    text = dag_text(
        "amy_reads",
        head="from airflow.providers.postgres.hooks.postgres import PostgresHook",
        body="print('answer', PostgresHook('azure_pg').get_first('SELECT 41 + 1'))",
    )
    release = a_class.publish({"dags/amy/reads.py": text})
    a_class.wait_for_dag("amy_reads", release)
    amy.patch("/dags/amy_reads?update_mask=is_paused", json={"is_paused": False}).raise_for_status()
    run = amy.post("/dags/amy_reads/dagRuns", json={"logical_date": None}).raise_for_status().json()
    path = f"/dags/amy_reads/dagRuns/{run['dag_run_id']}"
    a_class.wait_until(
        lambda: amy.get(path).json()["state"] in {"success", "failed"}, "the run ends"
    )

    def log() -> str:
        accept = {"Accept": "application/json"}
        return amy.get(f"{path}/taskInstances/work/logs/1", headers=accept).text

    assert amy.get(path).json()["state"] == "success", log()
    # What a task prints comes by another way than how it ended.
    a_class.wait_until(lambda: "answer (42,)" in log(), "the log has what the task printed")


def test_the_accounts_follow_their_list(a_class: Class) -> None:
    def apply(students: dict[str, str]) -> list[str]:
        text = "".join(f"{name}:{password}\n" for name, password in students.items())
        script = 'printf %s "$1" >/tmp/it; exec python /opt/deployer/airflow/accounts.py /tmp/it'
        done = a_class.stack.compose(
            "run", "--rm", "--no-deps", "-T", "airflow-init", "bash", "-c", script, "bash", text,
            timeout_s=UP_TIMEOUT_S,
        )  # fmt: skip
        # Airflow's own log has its lines begin with the date.
        return [line for line in done.stdout.splitlines() if not line.startswith("20")]

    assert apply({"bob": "bob-changed-it", "eve": "eve-is-new"}) == [
        "student-bob: new password, logged out",
        "student-eve: made",
        "student-amy: not in the list any more, deactivated",
        "4 accounts are in order",
    ]
    logins = [("amy", STUDENTS["amy"]), ("bob", STUDENTS["bob"]), ("bob", "bob-changed-it")]
    answers = [a_class.log_in(f"student-{name}", password) for name, password in logins]
    assert [answer.is_success for answer in answers] == [False, False, True]
    assert apply(STUDENTS) == [
        "student-amy: active, with the role User",
        "student-bob: new password, logged out",
        "student-eve: not in the list any more, deactivated",
        "4 accounts are in order",
    ]
    assert a_class.log_in("student-amy", STUDENTS["amy"]).is_success


# -- a push runs in the place for it, and nowhere else

TRICKS = (
    "dags/airflow_local_settings.py",
    "dags/class_bundle.py",
    "dags/sitecustomize.py",
    "dags/x/class_bundle.py",
    "dags/x/sitecustomize.py",
    "include/airflow/airflow_local_settings.py",
    "include/airflow/class_bundle.py",
    "include/airflow/sitecustomize.py",
    "include/airflow/start.py",
)
"""Names under which Python or Airflow would run a file by itself, if it were in the way."""


def test_nothing_that_a_release_holds_runs_inside_scheduler_or_api_server(a_class: Class) -> None:
    marked = {path: f"open({'/tmp/ran-' + path.replace('/', '-')!r}, 'w')\n" for path in TRICKS}  # noqa: S108  # a container's own
    dag = dag_text("x_tries", head="open('/tmp/ran-x-tries', 'w')")
    release = a_class.publish({**marked, "dags/x/tries.py": dag})
    a_class.wait_for_dag("x_tries", release)
    # They would run at a start at the latest.
    a_class.stack.compose(
        "up", "--detach", "--no-deps", "--no-build", "--force-recreate", "--wait",
        "airflow-scheduler", "airflow-apiserver",
        timeout_s=UP_TIMEOUT_S,
    )  # fmt: skip
    a_class.publish({"dags/x/later.py": dag_text("x_later")})
    a_class.wait_for_dag("x_later", a_class.releases.name)
    for service in ("airflow-scheduler", "airflow-apiserver"):
        assert "ran-" not in a_class.run(service, "ls", "/tmp")  # noqa: S108  # a container's own

    # A DAG file does run where DAG files are parsed, so a mark would be seen...
    assert "ran-x-tries" in a_class.run("airflow-dag-processor", "ls", "/tmp")  # noqa: S108  # a container's own
    # ... and each of the tricks works, if only its directory comes before the deployer's.
    for path in TRICKS:
        folder, _, name = path.rpartition("/")
        place = f"PYTHONPATH=/opt/class/current/{folder}"
        argv = ["env", place, "python", "-c", f"import {name.removesuffix('.py')}"]
        a_class.run("airflow-dag-processor", *argv)
    ran = a_class.run("airflow-dag-processor", "ls", "/tmp")  # noqa: S108  # a container's own
    assert not [path for path in TRICKS if f"ran-{path.replace('/', '-')}" not in ran]
