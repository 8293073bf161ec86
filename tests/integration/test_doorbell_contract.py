"""What each doorbell must do: the fake and the Unix socket."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployer.edges.processes.doorbell import Doorbell, DoorbellListener
from deployer.errors import OperatorError
from deployer.ports import Bell, Listener
from tests.fakes.bell import FakeBell

LONG_S = 10.0


@dataclass(frozen=True)
class Pair:
    button: Bell
    listener: Listener


@pytest.fixture(params=["fake", "socket"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    if request.param == "fake":
        both = FakeBell()
        yield Pair(both, both)
        return
    path = tmp_path / "doorbell.sock"
    with closing(Doorbell(path)) as button, closing(DoorbellListener(path)) as listener:
        yield Pair(button, listener)


@pytest.fixture
def button(tmp_path: Path) -> Iterator[Doorbell]:
    with closing(Doorbell(tmp_path / "doorbell.sock")) as made:
        yield made


def test_a_ring_before_waiting_is_heard(pair: Pair) -> None:
    pair.button.ring()
    assert pair.listener.wait(0)


def test_a_ring_ends_the_waiting(pair: Pair) -> None:
    ringer = threading.Timer(0.01, pair.button.ring)
    ringer.start()
    assert pair.listener.wait(LONG_S)
    ringer.join()


def test_without_a_ring_waiting_ends_with_its_time(pair: Pair) -> None:
    assert not pair.listener.wait(0.01)
    assert not pair.listener.wait(-1)


def test_many_rings_are_one(pair: Pair) -> None:
    for _ in range(3):
        pair.button.ring()
    assert pair.listener.wait(0)
    assert not pair.listener.wait(0)


def test_ringing_on_and_on_neither_blocks_nor_fails(pair: Pair) -> None:
    for _ in range(2_000):  # far beyond a datagram socket's queue
        pair.button.ring()
    assert pair.listener.wait(0)


def test_ringing_where_nobody_ever_listened_leaves_nothing(
    button: Doorbell, tmp_path: Path
) -> None:
    button.ring()
    assert list(tmp_path.iterdir()) == []


def test_ringing_where_nobody_listens_any_more_is_not_heard_later(
    button: Doorbell, tmp_path: Path
) -> None:
    DoorbellListener(tmp_path / "doorbell.sock").close()
    button.ring()
    with closing(DoorbellListener(tmp_path / "doorbell.sock")) as listener:
        assert not listener.wait(0)


def test_a_new_listener_takes_the_place_of_a_dead_one(button: Doorbell, tmp_path: Path) -> None:
    path = tmp_path / "doorbell.sock"
    DoorbellListener(path).close()
    with closing(DoorbellListener(path)) as listener:
        button.ring()
        assert listener.wait(LONG_S)


def test_a_listener_that_lives_keeps_its_place_whatever_lock_somebody_removed(
    button: Doorbell, tmp_path: Path
) -> None:
    with closing(DoorbellListener(tmp_path / "doorbell.sock")) as first:
        with pytest.raises(OperatorError, match="another worker listens there"):
            DoorbellListener(tmp_path / "doorbell.sock")
        button.ring()
        assert first.wait(LONG_S)


def test_a_bell_that_somebody_removed_is_rung_again_after_the_next_wait(
    button: Doorbell, tmp_path: Path
) -> None:
    with closing(DoorbellListener(tmp_path / "doorbell.sock")) as listener:
        (tmp_path / "doorbell.sock").unlink()
        listener.wait(0)
        button.ring()
        assert listener.wait(LONG_S)


def test_a_leftover_of_a_listener_that_died_while_starting_is_no_hindrance(
    tmp_path: Path,
) -> None:
    path = tmp_path / "doorbell.sock"
    DoorbellListener(path).close()
    path.rename(tmp_path / "doorbell.sock.new")
    with closing(DoorbellListener(path)):
        assert [found.name for found in tmp_path.iterdir()] == ["doorbell.sock"]


def test_the_group_may_ring_and_nobody_else(tmp_path: Path) -> None:
    with closing(DoorbellListener(tmp_path / "doorbell.sock")):
        mode = (tmp_path / "doorbell.sock").stat().st_mode
        assert stat.S_IMODE(mode) == 0o660


def test_a_path_too_long_for_a_socket_address_works(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 20) / ("deeper" * 20)
    deep.mkdir(parents=True)
    path = deep / "doorbell.sock"
    with closing(Doorbell(path)) as button, closing(DoorbellListener(path)) as listener:
        button.ring()
        assert listener.wait(LONG_S)


def test_a_folder_that_is_missing_is_an_error_of_the_listener(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="can't be bound: No such file or directory"):
        DoorbellListener(tmp_path / "missing" / "doorbell.sock")
