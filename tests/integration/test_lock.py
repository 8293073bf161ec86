"""One worker on one state; one teller, one change of Airflow at a time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deployer.edges.processes.lock import (
    AIRFLOW_VERSION,
    NAME,
    TELLER,
    only_airflow_version,
    only_teller,
    only_worker,
)
from deployer.errors import OperatorError, WorkerRunning

BOUND_S = 60.0

# It starts a child of its own, which outlives it, as Airflow's processes outlive a worker.
HOLDER = """
import subprocess, sys
from pathlib import Path
from deployer.edges.processes.lock import only_worker
with only_worker(Path(sys.argv[1]), Path(sys.argv[1])):
    subprocess.Popen(["cat"], stdout=subprocess.DEVNULL)
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def holding_elsewhere(state_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Run another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(state_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        guard = threading.Timer(BOUND_S, process.kill)
        guard.start()
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            guard.cancel()
            process.kill()  # and its child ends with its input


def test_a_second_worker_refuses_and_names_the_first(tmp_path: Path) -> None:
    with (
        holding_elsewhere(tmp_path) as first,
        pytest.raises(WorkerRunning) as refused,
        only_worker(tmp_path, tmp_path),
    ):
        pass
    assert f"another worker holds {tmp_path / NAME}: " in str(refused.value)
    assert f"pid {first.pid} on {socket.gethostname()};" in str(refused.value)


def test_the_lock_goes_with_a_killed_process_though_its_children_live(tmp_path: Path) -> None:
    with holding_elsewhere(tmp_path) as first:
        first.kill()
        first.wait(BOUND_S)
        with only_worker(tmp_path, tmp_path):
            assert (tmp_path / NAME).read_text() == f"pid {os.getpid()} on {socket.gethostname()}"


def test_a_worker_that_ends_by_an_error_leaves_the_lock(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"), only_worker(tmp_path, tmp_path):
        raise OSError("disk")
    with only_worker(tmp_path, tmp_path):
        assert (tmp_path / NAME).exists()


def test_two_states_have_two_workers(tmp_path: Path) -> None:
    with (
        only_worker(tmp_path / "one", tmp_path / "one"),
        only_worker(tmp_path / "two", tmp_path / "two"),
    ):
        assert (tmp_path / "two" / NAME).exists()


def test_one_checkout_has_one_worker_though_the_states_differ(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    with only_worker(tmp_path / "one", checkout):
        assert checkout.stat().st_mode & 0o777 == 0o755
        with (
            pytest.raises(WorkerRunning, match="DEPLOYER_CHECKOUT_DIR of its own"),
            only_worker(tmp_path / "two", checkout),
        ):
            pass


def test_the_state_is_made_if_it_is_not_there(tmp_path: Path) -> None:
    with only_worker(tmp_path / "var" / "lib", tmp_path / "var" / "lib"):
        assert (tmp_path / "var" / "lib" / NAME).exists()


def test_a_holder_that_has_not_said_its_name_yet_holds_it_all_the_same(tmp_path: Path) -> None:
    with only_worker(tmp_path, tmp_path):
        (tmp_path / NAME).write_text("")
        with pytest.raises(WorkerRunning, match="just starting"), only_worker(tmp_path, tmp_path):
            pass


def test_a_full_disk_does_not_keep_the_worker_from_its_lock(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to("/dev/full")
    with only_worker(tmp_path, tmp_path):
        assert (tmp_path / NAME).exists()


def test_a_state_that_cannot_be_written_is_the_operators(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OperatorError, match=r"can't be written: .*; see DEPLOYER_STATE_DIR"),
        only_worker(tmp_path / "file" / "state", tmp_path / "file" / "state"),
    ):
        pass


# --- who tells the teacher ---------------------------------------------------------


def test_a_second_teller_is_told_of_the_first(tmp_path: Path) -> None:
    with (
        only_teller(tmp_path),
        pytest.raises(OperatorError, match="another `deployer notify` is at work"),
        only_teller(tmp_path),
    ):
        pass
    with only_teller(tmp_path):
        assert (tmp_path / TELLER).exists()


def test_a_teller_and_a_worker_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with only_worker(tmp_path, tmp_path), only_teller(tmp_path):
        assert (tmp_path / TELLER).exists()


# --- who changes Airflow -----------------------------------------------------------


def test_a_second_change_of_airflow_is_told_who_makes_the_first(tmp_path: Path) -> None:
    with (
        only_airflow_version(tmp_path),
        pytest.raises(
            OperatorError, match=f"another `deployer airflow-version` .* pid {os.getpid()} on"
        ),
        only_airflow_version(tmp_path),
    ):
        pass
    with only_airflow_version(tmp_path):
        assert (tmp_path / AIRFLOW_VERSION).exists()


def test_no_change_of_airflow_begins_without_its_lock(tmp_path: Path) -> None:
    (tmp_path / AIRFLOW_VERSION).mkdir()  # for root too, whom no mode keeps from writing
    with pytest.raises(OperatorError, match="can't be written"), only_airflow_version(tmp_path):
        pass
