"""All fakes together, as one worker sees them: what is published is what Airflow serves."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import PurePosixPath

from deployer.config import Settings
from deployer.core.model import DAG_PROCESSOR, ROSTER, Deployment, State, Tree, Trigger
from deployer.deployment.parts import Parts
from deployer.ports import Release
from deployer.worker.reconciler import Reconciler
from tests.fakes.airflow import FakeAirflow
from tests.fakes.clock import FakeClock
from tests.fakes.examiner import FakeExaminer
from tests.fakes.feed import Broken, Contents, FakeFeed
from tests.fakes.journal import FakeJournal
from tests.fakes.releases import FakeReleases
from tests.fakes.repository import FakeRepository
from tests.fakes.services import FakeServices

TEACHER = "class@example.org"
DAG = "from airflow.sdk import dag  # {}\n"
SERVICES = ("airflow-scheduler", "airflow-dag-processor")


class ServedReleases(FakeReleases):
    """Releases that the class's dag-processor reads.

    Attributes:
        contents: what a file's parse gives.
        poison: files whose newest version kills the dag-processor.
    """

    def __init__(self, feed: FakeFeed, services: FakeServices) -> None:
        super().__init__()
        self.contents: dict[str, Contents] = {}
        self.poison: set[str] = set()
        self._may_hold_dag: dict[str, bool] = {}  # by blob
        self._feed = feed
        self._services = services

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        release = super().publish(tree, touch=touch, held=held)
        now = self.whole[release.name]
        self._may_hold_dag |= {f.blob: f.facts.may_hold_dag for f in tree.files.values()}
        self._feed.serve(
            release.name,
            {
                path: self.contents.get(path, (PurePosixPath(path).stem,))
                for path, file in now.items()
                if path in tree.files and self._may_hold_dag[file.blob]
            },
        )
        if any(path in now and now[path].blob == tree.files[path].blob for path in self.poison):
            self._services.die(DAG_PROCESSOR)
        return release


class ServedProcesses(FakeServices):
    """Airflow's processes, whose dag-processor is at the other end of a `FakeFeed`."""

    def __init__(self, feed: FakeFeed) -> None:
        super().__init__()
        self._feed = feed

    def die(self, service: str) -> None:
        super().die(service)
        self._feed.leave()

    def revive(self, service: str) -> None:
        before = self.lives[service]
        super().revive(service)
        if self.lives[service] > before:
            self._feed.come()


class World:
    """A class repository with a worker that reconciles; nothing waits for real time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.repository = FakeRepository()
        self.airflow = FakeAirflow()
        self.feed = FakeFeed(self.clock)
        self.services = ServedProcesses(self.feed)
        self.releases = ServedReleases(self.feed, self.services)
        self.examiner = FakeExaminer(self.clock)
        self.journal = FakeJournal(now=self.clock.now)
        self.parts = Parts(
            self.repository,
            self.releases,
            self.airflow,
            self.feed,
            self.services,
            self.examiner,
            self.journal,
            self.clock,
            owed=lambda: None,
            settings=Settings(github_repo="class/airflow", recreate_services=SERVICES),
        )
        # Whose folder is whose matters to few tests: all that is pushed here is a teacher's,
        # unless the test says otherwise.
        self.repository.push({ROSTER: f"teachers: [{TEACHER}]\n"})
        self.reconciler = self.worker()
        self._guids = count(1)
        self._texts = count(1)

    def set(self, **settings: object) -> None:
        """Change settings, for a worker that is started then."""
        changed = replace(self.parts.settings, **settings)  # type: ignore[arg-type]  # each its own
        self.parts = replace(self.parts, settings=changed)

    def worker(self) -> Reconciler:
        """Return the reconciler of a worker that has just been started."""
        return Reconciler(self.parts)

    def push(self, *paths: str, author: str = TEACHER) -> str:
        """Push new contents of `paths`; tell nobody."""
        texts = {path: DAG.format(next(self._texts)) for path in paths}
        return self.repository.push(texts, author=author)

    def deliver(
        self,
        sha: str,
        before: str | None = None,
        *,
        forced: bool = False,
        pusher: str = "somebody",
    ) -> None:
        """Record GitHub's delivery of a push."""
        self.journal.record_delivery(
            guid=f"guid-{next(self._guids)}",
            event="push",
            result="queued",
            reason="",
            payload={
                "ref": "refs/heads/main",
                "before": before,
                "after": sha,
                "forced": forced,
                "pusher": pusher,
            },
        )

    def announced(self, *paths: str) -> str:
        """Push and deliver, as GitHub does; return the commit."""
        before = self.repository.tip
        sha = self.push(*paths)
        self.deliver(sha, before)
        return sha

    def breaks(self, path: str) -> None:
        """Let the file not parse from now on."""
        self.releases.contents[path] = Broken()

    def request(self, sha: str | None = None) -> int:
        """Ask for a deployment by hand."""
        return self.journal.request_deploy(sha, Trigger.MANUAL)

    def freeze(self, why: str = "exam", *, for_s: float | None = None) -> None:
        """Let nothing be deployed, as the teacher does."""
        until = None if for_s is None else self.clock.now() + timedelta(seconds=for_s)
        self.journal.freeze(why, by="teacher", until=until)

    def roll_back(self, sha: str, why: str = "exam") -> int:
        return self.journal.roll_back(sha, why, by="teacher")

    def unfreeze(self) -> None:
        self.journal.unfreeze(by="teacher")

    def judging(self, sha: str) -> Deployment:
        """Return the deployment that judged a commit."""
        found = self.journal.judging(sha)
        assert found is not None, f"nothing judged {sha}"
        return found

    def state(self, sha: str) -> State:
        return self.judging(sha).state

    def said(self, sha: str) -> dict[str, tuple[str, str]]:
        """Return the last state and description owed for a commit, by context."""
        return {
            line.record.status.context: (
                line.record.status.state.value,
                line.record.status.description,
            )
            for line in self.journal.lines
            if line.record.status.sha == sha
        }
