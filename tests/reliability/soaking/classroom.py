"""Thirty students who push for a long time, and a network and a machine that are no good."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from deployer.app.airflow import local_airflow
from deployer.config import Settings
from deployer.demo.github.delivering import Delivery
from deployer.demo.github.git_over_http import announce
from deployer.demo.stage import REPO, Part, Stage
from deployer.edges.embedded.airflow import LocalAirflow
from tests.classrepo import ClassRepo
from tests.github.watched import Watch
from tests.reliability.killing import invariants, outside
from tests.reliability.killing.dag_processor import DagProcessor
from tests.reliability.killing.world import Expected
from tests.reliability.soaking import process, samples
from tests.reliability.soaking.proxies import Proxies, Proxy

STUDENTS = 30
AT_ONCE = 6
"""Pushes whose verdicts are open at a time."""
LOOK_EVERY_S = 0.02
AGAIN_S = 2.0
"""Between two looks for deliveries that failed."""
SETTLES_S = 60.0
LONGEST_S = 600.0
"""From a push to its verdict, whatever happens."""
KEEP_RELEASES = 2
FINAL = ("success", "failure", "error")
TIMES = {
    "deliveries": ("received_at",),
    "announcements": ("received_at",),
    "deployments": ("queued_at", "started_at", "finished_at"),
    "refusals": ("at",),
    "condemned": ("at",),
}
"""By which the journal knows how old something is."""
_FOUND = (
    "SELECT 1 FROM deployments WHERE sha = ? AND NOT EXISTS (SELECT 1 FROM announcements "
    "WHERE deployment_id = deployments.id AND received_at <= queued_at)"
)
"""Tells whether git showed a commit before its delivery came."""


class StandInAirflow:
    """The Airflow of a stage: a dag-processor alone."""

    url = username = password = ""

    def __init__(self, settings: Settings) -> None:
        self.dag_processor = DagProcessor(settings.checkout_dir)
        self._runs = ExitStack()

    def start(self) -> None:
        self._runs.enter_context(self.dag_processor)

    def stop(self) -> None:
        self._runs.close()

    def pids(self) -> Mapping[str, int]:
        return {}

    def wait_healthy(self, services: Sequence[str]) -> str:
        return ""


@dataclass(slots=True)
class SoakedStage(Stage):
    """A stage whose Airflow is what `outside` returns."""

    module: ClassVar[str] = process.__name__

    outside: Callable[[], StandInAirflow] = field(kw_only=True)

    def make_airflow(self) -> LocalAirflow:
        return cast("LocalAirflow", self.outside())


@dataclass
class Classroom:
    """Use it as a context manager; `folder` is its own.

    It has what `killing.invariants` looks at of a world.

    Attributes:
        rate: of what goes through a proxy, how much meets a fault.
        verdict_s: by number of the push, from it to `airflow/deploy`.
        found: commits that git showed before they were delivered.
        redelivered: how many deliveries failed and were asked for again.
    """

    folder: Path
    rate: float
    seed: int = 1
    verdict_s: dict[int, float] = field(default_factory=dict)
    series: list[dict[str, float]] = field(default_factory=list)
    announced: list[Expected] = field(default_factory=list)
    found: set[str] = field(default_factory=set)
    redelivered: int = 0
    live: dict[str, str] = field(default_factory=dict)
    packages: str = ""
    most_releases: int = 2 * KEEP_RELEASES
    journal_url: str | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name in ("outside", "tmp"):
                (self.folder / name).mkdir(parents=True)
            self._chance = random.Random(self.seed)  # noqa: S311  # no secret
            self.to_web = Proxy("asked", self.rate, self.seed)
            self.to_api = Proxy("answered", self.rate, self.seed + 1)
            self.to_git = Proxy("answered", self.rate, self.seed + 2)
            stack.enter_context(Proxies(self.to_web, self.to_api, self.to_git))
            self.stage = SoakedStage(
                self.folder,
                lambda _: None,
                {
                    "TMPDIR": str(self.folder / "tmp"),
                    process.OUTSIDE: str(self.folder / "outside"),
                    "DEPLOYER_REPO_URL": f"{self.to_git.url}/{REPO}.git",
                    "DEPLOYER_GITHUB_API_URL": self.to_api.url,
                    "DEPLOYER_POLL_INTERVAL_S": "5",
                    "DEPLOYER_KEEP_DAYS": "1",
                    "DEPLOYER_KEEP_RELEASES": str(KEEP_RELEASES),
                },
                outside=self._outside,
            )
            stack.enter_context(self.stage)
            self._stack = stack.pop_all()
        return self

    def _outside(self) -> StandInAirflow:
        """Be called when the stand-in for GitHub runs, before web and worker do."""
        settings = self.settings = self.stage.settings
        self.hub = self.stage.hub
        self.watch = Watch(self.hub)
        self.checkout, self.state = settings.checkout_dir, settings.state_dir
        for proxy in (self.to_api, self.to_git):
            proxy.target = ("127.0.0.1", int(self.hub.url.rpartition(":")[2]))
        host, _, port = settings.bind.rpartition(":")
        self.to_web.target = (host, int(port))
        self.services = outside.KeptServices(self.folder / "outside")
        self.airflow = outside.KeptAirflow(self.folder / "outside")
        self.repo = ClassRepo(self.hub.repository.path)
        self._pushed_at: dict[str, tuple[int, float]] = {}
        self._open: dict[str, str] = {}  # students by commit
        self._undelivered: set[str] = set()
        self._failed: list[Delivery] = []
        self._again_at = 0.0  # monotonic
        self._delivered = 0
        self._stand_in = StandInAirflow(settings)
        self.dag_processor = self._stand_in.dag_processor
        self.really = False
        self.forks = self
        return self._stand_in

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- what `killing.invariants` asks of a world

    @property
    def pids(self) -> dict[str, int]:
        return {"web": self.stage.web.process.pid, "worker": self.stage.worker.process.pid}

    def children(self) -> list[int]:
        """Return what runs of what this process started and of what those left behind."""
        me = os.getpid()
        found = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        airflow = self.stage.airflow.pids().values()
        return [pid for pid in map(int, found) if pid not in airflow and samples.lives(pid)]

    # -- a class at work

    def run(
        self, pushes: int, *, kill_at: Sequence[int], night_at: Sequence[int], every: int
    ) -> None:
        """Push so many times; kill a process, let a night pass and measure now and then."""
        self.hub.webhook.url = f"{self.to_web.url}/webhook"
        first = len(self.announced)
        for number in range(first, first + pushes):
            while len(self._open) >= AT_ONCE:
                self._look()
            if number in kill_at:
                part = (self.stage.web, self.stage.worker)[kill_at.index(number) % 2]
                self._kill(part)
                part.start()
            if number in night_at:
                self.pass_night()
            self._push(number)
            if number % every == 0:
                self._wait_until_rested()
                self.series.append(self._sample(number))
        self._wait_until_quiet()

    def _wait_until_quiet(self) -> None:
        while self._open or self._undelivered:
            self._look()

    def _wait_until_rested(self) -> None:
        """Wait for what is done when nobody waits; old releases pile up until then."""
        self._wait_until_quiet()
        until, releases = time.monotonic() + SETTLES_S, self.checkout / "releases"
        while len(list(releases.glob("[0-9a-f]*"))) > self.most_releases:
            if time.monotonic() > until:
                return  # it shows in the samples
            time.sleep(LOOK_EVERY_S)

    def _kill(self, part: Part) -> None:
        """End it with all of its own, as systemd does."""
        own = list(samples.descendants(part.process.pid))
        part.kill()
        for pid in own:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while set(own) & set(self.children()):
            time.sleep(LOOK_EVERY_S)

    def _push(self, number: int) -> None:
        student = self._chance.choice(
            [
                name
                for name in map("s{:02}".format, range(STUDENTS))
                if name not in self._open.values()
            ]
        )
        path = f"dags/{student}/a.py"
        word = self._chance.choices(
            ["pass", "BROKEN", "__import__('os')._exit(3)  # HARM"], [16, 3, 1]
        )[0]
        head = f'with DAG("{student}_a", tags=["student:{student}"]) as dag:  # {number}'
        text = f"from airflow.sdk import DAG\n{head}\n    {word}\n"
        before = self.repo.tip() or "0" * 40
        self.repo.write(path, text)
        sha = self.repo.commit()
        good = word == "pass"
        if "HARM" not in word:
            self.live[path] = text
        states = {
            "airflow/deploy": "success",
            f"airflow/{student}": "success" if good else "failure",
        }
        self.announced.append(
            Expected(sha, {key: frozenset({one}) for key, one in states.items()}, {path: text})
        )
        if self.really:
            self.dag_processor.read.add((path, text))
        self._pushed_at[sha], self._open[sha] = (number, time.monotonic()), student
        self._undelivered.add(sha)
        announce(self.hub.repository, self.hub.webhook, "refs/heads/main", before, sha)

    def _look(self) -> None:
        """Wait a moment; take note of verdicts, and ask again for what was not delivered."""
        time.sleep(LOOK_EVERY_S)
        for sha in list(self._open):
            number, began = self._pushed_at[sha]
            ended = {one.context: one for one in self.hub.statuses(sha) if one.state in FINAL}
            if "airflow/deploy" in ended and f"airflow/{self._open[sha]}" in ended:
                self.verdict_s[number] = ended["airflow/deploy"].received_s - began
                del self._open[sha]
                if self._asked(_FOUND, sha):
                    self.found.add(sha)
            elif time.monotonic() - began > LONGEST_S:
                raise TimeoutError(f"push {number}, {sha}, has no verdict: {list(ended)}")
        hook, made = self.hub.webhook, self.hub.webhook.deliveries
        for one in made[self._delivered :]:
            if one.status == "OK":
                self._undelivered.discard(one.payload["after"])
            else:
                self._failed.append(one)
        self._delivered = len(made)
        if time.monotonic() > self._again_at:
            self._again_at = time.monotonic() + AGAIN_S
            while self._failed:
                # As GitHub's own button does: the same event once more, under its old name.
                one = self._failed.pop()
                self.redelivered += 1
                hook.send(one.event, one.payload, one.guid)

    def pass_night(self) -> None:
        """Make all that the journal holds a day older; nobody is at work then."""
        self._wait_until_quiet()
        with closing(sqlite3.connect(self.state / "deployer.db", timeout=20)) as opened, opened:
            for table, columns in TIMES.items():
                aged = ", ".join(
                    f"{name} = strftime('%Y-%m-%d %H:%M:%f', {name}, '-25 hours') || '000'"
                    for name in columns
                )
                opened.execute(f"UPDATE {table} SET {aged}")  # noqa: S608  # names of our own

    def _asked(self, query: str, *values: str) -> list[Any]:
        with closing(sqlite3.connect(self.state / "deployer.db", timeout=20)) as opened:
            return opened.execute(query, values).fetchall()

    def _sample(self, number: int) -> dict[str, float]:
        web = samples.taken(self.stage.web.process.pid, tree=True)
        worker = samples.taken(self.stage.worker.process.pid)
        return {
            "push": number,
            "web_rss_bytes": web.rss_bytes,
            "web_files": web.files,
            "web_threads": web.threads,
            "worker_rss_bytes": worker.rss_bytes,
            "worker_files": worker.files,
            "worker_threads": worker.threads,
            "deployments_kept": self._asked("SELECT count(*) FROM deployments")[0][0],
            "journal_bytes": sum(one.stat().st_size for one in self.state.glob("deployer.db*")),
            "checkout_bytes": samples.size(self.checkout)
            - samples.size(self.checkout / "mirror.git"),
            "mirror_bytes": samples.size(self.checkout / "mirror.git"),
        }

    def use_airflow(self) -> None:
        """From now on a real Airflow, and nothing of the worker's a stand-in."""
        stage = self.stage
        stage.worker.stop()
        self._stand_in.stop()
        stage.airflow = local_airflow(self.settings, progress=stage.say)
        self._stack.callback(stage.airflow.stop)
        stage.airflow.start()
        stage.airflow.wait_healthy(self.settings.recreate_services)
        stage.worker.environment = {
            name: value
            for name, value in stage.worker.environment.items()
            if name != process.OUTSIDE
        }
        stage.worker.start()
        self.really, self.most_releases = True, 2 * KEEP_RELEASES + STUDENTS

    def settled(self) -> list[str]:
        """End all faults, and return what does not hold however long one waits."""
        for proxy in (self.to_web, self.to_api, self.to_git):
            proxy.rate = 0.0
        # What was found is told of all that differs from what was live, not of its own alone.
        self.announced = [
            self._as_found(one) if one.sha in self.found else one for one in self.announced
        ]
        until = time.monotonic() + SETTLES_S
        while wrong := invariants.broken(self):  # type: ignore[arg-type]  # what it looks at is here
            if time.monotonic() > until:
                return wrong
            time.sleep(10 * LOOK_EVERY_S)
        return []

    def _as_found(self, one: Expected) -> Expected:
        more = {said.context: frozenset(FINAL) for said in self.hub.statuses(one.sha)}
        return Expected(one.sha, more | dict(one.states), one.texts)

    def figures(self) -> dict[str, Any]:
        faults = {
            name: dict(proxy.met)
            for name, proxy in (("web", self.to_web), ("api", self.to_api), ("git", self.to_git))
        }
        return {"series": self.series, "verdict_s": self.verdict_s, "faults": faults}
