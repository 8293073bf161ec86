"""What the class's dag-processor builds on, in the Airflow that is installed, and without it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from deployer.core.model import DAG_PROCESSOR
from deployer.demo.stage import free_port
from deployer.edges.airflow.parse_feed import PLACE, ParseFeedListener
from deployer.edges.disk import airflow_files
from deployer.edges.embedded.airflow import LocalAirflow
from tests.integration.airflow_world import (
    FIRST_DAG_ID,
    FIRST_FILES,
    PATIENCE_S,
    HandMadeReleases,
    ran,
)
from tests.integration.waiting import eventually

pytestmark = pytest.mark.airflow

# Takes one thing after the other away from Airflow's manager, and asks each time what is missing.
MISSING = """
import json
import class_seams as ours
from airflow.dag_processing.manager import DagFileProcessorManager as Manager

said = {"whole": ours.missing(), "without": {}, "takes nothing": {}, "state": {}}
for name, needed in ours._SEAMS.items():
    method = Manager.__dict__[name]
    delattr(Manager, name)
    said["without"][name] = ours.missing()
    if needed:
        setattr(Manager, name, lambda self, *args, **options: None)
        said["takes nothing"][name] = ours.missing()
    setattr(Manager, name, method)
fields = Manager.__attrs_attrs__
for name in ours._STATE:
    Manager.__attrs_attrs__ = tuple(field for field in fields if field.name != name)
    said["state"][name] = ours.missing()
    Manager.__attrs_attrs__ = fields
made = ours.ClassDagProcessor.__mro__
said["overridden"] = sorted(
    name for one in made[: made.index(Manager)] for name in one.__dict__
    if callable(getattr(Manager, name, None)) and not name.startswith("__")
)
said["seams"] = sorted(ours._SEAMS)
print("\\n" + json.dumps(said))
"""


@pytest.fixture(scope="module")
def said(airflow_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = ran(airflow_python, MISSING, tmp_path_factory.mktemp("home"))
    return found


def test_the_installed_airflow_has_all_that_is_built_on(said: dict[str, Any]) -> None:
    assert said["whole"] == []


@pytest.mark.parametrize("how", ["without", "takes nothing", "state"])
def test_whatever_another_airflow_has_not_is_named(said: dict[str, Any], how: str) -> None:
    assert said[how]
    assert said[how] == {name: [name] for name in said[how]}


def test_whatever_is_overridden_is_looked_for(said: dict[str, Any]) -> None:
    assert set(said["overridden"]) <= set(said["seams"])


# One began while the manager was away for some seconds, and one long before that.
TOO_LONG = """
import json
import time
from pathlib import Path
from types import SimpleNamespace
import class_dag_processor as ours
import class_unending
from airflow.dag_processing.manager import DagFileInfo

TIMEOUT_S = 25
class_unending.kill = lambda process: None
said = {}
for away_s in (0, 60):
    manager = ours.ClassDagProcessor(max_runs=1, processor_timeout=TIMEOUT_S)
    manager._get_team_names = lambda names: {}
    now = time.monotonic()
    manager._heard_at = now - away_s
    for name, began_s in (("meanwhile", away_s), ("before", away_s + TIMEOUT_S + 1)):
        file = DagFileInfo(rel_path=Path(name), bundle_name="class", bundle_path=Path("/"))
        manager._processors[file] = SimpleNamespace(
            start_time=now - began_s, pid=0, had_callbacks=False, kill=lambda signal: None,
            close=lambda: None, stdin=SimpleNamespace(unanswered=False),
        )
    manager._kill_timed_out_processors()
    said[away_s] = {
        str(file.rel_path): process.stdin.unanswered
        for file, process in manager._processors.items()
    }
print("\\n" + json.dumps(said))
"""


def test_while_the_manager_hears_nobody_no_parser_is_over_its_time_and_none_is_answered(
    airflow_python: Path, tmp_path: Path
) -> None:
    unanswered = ran(airflow_python, TOO_LONG, tmp_path)
    assert unanswered == {"0": {"meanwhile": False}, "60": {"meanwhile": True}}


# Of two bundles neither deletion can be stored the first time.
TWO_BUNDLES = """
import json
from pathlib import Path
import class_dag_processor as ours
from airflow.dag_processing.manager import DagFileInfo, DagFileProcessorManager

stored, broken = [], {"class", "examples"}

def store(self, bundle_name, present):
    if bundle_name in broken:
        raise OSError("not now")
    stored.append([bundle_name, sorted(str(file.rel_path) for file in present)])

DagFileProcessorManager.deactivate_deleted_dags = store
DagFileProcessorManager.clear_orphaned_import_errors = lambda self, bundle_name, seen: None
DagFileProcessorManager.claim_priority_files = lambda self: []
manager = ours.ClassDagProcessor(max_runs=-1)
for bundle in sorted(broken):
    file = DagFileInfo(rel_path=Path(f"{bundle}.py"), bundle_name=bundle, bundle_path=Path("/"))
    manager.deactivate_deleted_dags(bundle_name=bundle, present={file})
    manager.clear_orphaned_import_errors(bundle, {f"{bundle}.py"})
broken.clear()
manager.claim_priority_files()
manager._asked_database_at.clear()
manager.claim_priority_files()
print("\\n" + json.dumps(stored))
"""


def test_what_was_deleted_is_tried_again_once_for_each_bundle(
    airflow_python: Path, tmp_path: Path
) -> None:
    stored = ran(airflow_python, TWO_BUNDLES, tmp_path)
    assert stored == [["class", ["class.py"]], ["examples", ["examples.py"]]]


# A parser writes to whatever it has inherited.
WRITES_TO_ALL = """
import json
import os
import selectors
import socket
import class_dag_processor as ours

manager = ours.ClassDagProcessor(max_runs=-1)
manager._get_team_names = lambda names: {}
manager.prepare_process_context()
end, of_a_neighbour = socket.socketpair()
manager.selector.register(end, selectors.EVENT_READ, (lambda _: True, lambda _: None))
if (child := os.fork()) == 0:
    os.write(end.fileno(), b"[]\\n{}")
    end.close()
    os._exit(7)
_, status = os.waitpid(child, 0)
of_a_neighbour.setblocking(False)
try:
    came = of_a_neighbour.recv(9).decode()
except BlockingIOError:
    came = ""
end.sendall(b"mine")
mine = of_a_neighbour.recv(9).decode()
print("\\n" + json.dumps([os.waitstatus_to_exitcode(status), came, mine]))
"""


def test_a_parser_can_not_write_into_the_connections_of_another(
    airflow_python: Path, tmp_path: Path
) -> None:
    assert ran(airflow_python, WRITES_TO_ALL, tmp_path) == [7, "", "mine"]


# Whatever the handler raised here would be dropped: it is Python's own call at a fork.
TOLD_AT_A_FORK = """
import os
import signal
import class_dag_processor as ours

manager = ours.ClassDagProcessor(max_runs=-1)
manager._get_team_names = lambda names: {}
manager.prepare_process_context()
manager.register_exit_signals()
os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGTERM))
if (child := os.fork()) == 0:
    os._exit(0)
os.waitpid(child, 0)
woken = [key.fileobj for key, _ in manager.selector.select(timeout=0)] == [manager._alarm]
try:
    manager.max_runs_reached()
except SystemExit as ended:
    print(f"[{ended.code}, {str(woken).lower()}]")
"""


def test_a_word_to_end_that_comes_at_a_fork_ends_it(airflow_python: Path, tmp_path: Path) -> None:
    assert ran(airflow_python, TOLD_AT_A_FORK, tmp_path) == [0, True]


# Airflow's own does as well with this as before.
OTHERWISE = """
import sys

if "dag-processor" in sys.orig_argv:
    from airflow.dag_processing.manager import DagFileProcessorManager as Manager

    theirs = Manager.deactivate_deleted_dags
    Manager.deactivate_deleted_dags = lambda self, *args, **options: theirs(self, *args, **options)
"""


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[ParseFeedListener]:
    made = ParseFeedListener(tmp_path / "srv" / PLACE)
    yield made
    made.close()


def test_on_another_airflow_its_own_dag_processor_runs_and_the_feed_says_why(
    tmp_path: Path, feed: ParseFeedListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases = HandMadeReleases(tmp_path / "srv")
    release = releases.publish(FIRST_FILES)
    other = tmp_path / "other"
    other.mkdir()
    (other / "sitecustomize.py").write_text(OTHERWISE)
    local = LocalAirflow(tmp_path / "state", root=releases.root, port=free_port())
    path = {"PYTHONPATH": os.pathsep.join([str(other), str(airflow_files())])}
    env = {**local.airflow_environment(), **path}
    monkeypatch.setattr(local, "airflow_environment", lambda: env)
    local._base.ensure(print)
    local._environments.ensure_current()
    local._ensure_database()
    feed.ask(release, first=FIRST_FILES)
    reason = "it has no deactivate_deleted_dags as in Airflow 3.3"
    try:
        local.revive(DAG_PROCESSOR)
        eventually(feed.present, PATIENCE_S)
        (came,) = feed.present().values()
        assert came.airflow.startswith("3.3.")
        assert came.unfit == reason
        eventually(lambda: FIRST_DAG_ID in stored(local.layout.database), PATIENCE_S)
        assert list(local.pids()) == [DAG_PROCESSOR]
        assert feed.wait(0) == (came,)
        log = tmp_path / "state" / "logs" / f"{DAG_PROCESSOR}.log"
        said = f"Airflow's own dag-processor runs, not the class's: {reason}"
        assert said in log.read_text()
    finally:
        local.stop()


def stored(database: Path) -> set[str]:
    """Return the dag_ids that Airflow knows."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=30)) as connection:
        return {dag_id for (dag_id,) in connection.execute("SELECT dag_id FROM dag")}
