"""All fakes together, as one worker sees them: what is published is what Airflow serves."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from pathlib import PurePosixPath

from deployer.core.model import ROSTER, Deployment, State, Tree, Trigger
from deployer.deploy import Limits, Parts
from deployer.ports import Release
from deployer.worker.answers import Branch
from deployer.worker.turns import Turns
from tests.fakes.airflow import Broken, Bundle, Contents, FakeAirflow
from tests.fakes.clock import FakeClock
from tests.fakes.examiner import FakeExaminer
from tests.fakes.journal import FakeJournal
from tests.fakes.releases import FakeReleases
from tests.fakes.repository import FakeRepository
from tests.fakes.services import FakeServices

TEACHER = "class@example.org"
DAG = "from airflow.sdk import dag  # {}\n"
SERVICES = ("airflow-scheduler", "airflow-dag-processor")


class ServedReleases(FakeReleases):
    """Releases that Airflow reads; `contents` says what a file's parse gives."""

    def __init__(self, airflow: FakeAirflow) -> None:
        super().__init__()
        self.contents: dict[str, Contents] = {}
        self._airflow = airflow

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        live = self.live()
        before = set(self.whole[live.name]) if live else set()
        release = super().publish(tree, touch=touch, held=held)
        now = self.whole[release.name]
        changes: dict[str, Contents | None] = dict.fromkeys(before - now.keys())
        for path in set(touch) & now.keys():
            changes[path] = self.contents.get(path, (PurePosixPath(path).stem,))
        self._airflow.serve(release.name, changes)
        return release

    def touch(self, paths: Collection[str]) -> None:
        super().touch(paths)
        self._airflow.touch(paths)


class World:
    """A class repository with a worker that takes turns; nothing waits for real time."""

    def __init__(self, bundle: Bundle = Bundle.CLASS) -> None:
        self.clock = FakeClock()
        self.repository = FakeRepository()
        self.airflow = FakeAirflow(bundle)
        self.releases = ServedReleases(self.airflow)
        self.services = FakeServices()
        self.examiner = FakeExaminer()
        self.journal = FakeJournal(now=self.clock.now)
        self.limits = Limits(
            parse_timeout_s=90, drain_timeout_s=300, services=SERVICES, keep_releases=10
        )
        self.parts = Parts(
            self.repository,
            self.releases,
            self.airflow,
            self.services,
            self.examiner,
            self.journal,
            self.clock,
        )
        # Whose folder is whose matters to few tests: all that is pushed here is a teacher's,
        # unless the test says otherwise.
        self.repository.push({ROSTER: f"teachers: [{TEACHER}]\n"})
        self.turns = self.worker()
        self._guids = count(1)
        self._texts = count(1)
        # Airflow knows the canary already: the class is not on its first day.
        self.airflow.serve("before", {})
        self.airflow.look()

    def worker(self) -> Turns:
        """Return the turns of a worker that has just been started."""
        return Turns(self.parts, self.limits, Branch("main"), owed=lambda: None)

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

    def wish(self, sha: str | None = None) -> int:
        """Ask for a deployment by hand."""
        return self.journal.request_deploy(sha, Trigger.MANUAL)

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
