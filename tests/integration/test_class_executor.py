"""The scheduler's executor ends, in the Airflow that is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.airflow_world import ran

pytestmark = pytest.mark.airflow

# Workers in place of processes: the last one that lives takes each word to end.
WORKERS = """
import os
import class_executor
from airflow.executors.local_executor import LocalExecutor

class Worker:
    def __init__(self):
        self.sentinel, self.end = os.pipe()
        self.alive = True
    def is_alive(self):
        return self.alive
    def ended(self):
        self.alive = False
        os.close(self.end)
    def join(self):
        assert not self.alive, "it is waited for without an end"
    def close(self):
        pass

class Words:
    def put(self, word):
        alive = [worker for worker in workers if worker.alive]
        if alive:
            alive[-1].ended()
    def close(self):
        pass

class Results:
    def empty(self):
        return True
    def close(self):
        pass

class_executor.mend()
executor = LocalExecutor(parallelism=3)
executor.activity_queue, executor.result_queue = Words(), Results()
workers = [Worker(), Worker(), Worker()]
executor.workers = dict(enumerate(workers))
"""

ENDS = f"""{WORKERS}
executor.end()
print([worker.alive for worker in workers].count(False))
"""

# One whose results fill the pipe ends when they have been read, and not before.
READS = f"""{WORKERS}
class Full(Results):
    left = 3
    def empty(self):
        return not self.left
    def get(self):
        self.left -= 1
        if not self.left:
            workers[0].ended()
        return ("key", "success", None)

class ToOthers(Words):
    def put(self, word):
        if any(worker.alive for worker in workers[1:]):
            super().put(word)

executor.activity_queue, executor.result_queue = ToOthers(), Full()
executor.end()
print([worker.alive for worker in workers].count(False))
"""


# Airflow's own executor is better than no scheduler.
OTHERWISE = """
import start
from airflow.executors.local_executor import LocalExecutor

theirs = LocalExecutor.end
del LocalExecutor._read_results
start._mend("class_executor")
print(int(LocalExecutor.end is theirs))
"""


def test_on_another_airflow_the_scheduler_ends_in_its_own_way(
    airflow_python: Path, tmp_path: Path
) -> None:
    assert ran(airflow_python, OTHERWISE, tmp_path) == 1


# The word comes within the fork, where Python drops what a signal's handler raises.
FORKS = """
import os, signal, sys
import class_executor
from airflow.executors.local_executor import LocalExecutor

words = [signal.SIGTERM]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
os.register_at_fork(before=lambda: words and os.kill(os.getpid(), words.pop()))
class_executor.mend()
executor, heard = LocalExecutor(parallelism=1), 0
try:
    executor.start()
except SystemExit:
    heard = 1
for pid in executor.workers:
    os.kill(pid, signal.SIGKILL)
print(heard)
"""


def test_a_word_to_end_that_comes_as_a_worker_is_forked_is_heard(
    airflow_python: Path, tmp_path: Path
) -> None:
    assert ran(airflow_python, FORKS, tmp_path) == 1


@pytest.mark.parametrize("script", [ENDS, READS], ids=["words", "results"])
def test_an_executor_ends_whoever_takes_the_words_and_whatever_is_left_to_read(
    airflow_python: Path, tmp_path: Path, script: str
) -> None:
    assert ran(airflow_python, script, tmp_path) == 3


# Two of three wait for a worker; one that was taken is none's to hold.
WAITS = """
import ctypes, multiprocessing
import class_executor
from airflow.executors.local_executor import LocalExecutor

class_executor.mend()
executor = LocalExecutor(parallelism=3)
executor._unread_messages = multiprocessing.Value(ctypes.c_uint, 2)
print(executor.slots_available)
"""


def test_no_more_is_handed_out_than_workers_can_take(airflow_python: Path, tmp_path: Path) -> None:
    assert ran(airflow_python, WAITS, tmp_path) == 1


# What a worker runs for its tasks, and what those start.
WORKS = """
import multiprocessing, pathlib
import class_executor
from airflow.executors import local_executor

def tell():
    print(pathlib.Path("/proc/self/oom_score_adj").read_text().strip())

local_executor._run_worker = tell
class_executor.mend()
worker = multiprocessing.get_context("fork").Process(target=local_executor._run_worker)
worker.start()
worker.join()
"""


def test_where_memory_runs_out_tasks_go_before_their_scheduler(
    airflow_python: Path, tmp_path: Path
) -> None:
    assert ran(airflow_python, WORKS, tmp_path) == 500


# A connection to a server, as to the database; a pair of sockets, as a task has to its supervisor.
CONNECTED = """
import json, multiprocessing, os, socket
import class_executor
from airflow.executors import local_executor

server = socket.create_server(("127.0.0.1", 0))
ours = socket.create_connection(server.getsockname())
theirs, _ = server.accept()
one, other = socket.socketpair()
held = [ours.fileno(), theirs.fileno()]

def write():
    for number in (*held, other.fileno()):
        os.write(number, b"[]")

local_executor._run_worker = write
class_executor.mend()
worker = multiprocessing.get_context("fork").Process(target=local_executor._run_worker)
worker.start()
worker.join()
theirs.setblocking(False)
ours.sendall(b"still here")
print(json.dumps([one.recv(9).decode(), theirs.recv(99).decode()]))
"""


def test_a_task_holds_no_connection_of_its_scheduler_to_a_server(
    airflow_python: Path, tmp_path: Path
) -> None:
    assert ran(airflow_python, CONNECTED, tmp_path) == ["[]", "still here"]
