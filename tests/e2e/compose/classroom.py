"""A class in Docker Compose: stage, students, containers, task instances."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, cast

import docker
import httpx
import pytest

from deployer.app import sample_class
from deployer.app.airflow import GROUP_OF_AIRFLOW
from deployer.core.model import REQUIREMENTS
from deployer.demo.stage import Stage
from deployer.demo.student import Push
from deployer.edges.airflow.parse_feed import PLACE, ParseFeedListener
from deployer.edges.embedded.airflow import LocalAirflow
from tests.compose_stack import ClassStack, Way
from tests.e2e.watching import ENDS, worker_events
from tests.github.watched import watched
from tests.loopback import LOOPBACK

BOUND_S = 600.0
SERVICES = ("airflow-scheduler", "airflow-apiserver", "airflow-dag-processor")


@dataclass(slots=True)
class StackAirflow:
    """What a stage asks of its Airflow, over a Compose stack."""

    stack: ClassStack

    username = "deployer"

    @property
    def url(self) -> str:
        return self.stack.url

    @property
    def password(self) -> str:
        return self.stack.deployer_password

    def start(self) -> None:
        self.stack.up()

    def stop(self) -> None:
        self.stack.down()

    def pids(self) -> Mapping[str, int]:
        client = docker.from_env()
        try:
            found = {s: client.containers.get(self.stack.container_id(s)) for s in SERVICES}
            return {service: one.attrs["State"]["Pid"] for service, one in found.items()}
        finally:
            client.close()

    def wait_healthy(self, services: Sequence[str]) -> str:
        return f"{', '.join(services)} healthy since `up --wait`"


@dataclass(slots=True)
class StackStage(Stage):
    """A stage whose Airflow is a Compose stack."""

    stack: ClassStack = field(kw_only=True)

    def make_airflow(self) -> LocalAirflow:
        return cast("LocalAirflow", StackAirflow(self.stack))


@dataclass(slots=True)
class Classroom:
    """What the tests act on."""

    stage: Stage
    stack: ClassStack
    said: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    """By commit, what `ends` has returned."""
    _headers: dict[str, str] = field(default_factory=dict)

    def push(self, who: str, message: str, files: Mapping[str, str | None]) -> Push:
        student = self.stage.student(who)
        student.commit(message, files)
        return student.push()

    def ends(self, push: Push, *folders: str) -> dict[str, tuple[str, str]]:
        """Return state and description by context, once `airflow/deploy` and `folders` have ended.

        As the deployer owes them to GitHub, at whose pace many take a second each:
        `assert_all_is_posted` waits for it, once for all tests.
        """
        contexts = {"airflow/deploy", *(f"airflow/{folder}" for folder in folders)}

        def ended() -> bool:
            answer = self.stage.get(f"/api/v1/commits/{push.sha}")
            statuses = answer.json()["statuses"] if answer.is_success else ()
            self.said[push.sha] = {
                one["context"]: (one["state"], one["description"])
                for one in statuses
                if one["sha"] == push.sha
            }
            said = self.said[push.sha]
            return all(context in said and said[context][0] in ENDS for context in contexts)

        wait_until(ended, f"the end of {push.sha[:7]}")
        return self.said[push.sha]

    def assert_all_is_posted(self) -> None:
        """See that all that tests were told by the deployer has come to GitHub, word by word."""
        said = {
            (sha, context, state, words)
            for sha, by_context in self.said.items()
            for context, (state, words) in by_context.items()
            if state in ENDS
        }

        def posted() -> bool:
            statuses = (one for sha in self.said for one in self.stage.hub.statuses(sha))
            return said <= {(s.sha, s.context, s.state, s.description) for s in statuses}

        wait_until(posted, "all is on GitHub")

    def deployment(self, push: Push) -> dict[str, Any]:
        answer: dict[str, Any] = self.stage.get(f"/api/v1/commits/{push.sha}").json()
        return answer

    def steps(self, push: Push) -> dict[str, dict[str, str]]:
        """Return the last record of each step of the deployment that judged a commit."""
        return {step["name"]: step for step in self.deployment(push)["steps"]}

    def containers(self) -> dict[str, str]:
        """Return the container id of every service."""
        return {s: self.stack.container_id(s) for s in (*SERVICES, "postgres")}

    def events(self) -> list[tuple[str, str]]:
        """Return the worker's log as (event, step)."""
        return [
            (line["event"], line.get("doing") or line.get("step") or "")
            for line in worker_events(self.stage)
        ]

    def kill_worker_in(self, step: str, seen: int) -> int:
        """Kill the worker in the middle of a step that begins after `seen` events; start it."""
        began = ("begins", step)
        wait_until(lambda: began in self.events()[seen:], f"{step} begins", look_every_s=0.05)
        self.stage.worker.kill()
        seen = len(self.events())
        self.start_worker()
        return seen

    def start_worker(self) -> None:
        """Start the worker; it listens to the dag-processor when this returns."""
        seen = len(self.events())
        self.stage.worker.start()
        wait_until(lambda: ("worker starts", "") in self.events()[seen:], "the worker starts")

    @contextmanager
    def instead_of_the_worker(self) -> Iterator[ParseFeedListener]:
        """Stop the worker, and listen to the dag-processor in its place."""
        self.stage.worker.stop()
        listener = ParseFeedListener(self.stack.checkout / PLACE, group=GROUP_OF_AIRFLOW)
        try:
            yield listener
        finally:
            listener.close()
            self.start_worker()

    def restart_worker(self, **settings: str) -> None:
        """Start the worker anew with other settings."""
        self.stage.worker.stop()
        self.stage.worker.environment = {**self.stage.worker.environment, **settings}
        self.start_worker()

    # -- Airflow, as its admin

    def airflow(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON
        if not self._headers:
            login = {"username": "admin", "password": self.stack.admin_password}
            token = LOOPBACK.post(f"{self.stack.url}/auth/token", json=login).raise_for_status()
            self._headers["Authorization"] = f"Bearer {token.json()['access_token']}"
        url = f"{self.stack.url}/api/v2{path}"
        answer = LOOPBACK.request(method, url, json=body, headers=self._headers)
        return answer.raise_for_status().json()

    def begin(self, dag_id: str) -> str:
        """Unpause a DAG, trigger a run, and return its id."""
        self.airflow("PATCH", f"/dags/{dag_id}?update_mask=is_paused", {"is_paused": False})
        run = self.airflow("POST", f"/dags/{dag_id}/dagRuns", {"logical_date": None})
        run_id: str = run["dag_run_id"]
        return run_id

    def trigger(self, dag_id: str) -> str:
        """Begin a run, and return its id once all its tasks run."""
        run_id = self.begin(dag_id)

        def running() -> bool:
            states = [task["state"] for task in self.tasks(dag_id, run_id)]
            return bool(states) and set(states) == {"running"}

        wait_until(running, f"{dag_id} runs")
        return run_id

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = self.airflow("GET", path)["task_instances"]
        return found

    def outcome(self, dag_id: str, run_id: str) -> dict[str, tuple[str, int]]:
        """Return state and number of tries of each task, once all have ended."""

        def ended() -> bool:
            return all(
                task["state"] in {"success", "failed", "upstream_failed"}
                for task in self.tasks(dag_id, run_id)
            )

        wait_until(ended, f"{dag_id} ends")
        return {t["task_id"]: (t["state"], t["try_number"]) for t in self.tasks(dag_id, run_id)}

    def pools(self) -> dict[str, int]:
        return {pool["name"]: pool["slots"] for pool in self.airflow("GET", "/pools")["pools"]}

    def throwaways(self) -> list[str]:
        """Return the names of containers of this class that are no service's."""
        client = docker.from_env()
        try:
            label = f"class-deployer.project={self.stack.project}"
            found = client.containers.list(all=True, filters={"label": label})
            return [one.name or "" for one in found]
        finally:
            client.close()


def requirements(*more: str) -> str:
    """Return the class's requirements with further lines."""
    text = sample_class()[REQUIREMENTS].decode()
    return text + "".join(f"{line}\n" for line in more)


def is_green(said: Mapping[str, tuple[str, str]]) -> bool:
    return {state for state, _ in said.values()} == {"success"}


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """Return the services whose container is another one."""
    return {service for service in before if before[service] != after[service]}


def wait_until(holds: Callable[[], bool], what: str, *, look_every_s: float = 0.3) -> None:
    """Return soon after `holds()`; an Airflow that is away for a moment is asked again."""
    until = time.monotonic() + BOUND_S
    while time.monotonic() < until:
        with suppress(httpx.HTTPError):
            if holds():
                return
        Event().wait(look_every_s)
    pytest.fail(f"never within {BOUND_S:g} s: {what}")


@contextmanager
def classroom(
    folder: Path, project: str, way: Way, more: Mapping[str, str] | None = None
) -> Iterator[Classroom]:
    """Start everything; the first deployment is over when it is handed out.

    `more`: further lines of the stack's `.env`.
    """
    stack = ClassStack(folder, project, way=way, settings=more)
    settings = {
        "DEPLOYER_SERVICES": "compose",
        "DEPLOYER_COMPOSE_FILE": str(stack.compose_file),
        "DEPLOYER_COMPOSE_PROJECT": project,
        "DEPLOYER_AIRFLOW_URL": stack.url,
        "DEPLOYER_AIRFLOW_USERNAME": "deployer",
        "DEPLOYER_AIRFLOW_PASSWORD": stack.deployer_password,
        "DEPLOYER_POLL_INTERVAL_S": "5",
        "DEPLOYER_HEALTH_TIMEOUT_S": f"{BOUND_S - 100:g}",  # a machine that has more to do
    }
    with (
        StackStage(folder, print, settings, stack=stack) as stage,
        watched(stage.hub),
    ):
        room = Classroom(stage, stack)
        teacher = stage.student("teacher")
        teacher.commit("Start the class repository", sample_class())
        said = room.ends(teacher.push(), "class_demo", "lasse", "maria")
        assert is_green(said), said
        yield room
        room.assert_all_is_posted()
