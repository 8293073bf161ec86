"""A class repository on a stand-in for GitHub, and the deployer's two processes, which may die."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx

from deployer.config import Settings, load
from deployer.demo.github import StandIn
from deployer.demo.github.git_over_http import announce
from deployer.demo.stage import free_port
from tests.classrepo import ClassRepo
from tests.github.watched import Watch
from tests.integration.waiting import eventually
from tests.loopback import LOOPBACK
from tests.reliability.killing import invariants, outside, power
from tests.reliability.killing.dag_processor import DagProcessor

ROOT = Path(__file__).parents[3]
REPO = "class/airflow-class"
SECRET, TOKEN = "a secret of more than sixteen", "a-token"
CONVERGES_S = 60.0
"""Also beside whatever keeps the machine busy; `__main__` wants 10 s of a quiet one."""
LOOK_EVERY_S = 0.02
START_S = 60.0
KEPT_RELEASES = 2


@dataclass(frozen=True)
class Expected:
    """How one commit ends: the states that each of its contexts may show.

    `texts`: the content of each file that it changes, None: deleted.
    """

    sha: str
    states: Mapping[str, frozenset[str]]
    texts: Mapping[str, str | None]


@dataclass
class World:
    """Use it as a context manager; `folder` is its own.

    Attributes:
        journal_url: of PostgreSQL; None: SQLite in the state directory.
        announced: commits that GitHub delivered, in order.
        live: text by path, of what must be live.
        packages: the `requirements.txt` that must be installed.
        most_releases: that may be left.
    """

    folder: Path
    journal_url: str | None = None
    with_power: bool = False
    announced: list[Expected] = field(default_factory=list)
    live: dict[str, str] = field(default_factory=dict)
    packages: str = ""
    most_releases: int = 2 * KEPT_RELEASES

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.folder.mkdir(parents=True)
            for name in ("outside", "control", "tmp"):
                (self.folder / name).mkdir()
            self.hub = stack.enter_context(
                StandIn(self.folder / "github", repo=REPO, secret=SECRET, token=TOKEN)
            )
            self.watch = Watch(self.hub)
            self.repo = ClassRepo(self.hub.repository.path)
            self.environment = self._environment()
            self.settings: Settings = load(self.environment)
            self.hub.webhook.url = f"http://{self.settings.bind}/webhook"
            self.checkout, self.state = self.settings.checkout_dir, self.settings.state_dir
            self.dag_processor = stack.enter_context(DagProcessor(self.checkout))
            self.forks = stack.enter_context(Forks(self.folder))
            self.pids: dict[str, int] = {}
            self.numbers = count(1)
            self._delivered = 0
            self.services = outside.KeptServices(self.folder / "outside")
            self.airflow = outside.KeptAirflow(self.folder / "outside")
            stack.callback(self.kill_all)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # -- pushes

    def push(
        self,
        files: Mapping[str, str | None],
        states: Mapping[str, str],
        *,
        onto: str | None = None,
        held: Sequence[str] = (),
    ) -> str:
        """Push and deliver; say how it must end.

        `onto`: forced, onto that commit. `held`: paths whose live version stays. Several states
        of a context, whichever comes first: `success|error`.
        """
        before = self.repo.tip() or "0" * 40
        if onto:
            self.repo.reset(onto)
        for path, text in files.items():
            if text is None:
                self.repo.remove(path)
                self.live.pop(path, None)
            else:
                self.repo.write(path, text)
                if path not in held:
                    self.live[path] = text
        sha = self.repo.commit()
        told = {context: frozenset(state.split("|")) for context, state in states.items()}
        self.announced.append(Expected(sha, told, dict(files)))
        self._pushed = (before, sha)
        self.deliver()
        return sha

    def deliver(self) -> None:
        """Deliver the last push, perhaps once more."""
        announce(self.hub.repository, self.hub.webhook, "refs/heads/main", *self._pushed)
        self._delivered += 1

    # -- processes

    def start(self, role: str, *, arm: str = "") -> None:
        """Start web or worker; it dies at the boundary `arm`."""
        self._wish(role, arm)
        self.pids[role] = self.forks.start(
            role,
            env=self.environment,
            log=str(self.folder / f"{role}.log"),
            control=str(self.folder / "control"),
            outside=str(self.folder / "outside"),
            **({"power": str(self.folder / "power")} if self.with_power else {}),
        )

    def arm(self, boundary: str) -> list[str]:
        """Have the running worker die at `boundary`; return where it was since it was armed."""
        token = self._wish("worker", boundary)
        os.kill(self.pids["worker"], signal.SIGUSR1)
        order = self.folder / "control" / "worker.order"
        until = time.monotonic() + START_S
        while True:
            with suppress(OSError, ValueError):
                said = json.loads(order.read_text())
                if said["token"] == token:
                    met: list[str] = said["met"]
                    return met
            if time.monotonic() > until:
                raise TimeoutError(f"the worker does not listen: {self.log('worker')}")
            time.sleep(LOOK_EVERY_S / 4)

    def met(self, role: str) -> list[str]:
        """Return the boundaries of the process that is alive, since it was armed."""
        return self.arm("") if role == "worker" else []

    def died(self, role: str, within_s: float) -> bool:
        """Wait for a process's death; False: it lives."""
        try:
            pidfd = os.pidfd_open(self.pids[role])
        except ProcessLookupError:  # and was waited for
            return True
        with closing_fd(pidfd):
            return bool(select.select([pidfd], [], [], within_s)[0])

    def kill(self, role: str, *, with_power: bool = False) -> None:
        """End a process, if it lives, as `kill -9` does; web, or with the power, with its own."""
        pid = self.pids.pop(role, None)
        if pid is None:
            return
        group = with_power or role == "web"
        if group:  # which outlives its first process
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        with suppress(ProcessLookupError), closing_fd(os.pidfd_open(pid)) as pidfd:
            os.kill(pid, signal.SIGKILL)
            select.select([pidfd], [], [], START_S)
        # As a supervisor does: wait for it, and for all of its own.
        until = time.monotonic() + START_S
        while pid in self.forks.children() or (group and _has_members(pid)):
            if time.monotonic() > until:
                raise TimeoutError(f"{role} can't be ended")
            time.sleep(LOOK_EVERY_S)

    def kill_all(self, *, with_power: bool = False) -> None:
        for role in list(self.pids):
            self.kill(role, with_power=with_power)

    def cut_power(self, way: tuple[str, str]) -> None:
        """End both processes and leave on the disk what the cut leaves.

        Not before web has answered: of what nobody took, GitHub would have to be asked.
        """
        eventually(lambda: len(self.hub.webhook.deliveries) >= self._delivered, START_S)
        self.kill_all(with_power=True)
        power.cut(self.state, self.checkout, self.folder / "power", way)
        power.begin(self.state, self.folder / "power")

    def wait_for_web(self) -> None:
        until = time.monotonic() + START_S
        while True:
            with suppress(httpx.TransportError):
                if LOOPBACK.get(f"http://{self.settings.bind}/healthz").is_success:
                    return
            if time.monotonic() > until:
                raise TimeoutError(f"web does not answer: {self.log('web')}")
            time.sleep(LOOK_EVERY_S)

    def begin(self) -> None:
        """Start both processes."""
        if self.with_power:
            power.begin(self.state, self.folder / "power")
        self.start("web")
        self.start("worker")
        self.wait_for_web()

    def forget(self) -> None:
        """Be a machine on which the deployer never ran."""
        self.kill_all()
        for place in (self.state, self.checkout):
            shutil.rmtree(place, ignore_errors=True)

    def settled(self, within_s: float = CONVERGES_S) -> list[str]:
        """Wait until every invariant holds; return what does not when the time is over."""
        until = time.monotonic() + within_s
        while wrong := invariants.broken(self):
            if time.monotonic() > until:
                return wrong
            time.sleep(2 * LOOK_EVERY_S)
        return []

    def log(self, role: str) -> str:
        """Return the end of a process's log."""
        return (self.folder / f"{role}.log").read_text()[-3000:]

    # -- inside

    def _wish(self, role: str, arm: str) -> int:
        token = next(self.numbers)
        place = self.folder / "control" / f"{role}.json"
        place.with_suffix(".new").write_text(json.dumps({"arm": arm, "token": token}))
        place.with_suffix(".new").replace(place)
        return token

    def _environment(self) -> dict[str, str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("DEPLOYER_")}
        journal = {"DEPLOYER_DATABASE_URL": self.journal_url} if self.journal_url else {}
        return ours | {
            "TMPDIR": str(self.folder / "tmp"),
            "DEPLOYER_GITHUB_REPO": REPO,
            "DEPLOYER_REPO_URL": self.hub.git_url,
            "DEPLOYER_GITHUB_API_URL": self.hub.url,
            "DEPLOYER_GITHUB_TOKEN": TOKEN,
            "DEPLOYER_WEBHOOK_SECRET": SECRET,
            "DEPLOYER_STATE_DIR": str(self.folder / "state"),
            "DEPLOYER_CHECKOUT_DIR": str(self.folder / "class"),
            "DEPLOYER_SERVICES": "local",
            "DEPLOYER_BIND": f"127.0.0.1:{free_port()}",
            "DEPLOYER_POLL_INTERVAL_S": "0.5",
            "DEPLOYER_KEEP_RELEASES": str(KEPT_RELEASES),
            **journal,
        }


class Forks:
    """The process that forks web and worker (`forking`)."""

    def __init__(self, folder: Path) -> None:
        self._log = (folder / "forks.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.killing.forking"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._process, self._log:
            pass

    def start(self, role: str, **asked: object) -> int:
        pid: int = self._ask({"role": role, **asked})["pid"]
        return pid

    def children(self) -> list[int]:
        """Return what lives of what it started, and what those left behind."""
        found: list[int] = self._ask({})["children"]
        return found

    def _ask(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"it forks no more: {Path(self._log.name).read_text()[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


class closing_fd:  # noqa: N801  # as `contextlib.closing`
    """Close a descriptor at the block's end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __enter__(self) -> int:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)
