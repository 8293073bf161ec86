"""Processes that outlive the one who started them, with real ones."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deployer.edges.embedded.processes import Processes
from deployer.errors import ServicesError

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(600)"
)
# A child in a group of its own, as a task has, that ignores SIGTERM.
PARENT = """\
import os, signal, sys, time
if os.fork() == 0:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("child", os.getpid(), flush=True)
    time.sleep(600)
time.sleep(600)
"""


class Rig:
    def __init__(self, base: Path) -> None:
        self.base = base
        self.processes = Processes(base / "run", base / "logs")

    def start(self, name: str, code: str) -> int:
        argv = (sys.executable, "-c", code)
        return self.processes.start(name, argv, env=dict(os.environ), cwd=self.base).pid

    def says(self, name: str, word: str) -> str:
        until(lambda: word in self.processes.last_lines(name))
        return self.processes.last_lines(name)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.processes.stop(["one", "two"], within_s=0)


def until(true: Callable[[], bool], within_s: float = 60) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "never came true"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or read
        return False


def test_starting_again_keeps_the_process_that_runs(rig: Rig) -> None:
    assert rig.start("one", SLEEPER) == rig.start("one", SLEEPER)


def test_another_instance_knows_what_runs_and_can_stop_it(rig: Rig) -> None:
    pid = rig.start("one", SLEEPER)
    other = Rig(rig.base)
    assert other.start("one", SLEEPER) == pid
    other.processes.stop(["one"], within_s=5)
    assert not lives(pid)


def test_a_process_that_ended_does_not_run(rig: Rig) -> None:
    rig.start("one", "print('bye')")
    until(lambda: rig.processes.running("one") is None)


def test_a_number_that_another_process_has_by_now_is_left_alone(rig: Rig) -> None:
    pid = rig.start("one", SLEEPER)
    file = rig.base / "run" / "one.json"
    true = file.read_text()
    file.write_text(json.dumps({**json.loads(true), "born": 1}))
    assert rig.processes.running("one") is None
    rig.processes.stop(["one"], within_s=0)
    assert lives(pid)
    file.write_text(true)


def test_one_that_ignores_the_polite_signal_is_killed(rig: Rig) -> None:
    pid = rig.start("one", STUBBORN)
    rig.says("one", "up")
    rig.processes.stop(["one"], within_s=0.2)
    assert not lives(pid)
    assert rig.processes.running("one") is None


def test_children_in_groups_of_their_own_end_with_their_leader(rig: Rig) -> None:
    rig.start("one", PARENT)
    child = int(rig.says("one", "child").split()[1])
    rig.processes.stop(["one"], within_s=5)
    until(lambda: not lives(child))


def test_children_of_a_leader_that_died_are_found(rig: Rig) -> None:
    leader = rig.start("one", PARENT)
    child = int(rig.says("one", "child").split()[1])
    os.kill(leader, 9)
    until(lambda: rig.processes.running("one") is None)
    rig.processes.stop(["one"], within_s=0)
    until(lambda: not lives(child))


def test_stopping_one_leaves_the_other(rig: Rig) -> None:
    rig.start("one", SLEEPER)
    pid = rig.start("two", SLEEPER)
    rig.processes.stop(["one"], within_s=5)
    assert lives(pid)


def test_stopping_what_never_ran_is_no_error(rig: Rig) -> None:
    rig.processes.stop(["one"], within_s=5)
    assert rig.processes.running("one") is None


def test_a_program_that_is_not_there_is_an_error(rig: Rig) -> None:
    with pytest.raises(ServicesError, match="one can't be started"):
        rig.processes.start("one", ("/no/such/program",), env={}, cwd=rig.base)
