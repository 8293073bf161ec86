"""Web and worker as they run, with GitHub's stand-in before them and no Airflow behind them."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deployer.demo.github import StandIn
from tests.classrepo import ClassRepo
from tests.github.watched import watched
from tests.loopback import LOOPBACK
from tests.web_process import BOUND_S, REPO, SECRET, Web, environment, running

TOKEN = "a-token-of-github-s-0123456789"
AIRFLOW_PASSWORD = "the-password-of-airflow-0123456789"
DAG = 'from airflow.sdk import dag\ndag_id="{}"\n'


@dataclass(frozen=True)
class Classroom:
    """The running deployer; `repo` is whoever pushes."""

    hub: StandIn
    web: Web
    worker: subprocess.Popen[bytes]
    repo: ClassRepo
    folder: Path

    def push(self) -> dict[str, Any]:
        """Commit what was written, push it, and return what it came to, statuses posted."""
        sha = self.repo.commit()
        self.repo.git("push", "--quiet", "--force", self.hub.git_url, self.repo.branch)
        until = time.monotonic() + BOUND_S
        while time.monotonic() < until:
            assert self.worker.poll() is None, self.log("worker")
            said = self.get(f"/api/v1/commits/{sha}")
            if said.is_success and said.json()["finished_at"]:
                told: dict[str, Any] = said.json()
                mine = [one for one in told["statuses"] if one["sha"] == sha]
                if mine and all(one["posted_at"] and one["state"] != "pending" for one in mine):
                    return told
            time.sleep(0.05)
        raise AssertionError(f"no end of {sha}: {said.text}\n{self.log('worker')}")

    def get(self, path: str) -> httpx.Response:
        return LOOPBACK.get(f"http://{self.web.address}{path}")

    def log(self, process: str) -> str:
        return (self.folder / process).read_text(errors="replace")

    def statuses(self, told: dict[str, Any]) -> dict[str, tuple[str, str]]:
        """Return state and description of the pushed commit's statuses, by context."""
        return {
            one["context"]: (one["state"], one["description"])
            for one in told["statuses"]
            if one["sha"] == told["sha"]
        }


@contextmanager
def classroom(folder: Path) -> Iterator[Classroom]:
    """Run it all until the block ends."""
    state, log = folder / "web", folder / "worker"
    with ExitStack() as until:
        hub = until.enter_context(StandIn(folder / "github", repo=REPO, secret=SECRET, token=TOKEN))
        until.enter_context(watched(hub))
        more = {"DEPLOYER_PUBLIC_URL": "http://class.example"}
        web = until.enter_context(running(state, more=more))
        hub.webhook.url = f"http://{web.address}/webhook"
        settings = environment(state, web.address) | {
            "DEPLOYER_REPO_URL": hub.git_url,
            "DEPLOYER_GITHUB_API_URL": hub.url,
            "DEPLOYER_GITHUB_TOKEN": TOKEN,
            "DEPLOYER_CHECKOUT_DIR": str(folder / "class"),
            "DEPLOYER_AIRFLOW_PASSWORD": AIRFLOW_PASSWORD,
            "DEPLOYER_AIRFLOW_USERNAME": "deployer",
            "DEPLOYER_SERVICES": "local",
            "DEPLOYER_PARSE_TIMEOUT_S": "20",
            **more,
        }
        worker = until.enter_context(
            subprocess.Popen(
                [sys.executable, "-m", "tests.security.worker"],
                env=settings,
                stdout=until.enter_context(log.open("wb")),
                stderr=subprocess.STDOUT,
            )
        )
        until.callback(worker.wait, BOUND_S)
        until.callback(worker.terminate)
        yield Classroom(hub, web, worker, ClassRepo(folder / "student.git"), folder)
