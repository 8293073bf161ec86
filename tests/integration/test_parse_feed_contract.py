"""What every `ports.ParseFeed` does: the shared fake, and the real one with Airflow behind it."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pytest

from deployer.core.model import (
    DAG_PROCESSOR,
    Listed,
    ParseEnd,
    ParseResult,
    ProcessorCame,
    ProcessorLeft,
)
from deployer.demo.stage import free_port
from deployer.edges.airflow.parse_feed import PLACE, ParseFeedListener
from deployer.edges.embedded import airflow_settings
from deployer.edges.embedded.airflow import LocalAirflow
from tests.fakes.clock import FakeClock
from tests.fakes.feed import Broken, Contents, Ends, FakeFeed
from tests.integration.airflow_world import (
    PATIENCE_S,
    HandMadeReleases,
    Hearing,
    broken_text,
    dag_text,
)
from tests.integration.waiting import eventually

EXITS = {3: "os._exit(3)", 126: "exit()"}
"""What ends a parser with that status."""
PARSERS_END_S = 25
"""When Airflow ends one that says nothing; what tells by itself comes long before."""


class Rig(Protocol):
    """A feed, and what its dag-processor reads."""

    @property
    def hearing(self) -> Hearing: ...

    def publish(self, changes: Mapping[str, Contents | None]) -> str:
        """Make a release live of the one before and `changes` (None: deleted); ask for nothing."""

    def now(self) -> float:
        """Return seconds on the clock by which the feed waits."""

    def told_but_not_taken(self, path: str) -> None:
        """Return when a result of `path` has been told, and no `wait` has taken it."""


@dataclass
class FakeRig:
    clock: FakeClock = field(default_factory=FakeClock)
    files: dict[str, Contents] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.feed = FakeFeed(self.clock)
        self.hearing = Hearing(self.feed)

    def publish(self, changes: Mapping[str, Contents | None]) -> str:
        release = uuid.uuid4().hex
        whole = {**self.files, **changes}
        self.files = {path: holds for path, holds in whole.items() if holds is not None}
        self.feed.serve(release, self.files)
        return release

    def now(self) -> float:
        return self.clock.monotonic()

    def told_but_not_taken(self, path: str) -> None:
        assert any(isinstance(told, ParseResult) for _, told in self.feed._due)


class RealRig:
    """One Airflow's dag-processor, and no other part of it."""

    def __init__(self, folder: Path) -> None:
        self.releases = HandMadeReleases(folder / "srv")
        self.local = LocalAirflow(folder / "state", root=self.releases.root, port=free_port())
        self.listen()

    def listen(self) -> None:
        """Be a worker that has just been started."""
        self.feed = ParseFeedListener(self.releases.root / PLACE)
        self.hearing = Hearing(self.feed)

    def start(self) -> None:
        self.local._base.ensure(print)
        self.local._environments.ensure_current()
        self.local._ensure_database()
        self.local.revive(DAG_PROCESSOR)

    @property
    def pid(self) -> int:
        return self.local.pids()[DAG_PROCESSOR]

    def connected(self) -> ProcessorCame:
        """Wait until the one dag-processor is."""
        eventually(self.feed.present, PATIENCE_S)
        (came,) = self.feed.present().values()
        return came

    def publish(self, changes: Mapping[str, Contents | None]) -> str:
        return self.write({path: _text(holds) for path, holds in changes.items()})

    def write(self, changes: Mapping[str, str | None]) -> str:
        """Publish texts."""
        return self.releases.publish(changes)

    def now(self) -> float:
        return time.monotonic()

    def told_but_not_taken(self, path: str) -> None:
        def told() -> bool:
            with self.feed._news:
                return path in [t.path for t in self.feed._told if isinstance(t, ParseResult)]

        eventually(told, PATIENCE_S)


def _text(holds: Contents | None) -> str | None:
    match holds:
        case None:
            return None
        case Broken(_, line):
            return broken_text(line or 1)
        case Ends(_, code):
            return f"import os  # a DAG of airflow\n{EXITS[code]}\n"
        case _:
            return "# no DAG of airflow yet\n" + "".join(map(dag_text, holds))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealRig]:
    """A running dag-processor; what it notices within a test, the feed told it."""
    made = RealRig(tmp_path_factory.mktemp("airflow"))
    unasked = {**airflow_settings.SETTINGS, "DAG_PROCESSOR__REFRESH_INTERVAL": "3600"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(airflow_settings, "SETTINGS", unasked)
        try:
            made.start()
            made.connected()
            yield made
        finally:
            made.local.stop()
            made.feed.close()


@pytest.fixture
def real(running: RealRig) -> Iterator[RealRig]:
    """It has nothing to do when a test begins."""
    yield running
    running.feed.rest()


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.airflow)])
def rig(request: pytest.FixtureRequest) -> Rig:
    found: Rig = FakeRig() if request.param == "fake" else request.getfixturevalue("real")
    return found


@pytest.fixture
def name() -> str:
    """A name of f's that nobody else has; the real dag-processor is shared by all tests."""
    return f"f_{uuid.uuid4().hex[:8]}"


# -- who is there


def test_one_life_is_present(rig: Rig) -> None:
    ((life, came),) = rig.hearing.feed.present().items()
    assert life
    assert came == ProcessorCame(life, came.airflow)
    assert came.airflow.startswith("3.3.")


# -- what comes of an ask


def test_a_release_that_is_asked_for_is_listed_and_then_each_file_told(rig: Rig, name: str) -> None:
    first, later = f"dags/f/{name}/first.py", f"dags/f/{name}/later.py"
    release = rig.publish({first: (f"{name}_a", f"{name}_b"), later: (f"{name}_c",)})
    rig.hearing.ask(release, first=[first], later=[later])
    one, two = rig.hearing.result(release, first), rig.hearing.result(release, later)
    assert (one.end, one.dag_ids, one.errors) == (ParseEnd.PARSED, (f"{name}_a", f"{name}_b"), {})
    assert (two.end, two.dag_ids, two.errors) == (ParseEnd.PARSED, (f"{name}_c",), {})
    assert {first, later} <= rig.hearing.listing(release)
    mine = [told for told in rig.hearing.told if getattr(told, "release", "") == release]
    assert isinstance(mine[0], Listed)


def test_a_broken_files_trace_names_the_release_and_the_line(rig: Rig, name: str) -> None:
    path = f"dags/f/{name}/broken.py"
    release = rig.publish({path: Broken(line=3)})
    rig.hearing.ask(release, first=[path])
    told = rig.hearing.result(release, path)
    assert (told.end, told.dag_ids) == (ParseEnd.PARSED, ())
    assert list(told.errors) == [path]
    assert f"/releases/{release}/{path}" in told.errors[path]
    assert "line 3" in told.errors[path]
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in told.errors[path]


def test_a_mended_file_has_no_error(rig: Rig, name: str) -> None:
    path = f"dags/f/{name}/mended.py"
    for holds in (Broken(), (name,)):
        release = rig.publish({path: holds})
        rig.hearing.ask(release, first=[path])
        told = rig.hearing.result(release, path)
    assert (told.end, told.dag_ids, told.errors) == (ParseEnd.PARSED, (name,), {})


@pytest.mark.parametrize("code", EXITS)
def test_a_file_that_ends_its_parser_is_told_at_once_and_others_go_on(
    rig: Rig, name: str, code: int
) -> None:
    dies, lives = f"dags/f/{name}/dies.py", f"dags/f/{name}/lives.py"
    release = rig.publish({dies: Ends(ParseEnd.DIED, code), lives: (name,)})
    began = rig.now()
    rig.hearing.ask(release, first=[dies, lives])
    told = rig.hearing.result(release, dies)
    assert rig.now() - began < PARSERS_END_S / 2
    assert (told.end, told.code) == (ParseEnd.DIED, code)
    assert (told.dag_ids, told.errors) == ((), {})
    assert rig.hearing.result(release, lives).dag_ids == (name,)


def test_a_file_without_a_dag_gives_an_empty_result(rig: Rig, name: str) -> None:
    path = f"dags/f/{name}/helper.py"
    release = rig.publish({path: ()})
    rig.hearing.ask(release, first=[path])
    told = rig.hearing.result(release, path)
    assert (told.end, told.dag_ids, told.errors) == (ParseEnd.PARSED, (), {})


def test_a_deleted_file_is_not_in_the_listing_and_has_no_result(rig: Rig, name: str) -> None:
    goes, stays = f"dags/f/{name}/goes.py", f"dags/f/{name}/stays.py"
    rig.publish({goes: (f"{name}_goes",)})
    release = rig.publish({goes: None, stays: (f"{name}_stays",)})
    rig.hearing.ask(release, first=[goes, stays])
    rig.hearing.result(release, stays)
    assert goes not in rig.hearing.listing(release)
    assert stays in rig.hearing.listing(release)
    assert rig.hearing.results(goes) == []


def test_what_is_asked_again_is_told_again_without_another_parse(rig: Rig, name: str) -> None:
    path = f"dags/f/{name}/again.py"
    release = rig.publish({path: (name,)})
    rig.hearing.ask(release, first=[path])
    told = rig.hearing.result(release, path)
    rig.hearing.ask(release, first=[path])
    listing = rig.hearing.listing(release)
    assert path in listing
    assert rig.hearing.result(release, path) == told  # its seconds, too


def test_a_file_is_told_of_that_was_not_asked_for_before(rig: Rig, name: str) -> None:
    one, other = f"dags/f/{name}/one.py", f"dags/f/{name}/other.py"
    release = rig.publish({one: (f"{name}_one",), other: (f"{name}_other",)})
    rig.hearing.ask(release, first=[one])
    rig.hearing.result(release, one)
    rig.hearing.ask(release, first=[], later=[other])
    assert rig.hearing.result(release, other).dag_ids == (f"{name}_other",)


# -- waiting


def test_a_nudge_from_another_thread_ends_the_wait(rig: Rig) -> None:
    feed = rig.hearing.feed
    feed.rest()
    began = rig.now()
    other = threading.Thread(target=feed.nudge)
    other.start()
    other.join()
    assert feed.wait(600) == ()
    assert rig.now() - began < 300


def test_when_nobody_says_anything_the_time_passes(rig: Rig) -> None:
    rig.hearing.feed.rest()
    began = rig.now()
    assert rig.hearing.feed.wait(0.3) == ()
    assert rig.now() - began >= 0.3


def test_after_the_rest_nothing_is_told(rig: Rig, name: str) -> None:
    path = f"dags/f/{name}/rests.py"
    release = rig.publish({path: (name,)})
    rig.hearing.feed.ask(release, first=[path])
    rig.told_but_not_taken(path)
    rig.hearing.feed.rest()
    assert rig.hearing.feed.wait(0.3) == ()


def test_what_was_told_before_an_ask_is_dropped(rig: Rig, name: str) -> None:
    one, other = f"dags/f/{name}/one.py", f"dags/f/{name}/other.py"
    release = rig.publish({one: (f"{name}_one",), other: (f"{name}_other",)})
    rig.hearing.ask(release, first=[one, other])
    rig.hearing.result(release, one)
    rig.hearing.result(release, other)
    rig.hearing.feed.ask(release, first=[one])
    rig.told_but_not_taken(one)
    rig.hearing.ask(release, first=[other])
    rig.hearing.result(release, other)
    assert rig.hearing.results(one) == []


# -- the real one alone


@pytest.mark.airflow
def test_a_file_without_the_words_is_not_in_the_listing(real: RealRig, name: str) -> None:
    helper, path = f"dags/f/{name}/helper.py", f"dags/f/{name}/x.py"
    release = real.write({helper: "x = 1\n", path: dag_text(name)})
    real.hearing.ask(release, first=[helper, path])
    assert real.hearing.result(release, path).dag_ids == (name,)
    assert helper not in real.hearing.listing(release)


@pytest.mark.airflow
def test_a_slow_file_keeps_nobody_waiting_and_names_the_release_that_it_read(
    real: RealRig, name: str, tmp_path: Path
) -> None:
    """Asked for again, it is parsed again from what is live by then."""
    slow, quick = f"dags/f/{name}/slow.py", f"dags/f/{name}/quick.py"
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    waits = (
        "import time\nfrom pathlib import Path\n"
        f"Path({str(begun)!r}).touch()\n"
        f"while not Path({str(gate)!r}).exists():\n    time.sleep(0.02)\n"
    )
    old = real.write({slow: waits + dag_text(f"{name}_slow")})
    real.hearing.ask(old, first=[slow])
    eventually(begun.exists, PATIENCE_S)
    new = real.write({quick: dag_text(f"{name}_quick")})
    real.hearing.ask(new, first=[quick], later=[slow])
    assert real.hearing.result(new, quick).dag_ids == (f"{name}_quick",)
    assert real.hearing.results(slow) == []
    gate.touch()
    assert real.hearing.result(old, slow).dag_ids == (f"{name}_slow",)
    assert real.hearing.result(new, slow).dag_ids == (f"{name}_slow",)


@pytest.mark.airflow
def test_one_that_stands_still_for_a_while_answers_when_it_goes_on(
    real: RealRig, name: str
) -> None:
    path = f"dags/f/{name}/x.py"
    came = real.connected()
    os.kill(real.pid, signal.SIGSTOP)
    try:
        release = real.publish({path: (name,)})
        real.hearing.ask(release, first=[path])
        assert real.feed.wait(1) == ()
        assert real.feed.present() == {came.life: came}
    finally:
        os.kill(real.pid, signal.SIGCONT)
    assert real.hearing.result(release, path).dag_ids == (name,)


@pytest.mark.airflow
def test_one_that_was_killed_has_ended_and_the_next_one_answers(real: RealRig, name: str) -> None:
    path = f"dags/f/{name}/x.py"
    came = real.connected()
    os.kill(real.pid, signal.SIGKILL)
    release = real.publish({path: (name,)})
    real.hearing.ask(release, first=[path])
    left = ProcessorLeft(came.life, ended=True)
    real.hearing.until(lambda: left if left in real.hearing.told else None, "that it has ended")
    assert real.feed.present() == {}
    real.local.revive(DAG_PROCESSOR)
    assert real.hearing.result(release, path).dag_ids == (name,)
    assert path in real.hearing.listing(release)
    assert real.connected().life != came.life


@pytest.mark.airflow
@pytest.mark.parametrize("died", [False, True])
def test_a_worker_that_was_started_anew_is_answered(
    real: RealRig, name: str, *, died: bool
) -> None:
    """Also of a release that came while nobody listened."""
    path = f"dags/f/{name}/x.py"
    came = real.connected()
    real.feed.close()
    if died:
        real.releases.root.joinpath(PLACE).unlink()
    release = real.publish({path: (name,)})
    real.listen()
    assert real.connected() == came
    real.hearing.ask(release, first=[path])
    assert real.hearing.result(release, path).dag_ids == (name,)
