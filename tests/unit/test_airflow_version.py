"""Another version of Airflow is put in whole, or all is as it was."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from deployer.airflow_version import AirflowVersion
from deployer.core.airflow_version import BY, image_of, naming
from deployer.core.model import Trigger
from deployer.deployment.rollout import Drain
from deployer.errors import AirflowKept, AirflowUnreachable, OperatorError, ServicesError
from tests.fakes.airflow import FakeAirflow, Task
from tests.fakes.bell import FakeBell
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal
from tests.fakes.services import FakeServices

OLD, NEW, NEWER = "3.3.2", "3.3.3", "3.4.0"
TEXT = "pandas\n"
SERVICES = ("airflow-scheduler", "airflow-apiserver")
IN_ORDER = [
    *("name 3.3.3", "build", "drained", "keep database", "recreate ", "migrate"),
    *("recreate airflow-scheduler airflow-apiserver", "healthy", "forget"),
]
DIES_AT = ("build", "keep database", "recreate ", "migrate", f"recreate {' '.join(SERVICES)}")


class Killed(BaseException):
    """What a SIGKILL is to the process."""


class Stack(FakeServices):
    """Implements `ports.OtherAirflow` and `ports.Services` over one Airflow in memory.

    Attributes:
        image, env, database: of which version each is.
        did: what was asked of it, in order.
        fails: what is raised at one of these.
    """

    def __init__(self, airflow: FakeAirflow) -> None:
        super().__init__(TEXT)
        self.airflow = airflow
        self.env = self.image = self.database = OLD
        self.up = True
        self.did: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self._next: str | None = None
        self._previous: str | None = None
        self._kept: dict[str, str] = {}

    def _do(self, what: str) -> None:
        self.did.append(what)
        if what in self.fails:
            raise self.fails.pop(what)

    @property
    def state(self) -> tuple[object, ...]:
        pools = self.airflow.slots["default_pool"]
        return (self.image, self.env, self.database, self.up, self._kept, self._previous, pools)

    def running(self) -> str:
        if not self.up:
            raise AirflowUnreachable("no answer")
        return self.image

    def begun(self) -> str | None:
        return self._kept.get("version")

    def name(self, version: str) -> None:
        self._kept = {"env": self.env, "version": version}
        self.env = version
        self._do(f"name {version}")

    def keep_database(self) -> None:
        self.up = False
        self._do("keep database")
        self._kept["dump"] = self.database

    def migrate(self) -> None:
        assert not self.up
        self.database = self.image
        self._do("migrate")

    def take_back(self) -> None:
        self.env = self._kept["env"]
        if "dump" in self._kept:
            self.up = False
            self.database = self._kept["dump"]
        self._do("take back")

    def forget(self) -> None:
        if self._kept:
            self._do("forget")
        self._kept = {}

    def installed(self) -> str | None:
        return TEXT if self.up and self._previous is None and self.text is not None else None

    def build(self, text: str) -> str:
        assert text == TEXT
        self._next = self.env
        self._do("build")
        if not self.airflow.tasks:
            self.did.append("drained")
        return "built"

    def recreate(self, services: Sequence[str]) -> str:
        if self._next:
            self._previous, self.image, self._next = self.image, self._next, None
        self.up = self.up or bool(services)
        self._do(f"recreate {' '.join(services)}")
        return "recreated"

    def wait_healthy(self, services: Sequence[str]) -> str:
        self._do("healthy")
        assert self.up
        self._previous = None
        return "healthy"

    def put_back(self, services: Sequence[str], *, keep: bool = False) -> str:
        self._next = None
        if self._previous:
            self.image, self._previous = self._previous, None
        self.up = True
        self._do("put back")
        return "put back"


class Class:
    """A class on Airflow 3.3.2 whose worker asks git all the time."""

    def __init__(self) -> None:
        self.clock, self.airflow, self.bell = FakeClock(), FakeAirflow(), FakeBell()
        self.journal = FakeJournal(now=self.clock.now)
        self.stack = Stack(self.airflow)
        self.told: list[str] = []
        self.before = self.stack.state
        self.worker_asks()

    def worker_asks(self) -> None:
        now = self.clock.now()
        self.journal.beat(at=now, tip="a" * 40, tip_checked_at=now + timedelta(days=1))

    def install(self, version: str = NEW) -> bool:
        drain = Drain(self.airflow, self.journal, self.clock, timeout_s=300)
        return AirflowVersion(
            self.stack, self.stack, drain, journal=self.journal, clock=self.clock, bell=self.bell,
            services=SERVICES, tell=self.told.append,
        ).install(version)  # fmt: skip

    def assert_as_before(self) -> None:
        assert self.stack.state == self.before
        assert self.journal.frozen(self.clock.now()) is None


@pytest.fixture
def klass() -> Class:
    return Class()


def test_a_new_airflow_is_built_before_tasks_are_waited_for_and_migrated_when_nothing_runs(
    klass: Class,
) -> None:
    assert klass.install()
    assert klass.stack.did == IN_ORDER
    assert klass.stack.state == (NEW, NEW, NEW, True, {}, None, 128)
    assert klass.journal.frozen(klass.clock.now()) is None
    assert [request.trigger for request in klass.journal.unseen()] == [Trigger.MANUAL]


def test_the_version_that_runs_is_not_put_in_once_more(klass: Class) -> None:
    assert not klass.install(OLD)
    assert klass.stack.did == []
    klass.assert_as_before()


def test_commits_are_told_of_it_meanwhile(klass: Class, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(
        klass.stack, "migrate", lambda: seen.append(klass.journal.frozen(klass.clock.now()))
    )
    klass.install()
    assert [held.words for held in seen] == [f"Airflow {NEW} is installed"]  # type: ignore[attr-defined]


def test_whoever_froze_it_is_asked_first(klass: Class) -> None:
    held = klass.journal.freeze("exam", by="ada", until=None)
    with pytest.raises(AirflowKept, match="frozen by ada: exam; `deployer unfreeze`"):
        klass.install()
    assert klass.journal.frozen(klass.clock.now()) == held


def test_a_worker_that_does_not_come_to_rest_keeps_the_airflow(klass: Class) -> None:
    now = klass.clock.now()
    klass.journal.beat(at=now, tip="a" * 40, tip_checked_at=now)
    with pytest.raises(AirflowKept, match="it does not ask git"):
        klass.install()
    klass.assert_as_before()


def test_a_deployment_at_work_is_waited_for(klass: Class) -> None:
    now = klass.clock.now()
    number = klass.journal.queue(
        "b" * 40, base_sha=None, ref="refs/heads/main", trigger=Trigger.WEBHOOK, at=now
    )
    klass.journal.start(number, at=now, base_sha=None, covers=())
    with pytest.raises(AirflowKept, match=f"deployment {number} is at work"):
        klass.install()
    klass.assert_as_before()


def test_packages_that_are_not_known_keep_the_airflow(klass: Class) -> None:
    klass.stack.text = None
    with pytest.raises(AirflowKept, match="deployer deploy --wait"):
        klass.install()
    klass.assert_as_before()


def test_tasks_that_go_on_keep_the_airflow(klass: Class) -> None:
    klass.airflow.tasks = [Task("lasse_taxi", "ingest")]
    with pytest.raises(AirflowKept, match=r"tasks still run: lasse_taxi\.ingest"):
        klass.install()
    assert "waiting for lasse_taxi.ingest" in klass.told
    assert "keep database" not in klass.stack.did
    klass.assert_as_before()


@pytest.mark.parametrize("at", ["name 3.3.3", *DIES_AT, "healthy"])
def test_whatever_fails_all_is_as_it_was(klass: Class, at: str) -> None:
    klass.stack.fails[at] = ServicesError("it broke")
    with pytest.raises(AirflowKept, match=r"its \.env and its database are as before: it broke"):
        klass.install()
    klass.assert_as_before()


@pytest.mark.parametrize("at", ["name 3.3.3", *DIES_AT, "healthy", "forget"])
def test_what_was_killed_anywhere_is_ended_by_the_next_call(klass: Class, at: str) -> None:
    klass.stack.fails[at] = Killed()
    with pytest.raises(Killed):
        klass.install()
    assert klass.install(NEWER)
    assert klass.stack.state == (NEWER, NEWER, NEWER, True, {}, None, 128)
    assert klass.journal.frozen(klass.clock.now()) is None


@pytest.mark.parametrize("at", DIES_AT)
def test_the_version_before_is_what_a_killed_call_goes_back_to(klass: Class, at: str) -> None:
    klass.stack.fails[at] = Killed()
    with pytest.raises(Killed):
        klass.install()
    klass.install(OLD)
    klass.assert_as_before()


def test_one_that_was_killed_when_it_was_healthy_is_not_taken_back(klass: Class) -> None:
    klass.stack.fails["forget"] = Killed()
    with pytest.raises(Killed):
        klass.install()
    assert klass.install(NEW)
    assert "take back" not in klass.stack.did
    assert klass.stack.database == NEW


def test_what_can_not_be_taken_back_is_kept_frozen_for_the_next_call(klass: Class) -> None:
    klass.stack.fails = {
        "migrate": ServicesError("no such revision"),
        "take back": ServicesError("Docker is gone"),
    }
    with pytest.raises(OperatorError, match="no such revision; and it can't be taken back: Docker"):
        klass.install()
    held = klass.journal.frozen(klass.clock.now())
    assert held is not None
    assert held.by == BY
    klass.install(OLD)
    klass.assert_as_before()


def test_docker_that_is_away_is_told_before_anything_is_begun(
    klass: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> str:
        raise ServicesError("Docker does not answer")

    monkeypatch.setattr(klass.stack, "installed", away)
    with pytest.raises(ServicesError):
        klass.install()
    klass.assert_as_before()


@pytest.mark.parametrize(
    ("base", "image"),
    [
        ("apache/airflow:3.3.2", "apache/airflow:3.4.0"),
        ("registry:5000/airflow:3.3.2rc1-python3.12", "registry:5000/airflow:3.4.0-python3.12"),
        ("apache/airflow:latest", None),
        ("apache/airflow", None),
    ],
)
def test_an_image_is_named_by_its_version(base: str, image: str | None) -> None:
    assert image_of(NEWER, base) == image


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "AIRFLOW_IMAGE_NAME=a:2\n"),
        ("A=1", "A=1\nAIRFLOW_IMAGE_NAME=a:2\n"),
        ("AIRFLOW_IMAGE_NAME=a:1\nA=1\n", "A=1\nAIRFLOW_IMAGE_NAME=a:2\n"),
        ("#AIRFLOW_IMAGE_NAME=a:1\n", "#AIRFLOW_IMAGE_NAME=a:1\nAIRFLOW_IMAGE_NAME=a:2\n"),
    ],
)
def test_the_env_file_names_one_image(before: str, after: str) -> None:
    assert naming("a:2", before) == after
