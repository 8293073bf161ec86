"""The real worker over the fakes, one history at a time, in a time of its own.

The worker's three threads take turns: whenever one of them calls a port a little time passes, and
what is due then happens in between: a delivery, a fault, another thread's work, a crash. What
is called in between ends before the caller goes on; else there is nothing that the threads of
the worker could do to each other and these can't.
"""

from __future__ import annotations

import atexit
import heapq
import json
import math
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from deployer.config import Settings
from deployer.core.invariants import violations
from deployer.core.model import (
    DAG_PROCESSOR,
    REQUIREMENTS,
    ROSTER,
    Examined,
    Listed,
    Live,
    Origin,
    ParseEnd,
    ParseError,
    ParseResult,
    Status,
    StatusState,
    Told,
    Tree,
    Trigger,
    Vitals,
)
from deployer.core.settings import Secret
from deployer.core.webhook import Ignored, Push, was_renamed
from deployer.deployment.parts import Parts
from deployer.edges.github.statuses import GitHub
from deployer.edges.journal.sql_journal import SqlJournal
from deployer.errors import (
    AirflowUnreachable,
    DeployerError,
    DiskError,
    GitError,
    JournalError,
    NotHealthy,
    PreflightError,
    RequirementsRefused,
    ServicesError,
)
from deployer.ports import Accepted, Edits, Posted, RefusedForGood, Release, RetryLater
from deployer.web.webhook import _entry
from deployer.worker.outbox import Outbox
from deployer.worker.reconciler import Reconciler
from tests.fakes.airflow import FakeAirflow, Task
from tests.fakes.clock import FakeClock
from tests.fakes.examiner import FakeExamination, FakeExaminer
from tests.fakes.feed import ROOT, FakeFeed
from tests.fakes.journal import FakeJournal
from tests.fakes.releases import FakeReleases
from tests.fakes.repository import FakeRepository
from tests.fakes.services import FakeServices
from tests.reliability import history as happenings
from tests.reliability import texts
from tests.reliability.texts import Kind

TEACHER = "class@example.org"
SERVICES = ("airflow-scheduler", "airflow-dag-processor")
POLL_S = 60.0
EFFECT_S = 0.01
"""What a call takes that changes something."""
EFFECTS: Mapping[str, frozenset[str]] = {
    "repository": frozenset({"fetch"}),
    "releases": frozenset({"publish", "restore", "confirm", "prune"}),
    "airflow": frozenset({"resize_pool"}),
    "feed": frozenset({"ask", "rest"}),
    "services": frozenset(
        {"tidy", "resolve", "build", "recreate", "wait_healthy", "put_back", "revive"}
    ),
    "examiner": frozenset({"begin", "examine", "warm_up"}),
    "journal": frozenset(
        {
            *("queue", "attach", "start", "set_plan", "add_step", "doing", "wait_for"),
            *("set_verdicts", "end", "supersede", "set_live", "set_packages", "refuse", "lift"),
            *("condemn", "pardon", "set_drained", "beat", "owe", "posted", "try_again", "refused"),
        }
    ),
    "board": frozenset({"post"}),
}
MOVES = frozenset({"recreate", "put_back"})
"""Calls that stop services before they start them: what ends one half-way leaves them so."""
ERRORS: Mapping[str, type[DeployerError]] = {
    "repository": GitError,
    "releases": DiskError,
    "airflow": AirflowUnreachable,
    "services": ServicesError,
    "examiner": PreflightError,
    "journal": JournalError,
}


PARTS: Mapping[str, str] = {
    "repository": "git",
    "releases": "disk",
    "airflow": "airflow",
    "feed": "feed cut",
    "services": "docker",
    "examiner": "parser",
    "journal": "journal",
    "board": "github",
}
"""Of what is broken where a port fails, as `history.FAULTS` names it."""
REPO = "class/dags"


class Killed(BaseException):
    """SIGKILL: nothing of the worker goes on after it."""


class Timeline(FakeClock):
    """A clock, and what happens at which of its moments."""

    def __init__(self) -> None:
        self._elapsed_s = 0.0
        self._due: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = count()
        super().__init__()

    @property
    def elapsed_s(self) -> float:
        return self._elapsed_s

    @elapsed_s.setter
    def elapsed_s(self, moment: float) -> None:
        """Let time pass, and happen what is due."""
        while self._due and self._due[0][0] <= moment:
            at, _, act = heapq.heappop(self._due)
            self._elapsed_s = max(self._elapsed_s, at)
            act()
        self._elapsed_s = max(self._elapsed_s, moment)

    def after(self, seconds: float, act: Callable[[], object]) -> None:
        at = self._elapsed_s + max(seconds, 0.0)
        heapq.heappush(self._due, (at, next(self._numbers), act))

    def next_at(self, until: float) -> float:
        """Return when something happens next, `until` at the latest."""
        return min(self._due[0][0], until) if self._due else until


class Port:
    """One port as the worker sees it: each call may be its last."""

    def __init__(self, machine: Machine, name: str, inner: object) -> None:
        self._machine = machine
        self._name = name
        self._inner = inner
        self._life = machine.life

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401 - whatever the port has
        call = getattr(self._inner, method)
        if not callable(call):
            return call
        machine, name, life = self._machine, self._name, self._life
        effect = method in EFFECTS[name]
        moves = name == "services" and method in MOVES

        def guarded(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - whatever it takes
            try:
                machine.enter(name, method, life, effect=effect)
                answer = call(*args, **kwargs)
            except DeployerError:
                machine.met_failure(name, method)
                machine.services.stopped |= moves
                raise
            if method == "audit":
                machine.mended += violations(answer)
            elif method == "start":
                for sha in kwargs["covers"]:
                    machine.begun.setdefault(sha, machine.clock.elapsed_s)
                    machine.beside.setdefault(sha, frozenset(kwargs["covers"]) - {sha})
            if effect:
                machine.services.stopped |= moves  # for who is killed in the middle of it
                machine.leave(life)
                machine.services.stopped &= not moves
            return answer

        setattr(self, method, guarded)
        return guarded


class Lock:
    """The reconciler's lock: what happens meanwhile can see that it is held."""

    def __init__(self) -> None:
        self.depth = 0

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(self, *exc: object) -> None:
        self.depth -= 1


@dataclass(frozen=True)
class Parsed:
    """One parse of the class's dag-processor."""

    at: float
    release: str
    path: str
    content: str
    good: bool


@dataclass(frozen=True)
class Post:
    """A status that GitHub took."""

    at: float
    sha: str
    context: str
    state: str
    description: str


class SimFeed(FakeFeed):
    """A dag-processor that parses what the texts say."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.clock)
        self.parsed: list[Parsed] = []
        self._machine = machine
        self._time = machine.clock

    def wait(self, timeout_s: float) -> tuple[Told, ...]:
        clock = self._time
        until = clock.elapsed_s + timeout_s
        while not self._told and not self._nudged and clock.elapsed_s < until:
            at = min((at for at, _ in self._due), default=until)
            clock.elapsed_s = clock.next_at(min(at, until))
            if any(at <= clock.elapsed_s for at, _ in self._due):
                break
        self._nudged = False
        now = clock.elapsed_s
        told = (*self._told, *(told for at, told in self._due if at <= now and self.asked))
        self._told.clear()
        self._due = [(at, told) for at, told in self._due if at > now]
        return told

    def restart(self) -> None:
        """The worker is another: what was asked for is forgotten."""
        self._told.clear()
        self._due.clear()
        self.asked.clear()
        self._nudged = False

    def _answer(self) -> None:
        release, first, later = self.asked[-1]
        contents = self._machine.releases.contents_of(release)
        if not self._alive or self.silent or contents is None or texts.kills(contents):
            return
        now = self._time.elapsed_s
        files = {path for path in contents if texts.is_dag(path)}
        self._due.append((now, Listed(release, frozenset(files))))
        for path in sorted((first | later) & files):
            content = contents[path]
            slow = 4.0 if texts.kind_of(content) is Kind.SLOW else 0.0
            good = texts.parses(path, contents, self._machine.services.text)
            self.parsed.append(Parsed(now + slow, release, path, content, good))
            trace = (
                "Traceback (most recent call last):\n"
                f'  File "{ROOT}/{release}/{path}", line 2, in <module>\nImportError: no\n'
            )
            told = ParseResult(
                release,
                path,
                ParseEnd.PARSED,
                dag_ids=texts.dag_ids(path, content) if good else (),
                errors={} if good else {path: trace},
            )
            self._due.append((now + slow, told))


class SimReleases(FakeReleases):
    """Releases whose poison kills the dag-processor."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def contents_of(self, release: str | None) -> dict[str, str] | None:
        if release not in self.whole:
            return None
        text_of = self._machine.repository.text_of
        return {
            path: text_of(stamped.blob)
            for path, stamped in self.whole[release or ""].items()
            if path != REQUIREMENTS
        }

    def publish(self, tree: Tree, *, touch: Collection[str], held: Collection[str]) -> Release:
        before = self.live()
        release = super().publish(tree, touch=touch, held=held)
        self._machine.went_live(tree.sha, before.sha if before else None)
        if before is None or release.name != before.name:
            self._machine.look_at_live()
        return release

    def restore(self, name: str | None) -> None:
        super().restore(name)
        self._machine.look_at_live()


class SimServices(FakeServices):
    """Packages that the texts describe; `stopped`: services do not run since they moved."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self.stopped = False
        self.resolved: Counter[str] = Counter()  # what was refused, and how often
        self._machine = machine

    def installed(self) -> str | None:
        return None if self.stopped else super().installed()

    def vitals(self, service: str) -> Vitals:
        if self.stopped and service != DAG_PROCESSOR:
            return Vitals(None, steady=False, words="ended with exit code 137")
        return super().vitals(service)

    def resolve(self, text: str) -> str:
        if "refused" in text:
            self.resolved[text] += 1
            raise RequirementsRefused("no such version", line=1)
        return "resolves"

    def build(self, text: str) -> str:
        self.litter += 1  # until it is over
        self._machine.leave(self._machine.life)
        if self._machine.is_broken("services"):
            raise ServicesError("Docker went away in the middle of a build")
        self.litter -= 1
        if "unbuildable" in text:
            raise RequirementsRefused("pip check: conflict")
        return super().build(text)

    def wait_healthy(self, services: Sequence[str]) -> str:
        if "sick" in (self.text or ""):
            raise NotHealthy("airflow-scheduler ended: ImportError: broken")
        return super().wait_healthy(services)

    @property
    def built(self) -> str | None:
        return self._built

    def die(self, service: str) -> None:
        super().die(service)
        self._machine.feed.leave()

    def revive(self, service: str) -> None:
        before = self.lives[service]
        super().revive(service)
        if self.lives[service] > before:
            self._machine.clock.after(6.0, lambda: self.shaky.discard(service))
            self._machine.feed.come()
            self._machine.look_at_live()


class SimExaminer(FakeExaminer):
    """An isolated parser that finds what the texts say."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.clock)
        self._machine = machine

    def begin(self, tree: Tree, paths: Sequence[str]) -> FakeExamination:
        self._read(tree, self._machine.services.text)
        return super().begin(tree, paths)

    def examine(
        self, tree: Tree, paths: Sequence[str], *, on_built: bool = False
    ) -> tuple[Examined, ...]:
        services = self._machine.services
        self._read(tree, services.built if on_built else services.text)
        return super().examine(tree, paths, on_built=on_built)

    def pass_until(self, moment: float) -> None:
        clock = self._machine.clock
        clock.elapsed_s = clock.next_at(moment)

    def _read(self, tree: Tree, packages: str | None) -> None:
        contents = {p: self._machine.repository.text_of(f.blob) for p, f in tree.files.items()}
        self.slow = {}
        for path, content in contents.items():
            kind = texts.kind_of(content)
            if kind is Kind.CRAWL:
                self.slow[path] = 4.0
            good = texts.parses(path, contents, packages)
            self.finds(
                path,
                dag_ids=texts.dag_ids(path, content) if good else (),
                error=None if good else IMPORT_ERROR,
                harm="never ends" if kind is Kind.HARM else None,
            )


class SimRepository(FakeRepository):
    """The class repository, by GitHub's side too."""

    def __init__(self) -> None:
        super().__init__()
        self._trees: dict[str, Tree] = {}

    def tree(self, sha: str) -> Tree:
        self._require(sha)
        if sha not in self._trees:
            self._trees[sha] = super().tree(sha)
        return self._trees[sha]

    def _file(self, path: str, text: str) -> Any:  # noqa: ANN401 - as the base has it
        blob, file = _file_of(path, text)
        self._contents[blob] = text.encode()
        return file

    def text_of(self, blob: str) -> str:
        return self._contents[blob].decode()

    def files_at(self, sha: str) -> dict[str, str]:
        return self._files[sha]

    def line(self, sha: str) -> set[str]:
        return self._line(sha)

    def back(self, sha: str, steps: int) -> str:
        """Return the commit so many first parents back, as far as there are."""
        for _ in range(steps):
            sha = next(iter(self._parents[sha]), sha)
        return sha

    def all_commits(self) -> tuple[str, ...]:
        return tuple(self._files)

    def knows(self, sha: str) -> bool:
        return sha in self._here

    def changed(self, base: str | None, sha: str) -> tuple[str, ...]:
        return self._differing(base, sha)

    def parent(self, sha: str) -> str | None:
        return next(iter(self._parents[sha]), None)


@cache
def _file_of(path: str, text: str) -> tuple[str, Any]:
    made = FakeRepository()._file(path, text)
    return made.blob, made


IMPORT_ERROR = ParseError("ImportError", "no")


class Hub:
    """GitHub's statuses: what it took, and how it refuses."""

    def __init__(self, clock: Timeline, met: Counter[str]) -> None:
        self.posts: list[Post] = []
        self.met = met
        self.trouble = ""
        self.pushed_at: dict[str, float] = {}
        self._clock = clock

    def take(self, status: Status) -> tuple[int, dict[str, str], str]:
        """Return status code, headers and message of the answer to a post; 0: there is none."""
        trouble = self.trouble
        if trouble:
            self.met[trouble] += 1
        if trouble == "github timeout":
            self._clock.sleep(10.0)
            return 0, {}, "timed out"
        if trouble == "github unknown commit":
            if self._clock.elapsed_s - self.pushed_at.get(status.sha, -99.0) < 4:
                return 422, {}, f"No commit found for SHA: {status.sha}"
        elif trouble and trouble != "github lost answer":
            return ANSWERS[trouble]
        self.posts.append(
            Post(
                self._clock.elapsed_s,
                status.sha,
                status.context,
                str(status.state),
                status.description,
            )
        )
        return (0, {}, "cut") if trouble == "github lost answer" else (201, {}, "created")

    def post(self, status: Status, target_url: str | None) -> Posted:
        """Answer as `deployer.edges.github` would; for most histories, since it is faster."""
        code, headers, said = self.take(status)
        if code == 201:
            return Accepted()
        if code in {403, 429}:
            return RetryLater(said, float(headers.get("retry-after", 60)))
        return RefusedForGood(said) if code == 422 else RetryLater(said)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of the real client."""
        body = json.loads(request.content)
        sha = request.url.path.rsplit("/", 1)[-1]
        code, headers, said = self.take(
            Status(sha, body["context"], body["state"], body["description"])
        )
        if not code:
            raise httpx.ReadTimeout(said)
        return httpx.Response(code, headers=headers, json={"message": said})


ANSWERS: Mapping[str, tuple[int, dict[str, str], str]] = {
    "github 500": (500, {}, "Server Error"),
    "github 403": (403, {}, "Resource not accessible"),
    "github 429": (429, {"retry-after": "30"}, "Too many requests"),
    "github limit": (403, {"retry-after": "600"}, "You have exceeded a secondary rate limit"),
    "github 401": (401, {}, "Bad credentials"),
}


@dataclass
class Announced:
    """A commit that a delivery named, when for the first time, and the tips before it."""

    sha: str
    at: float
    befores: list[str | None] = field(default_factory=list)


class Machine:
    """A class, its worker and the time; `play` a history, then `settle`.

    Attributes:
        life: how often the worker was started.
        boundaries: of effects, so far.
        said: what happened, for whoever reads a failure.
    """

    def __init__(self, *, sql: bool = False, real_board: bool = False) -> None:
        self.clock = Timeline()
        self.closing = ExitStack()
        self.life = 0
        self.boundaries = 0
        self.said: list[str] = []
        self.faults: list[str] = []
        self.announced: dict[str, Announced] = {}
        self.tips: list[str] = []
        self.published: list[tuple[float, str]] = []
        self.frozen_s = (0.0, 0.0)  # from and to, the last time, whatever the clock said
        self.thawed: list[str] = []  # what went live in a freeze
        self.met = Counter[str]()  # faults, and how often each happened
        self.repo = REPO
        self.begun: dict[str, float] = {}  # when commits were first deployed
        self.beside: dict[str, frozenset[str]] = {}  # and what others were with them
        self.mended: list[str] = []  # what the worker itself found not to hold
        self.repository = SimRepository()
        self.releases = SimReleases(self)
        self.services = SimServices(self)
        self.feed = SimFeed(self)
        self.airflow = FakeAirflow()
        self.examiner = SimExaminer(self)
        self.hub = Hub(self.clock, self.met)
        self.journal: FakeJournal | SqlJournal = (
            self._sql_journal() if sql else FakeJournal(now=self.clock.now)
        )
        self._board = self._real_board() if real_board else self.hub
        self._settings = Settings(
            github_repo="class/airflow", recreate_services=SERVICES, keep_releases=3
        )
        self._reconciler: Reconciler | None = None
        self._outbox: Outbox | None = None
        self._lock = Lock()
        self._turn_at = 0.0
        self._turn_rung = False
        self._posting = self._listening = self._post_due = False
        self._crash_in: int | None = None
        self._away_s = 1.0
        self._boot_at = 0.0
        self._broken: dict[str, int] = {}  # parts, by how many faults of it there are
        self._fail: set[str] = set()
        self._guids = count(1)
        self._delivered: list[tuple[str, Push]] = []
        self.repository.push(
            {ROSTER: f"teachers: [{TEACHER}]\n", REQUIREMENTS: texts.requirements("fine", 1)},
            author=TEACHER,
        )
        self.services.text = texts.requirements("fine", 1)
        self.services._healthy = self.services.text
        self.tips.append(self.repository.tip or "")

    def close(self) -> None:
        self.closing.close()

    def _sql_journal(self) -> SqlJournal:
        folder = Path(self.closing.enter_context(tempfile.TemporaryDirectory(dir=_memory())))
        shutil.copy(_empty_journal(), folder / "journal.sqlite3")
        url = f"sqlite:///{folder}/journal.sqlite3"
        journal = SqlJournal.open(url, migrate=False, now=self.clock.now)
        self.closing.callback(journal.close)
        return journal

    def _real_board(self) -> GitHub:
        client = httpx.Client(transport=httpx.MockTransport(self.hub.answer))
        self.closing.callback(client.close)
        return GitHub(
            "https://api.github.test",
            "class/dags",
            lambda: Secret("a-token-of-a-test"),
            client=client,
        )

    # -- what the worker's calls go through

    def enter(self, port: str, method: str, life: int, *, effect: bool) -> None:
        if life != self.life or self._reconciler is None:
            raise Killed
        if effect:
            self._boundary(life)
        if f"{port}.{method}" in self._fail:
            self._fail.discard(f"{port}.{method}")
            # Services may be ill for a moment, for what no packages did.
            error = NotHealthy if method == "wait_healthy" else ERRORS[port]
            raise error(f"{port}.{method} failed")
        spared = port == "journal" and not effect  # what is on disk can be read
        if self.is_broken(port) and not spared and method != "own_stack":
            raise ERRORS[port](f"{port} is broken")

    def is_broken(self, port: str) -> bool:
        return bool(self._broken.get(port))

    def met_failure(self, port: str, method: str) -> None:
        """Count a fault that the worker met, not one that passed while it had nothing to do."""
        call = f"{port}.{method}"
        if self._broken.get(PARTS[port]):
            self.met[PARTS[port]] += 1
        elif call in happenings.CALLS:
            self.met[f"{call} fails"] += 1

    def leave(self, life: int) -> None:
        self._boundary(life)

    def _boundary(self, life: int) -> None:
        self.boundaries += 1
        if self._crash_in is not None:
            self._crash_in -= 1
            if self._crash_in <= 0:
                self._kill()
        self.clock.sleep(EFFECT_S / 2)
        if life != self.life or self._reconciler is None:
            raise Killed

    def _kill(self) -> None:
        self.met["a crash"] += 1
        self._crash_in = None
        self._reconciler = self._outbox = None
        self._boot_at = self.clock.elapsed_s + self._away_s
        self.feed.restart()
        for examination in list(self.examiner.under_way):
            examination.end()
        raise Killed

    # -- the worker's threads

    def _boot(self) -> None:
        self.life += 1
        self._lock = Lock()
        self._posting = self._listening = False
        self.feed.restart()
        ports = {
            name: Port(self, name, inner)
            for name, inner in (
                ("repository", self.repository),
                ("releases", self.releases),
                ("airflow", self.airflow),
                ("feed", self.feed),
                ("services", self.services),
                ("examiner", self.examiner),
                ("journal", self.journal),
            )
        }
        parts = Parts(**ports, clock=self.clock, owed=self._owed, settings=self._settings)
        # Made before the first pass, as `app` does it.
        reconciler = Reconciler(parts)
        reconciler._intake.lock = self._lock  # type: ignore[assignment]  # one that can be looked at
        self._reconciler = reconciler
        try:
            self._outbox = Outbox(
                parts.journal,
                Port(self, "board", self._board),
                self.clock,
                public_url=None,
            )
            self._owed()
            self._tried(reconciler.maintenance.prepare)
        except Killed:
            raise
        except DeployerError:  # the process ends, and systemd starts it again
            self._reconciler = None
            self._boot_at = self.clock.elapsed_s + 5.0
            return
        self._turn_rung = True

    def run_until(self, moment: float) -> None:
        clock = self.clock
        while clock.elapsed_s < moment:
            try:
                if self._reconciler is None and clock.elapsed_s >= self._boot_at:
                    self._boot()
                due = clock.elapsed_s if self._turn_rung else self._turn_at
                if self._reconciler is None:
                    due = self._boot_at
                if due > clock.elapsed_s:
                    clock.elapsed_s = clock.next_at(min(due, moment))
                elif self._reconciler is not None:
                    self._turn_rung = False
                    again_s = self._tried(self._reconciler.reconcile, 5.0)
                    self._turn_at = clock.elapsed_s + (POLL_S if again_s is None else again_s)
                    if again_s == 0.0:
                        clock.sleep(EFFECT_S)
            except Killed:
                self._reconciler = self._outbox = None

    def _tried(self, work: Callable[[], Any], if_failed: object = None) -> Any:  # noqa: ANN401
        try:
            return work()
        except DeployerError as exc:
            self.tell(f"failed: {exc}")
        except Exception as exc:  # noqa: BLE001 - the worker does so
            self.tell(f"fault: {exc!r}")
            self.faults.append(repr(exc))
        return if_failed

    def ring(self) -> None:
        self.clock.after(0.002, self._listen)

    def _listen(self) -> None:
        reconciler = self._reconciler
        if reconciler is None:
            return
        if self._lock.depth or self._listening:
            self.clock.after(0.004, self._listen)
            return
        self._listening = True
        try:
            if self._tried(reconciler.take_in):
                self._turn_rung = True
        finally:
            self._listening = False

    def _owed(self) -> None:
        if not self._post_due:
            self._post_due = True
            self.clock.after(0.003, self._post)

    def _post(self) -> None:
        self._post_due = False
        outbox = self._outbox
        if outbox is None:
            return
        if self._posting:
            return
        self._posting = True
        try:
            wait_s = self._tried(outbox.post_next, 5.0)
        finally:
            self._posting = False
        if self.journal.pulse().owed and not self._post_due:
            self._post_due = True
            self.clock.after(wait_s or 0.005, self._post)

    # -- the world

    def tell(self, words: str) -> None:
        self.said.append(f"{self.clock.elapsed_s:9.2f} {words}")

    def went_live(self, sha: str, before: str | None) -> None:
        self.published.append((self.clock.elapsed_s, sha))
        freeze = self.journal.frozen(self.clock.now())
        began_s, ends_s = self.frozen_s
        begun = self.begun.get(sha)
        pushed_s = self.hub.pushed_at.get(sha, 0.0)
        pushed_in_it = pushed_s > began_s and not (begun and begun < pushed_s)
        # One that had ended holds again where the clock is set back, also for what goes on.
        # What a rollback names goes live in its own freeze, whoever pushes it again meanwhile.
        if freeze and freeze.sha != sha and pushed_in_it and self.clock.elapsed_s < ends_s:
            self.thawed.append(f"{sha[:7]} was pushed in a freeze, and went live")
        tip = self.repository.tip
        frozen = freeze and not freeze.sha and began_s < self.clock.elapsed_s < ends_s
        if frozen and tip and before and before != sha:
            contains = self.repository.contains
            if contains(before, sha) and contains(tip, before):
                self.thawed.append(f"{sha[:7]} took {before[:7]} off in a freeze")

    def look_at_live(self) -> None:
        """Let the dag-processor die of what is live now, if it does."""
        live = self.releases.live()
        contents = self.releases.contents_of(live.name if live else None) or {}
        if texts.kills(contents):
            self.clock.after(0.004, partial(self._poisoned, live.name if live else ""))

    def _poisoned(self, release: str) -> None:
        live = self.releases.live()
        if live and live.name == release:
            self.met["the dag-processor dies of a file"] += 1
            self.services.die(DAG_PROCESSOR)

    def deliver(
        self, sha: str, before: str | None, *, forced: bool, bell: bool = True, guid: str = ""
    ) -> None:
        origin = Origin(7, self.repo, REPO)
        push = Push("refs/heads/main", before, sha, forced, "somebody", origin)
        self._take(push, guid or f"guid-{next(self._guids)}", bell=bell)

    def _take(self, push: Push, guid: str, *, bell: bool = True) -> None:
        """Let the web process take a delivery, as `deployer.web.webhook` does."""
        if self._broken.get("journal"):
            self.met["a delivery that could not be written"] += 1
            return  # 503; GitHub does not try again
        self._delivered.append((guid, push))
        content: Push | Ignored = push
        if push.origin.renamed:
            self.met["a delivery under a new name"] += 1
            if not was_renamed(push.origin, self.journal.pulse().pushed):
                content = Ignored("another repository")
        result, reason, payload = _entry(content)
        new = self.journal.record_delivery(
            guid=guid, event="push", result=result, reason=reason, payload=payload
        )
        if not new:
            self.met["a delivery that was known"] += 1
        elif result == "ignored":
            self.met["a delivery under a name that nobody knew"] += 1
        else:
            sha, before = push.after, push.before
            named = self.announced.setdefault(sha, Announced(sha, self.clock.elapsed_s))
            named.befores.append(before)
            self.tell(f"delivered {sha[:7]}")
            if bell:
                self.ring()
            else:
                self.clock.after(5.0, self._listen)

    def happen(self, event: happenings.Event) -> None:  # noqa: C901, PLR0912 - a table
        self.tell(str(event))
        match event:
            case happenings.Push():
                self._push(event)
            case happenings.Reset(back, delays):
                self._moved(self._tip_back(back), delays, forced=True)
            case happenings.Revert(back, delays):
                if self.repository.tip:
                    now = self.repository.files_at(self.repository.tip)
                    then = self.repository.files_at(self._tip_back(back))
                    changes = {p: then.get(p) for p in now.keys() | then.keys()}
                    self._commit(changes, delays, None)
            case happenings.DeleteBranch(for_s, back):
                self._delete_branch(for_s, back)
            case happenings.Redeliver(back, same):
                if back < len(self._delivered):
                    guid, push = self._delivered[-1 - back]
                    self.met["a redelivery"] += 1
                    self._take(push, guid if same else f"guid-{next(self._guids)}")
            case happenings.Rename():
                self.repo += "-anew"
            case (
                happenings.Freeze()
                | happenings.Unfreeze()
                | happenings.RollBack()
                | happenings.DeployByHand()
            ):
                if not self._broken.get("journal"):
                    self.met[type(event).__name__] += 1
                    self._steer(event)
                    self.ring()
            case happenings.Fault(part, for_s):
                self.fault(part, +1)
                self.clock.after(for_s, partial(self.fault, part, -1))
            case happenings.FailOnce(call):
                self._fail.add(call)
            case happenings.Crash(boundary, away_s):
                self._crash_in, self._away_s = boundary, away_s
            case happenings.Jump(seconds):
                self.met[f"the clock jumps {seconds:+.0f} s"] += 1
                self.clock.jump(seconds)
            case happenings.Edited(path):
                live = self.releases.live()
                if live and path in self.releases.whole[live.name]:
                    self.met["a file is changed by hand"] += 1
                    self.releases.edited = Edits(f"{path} was changed", frozenset({path}))
            case happenings.Task(looks):
                self.airflow.tasks.append(Task("a_dag", "a_task", looks=looks, running=True))
            case happenings.Spoil(way):
                self.spoil(way)
            case happenings.DagProcessorDies():
                self.met["the dag-processor dies by chance"] += 1
                self.services.die(DAG_PROCESSOR)
                self.clock.after(2.0, partial(self.services.revive, DAG_PROCESSOR))

    def fault(self, part: str, more: int) -> None:
        """Begin a fault of a part, or end one."""
        self._broken[part] = max(self._broken.get(part, 0) + more, 0)
        broken = bool(self._broken[part])
        if broken and part.startswith("feed"):
            self.met[part] += 1
        if part.startswith("github"):
            self.hub.trouble = part if broken else ""
        match part:
            case "git":
                self.repository.down = "could not resolve host" if broken else None
            case "docker":
                self._broken["services"] = int(broken)
            case "airflow":
                self.airflow.reachable = not broken
            case "parser":
                self.examiner.down = "the parser does not start" if broken else None
            case "feed cut":
                self.feed.leave(ended=False) if broken else self.feed.come(anew=False)
            case "feed silent":
                self.feed.silent = broken
            case "disk":
                self.releases.full = broken
            case _:
                pass

    def spoil(self, way: str) -> None:
        """Write into the journal what the worker never would."""
        journal, now, tip = self.journal, self.clock.now(), self.tips[-1]
        newest = journal.deployments(limit=1)[0]
        match way:
            case "a commit is pending again" | "what is live is pending again":
                sha = tip if "live" in way else self.tips[-2]
                said = Status(sha, "airflow/dora", StatusState.PENDING, "words")
                journal.owe([said], deployment=newest.id, at=now)
            case "a push is taken for answered":
                for announced in journal.unseen():
                    journal.attach(announced.id, newest.id)
            case "what is live was never judged":
                journal.set_live(Live(tip))
            case _:
                raise ValueError(way)

    def heal(self) -> None:
        """Mend all that is out of order, as a teacher does in the end."""
        for part in [part for part, number in self._broken.items() if number]:
            self.fault(part, -self._broken[part])
        self._broken.clear()
        self._fail.clear()
        self._crash_in = None
        self.airflow.tasks.clear()
        self.journal.unfreeze(by="teacher")
        self.ring()
        if self.services.ended:
            self.services.revive(DAG_PROCESSOR)
        elif not self.feed.present():
            self.feed.come(anew=False)

    # -- git

    def _tip_back(self, steps: int) -> str:
        return self.repository.back(self.repository.tip or self.tips[-1], steps)

    def _push(self, push: happenings.Push) -> None:
        repository = self.repository
        if repository.tip is None:
            return
        base = self._tip_back(push.onto)
        changes: dict[str, str | None] = {}
        for path, kind, version in push.changes:
            if not version:
                changes[path] = None
            elif path == texts.HELPER:
                changes[path] = texts.helper(kind, version)
            else:
                helped = texts.HELPER in repository.files_at(base) and version % 2 == 0
                changes[path] = texts.text(kind, version, helped=helped)
        if push.packages:
            changes[REQUIREMENTS] = texts.requirements(*push.packages)
        merges = None
        if push.merges:
            tip = repository.tip
            onto = self._tip_back(push.merges)
            merges = repository.push(self._real(changes, onto), onto=onto, author=TEACHER)
            repository.tip = tip
        self._commit(
            changes, push.delays, base if push.onto else None, merges=merges, bell=push.bell
        )

    def _real(self, changes: Mapping[str, str | None], base: str) -> dict[str, str | None]:
        there = self.repository.files_at(base)
        return {p: t for p, t in changes.items() if t is not None or p in there}

    def _commit(
        self,
        changes: Mapping[str, str | None],
        delays: Sequence[float],
        onto: str | None,
        *,
        merges: str | None = None,
        bell: bool = True,
    ) -> None:
        before = self.repository.tip
        real = self._real(changes, onto or before or "")
        sha = self.repository.push(real, onto=onto, merges=merges, author=TEACHER)
        self.repository.tip = before
        self._moved(sha, delays, forced=onto is not None, bell=bell)

    def _moved(self, sha: str, delays: Sequence[float], *, forced: bool, bell: bool = True) -> None:
        before = self.repository.tip
        if before is None or sha == before:
            return
        self.met["a forced push"] += forced
        self.met["a delivery that gets lost"] += not delays
        self.met["a push that two hooks deliver"] += len(delays) > 1
        self.met["a delivery that comes late"] += max(delays, default=0.0) > 1
        self.repository.tip = sha
        self.tips.append(sha)
        self.hub.pushed_at.setdefault(sha, self.clock.elapsed_s)
        self.tell(f"tip is {sha[:7]}, was {before[:7]}")
        for delay in delays:
            self.clock.after(delay, partial(self.deliver, sha, before, forced=forced, bell=bell))

    def _delete_branch(self, for_s: float, back: int) -> None:
        tip = self.repository.tip
        if tip is None:
            return
        again = self._tip_back(back)
        self.met["a branch that is deleted"] += 1
        self.repository.tip = None

        def make() -> None:
            self.repository.tip = again
            self.tips.append(again)
            self.deliver(again, None, forced=False)

        self.clock.after(for_s, make)

    def _steer(self, event: happenings.Event) -> None:
        journal, now = self.journal, self.clock.now()
        match event:
            case happenings.Freeze(for_s):
                until = None if for_s is None else now + timedelta(seconds=for_s)
                journal.freeze("exam", by="teacher", until=until)
                began_s = self.clock.elapsed_s
                self.frozen_s = (began_s, began_s + (math.inf if for_s is None else for_s))
            case happenings.Unfreeze():
                journal.unfreeze(by="teacher")
            case happenings.RollBack(back):
                sha = self._tip_back(back)
                if self.repository.knows(sha):  # the command looks first
                    journal.roll_back(sha, "exam", by="teacher")
                    self.frozen_s = (self.clock.elapsed_s, math.inf)
            case happenings.DeployByHand(back):
                sha_or_tip = None if back is None else self._tip_back(back)
                journal.request_deploy(sha_or_tip, Trigger.MANUAL)
            case _:
                pass


@cache
def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108


@cache
def _empty_journal() -> Path:
    folder = Path(tempfile.mkdtemp(dir=_memory()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    SqlJournal.open(f"sqlite:///{folder}/journal.sqlite3", migrate=True).close()
    return folder / "journal.sqlite3"
