"""The parse feed's wire alone: no Airflow, but either end and what a hostile peer may say."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deployer.core.model import (
    Listed,
    ParseEnd,
    ParseResult,
    ProcessorCame,
    ProcessorLeft,
    Told,
)
from deployer.edges.airflow import parse_feed
from deployer.edges.airflow.parse_feed import PLACE, ParseFeedListener
from deployer.edges.processes.doorbell import address_of
from deployer.errors import AirflowError
from tests.integration.feed_peer import BOUND_S, LISTED, Peer, Process, hello, result, theirs
from tests.integration.waiting import eventually

X, Y = "dags/a/x.py", "dags/a/y.py"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "srv" / PLACE


@pytest.fixture
def feed(path: Path) -> Iterator[ParseFeedListener]:
    made = ParseFeedListener(path)
    yield made
    made.close()


def until(feed: ParseFeedListener, last: Told) -> list[Told]:
    """Return what is told up to `last`."""
    told: list[Told] = []
    end = time.monotonic() + BOUND_S
    while last not in told:
        left_s = end - time.monotonic()
        assert left_s > 0, f"never told: {last}; told: {told}"
        told += feed.wait(left_s)
    return told


def came(feed: ParseFeedListener, *lives: str) -> None:
    """Wait until those are connected, and nobody else."""
    eventually(lambda: feed.present().keys() == set(lives), BOUND_S)


def asked(feed: ParseFeedListener, peer: Peer, *first: str, life: str = "one") -> None:
    """Ask, and wait until the peer has been told; what was told before is gone."""
    came(feed, life)
    feed.ask("r1", first=first)
    while not (heard := peer.hear()) or "ask" not in heard:
        assert heard is not None
    feed.wait(0)


# -- what is told


def test_what_a_dag_processor_says_is_told_by_the_repositorys_paths(
    feed: ParseFeedListener, path: Path
) -> None:
    with Peer(path) as peer:
        assert peer.hear() == {"feed": 1}
        peer.say(hello("one"))
        asked(feed, peer, X)
        peer.say(LISTED)
        peer.say(result("a/x.py", dag_ids=["b", "a"], warnings=["w"]))
        peer.say(result("a/y.zip", errors={"a/y.zip/in.py": "Traceback"}))
        peer.say(result("a/z.py", ended="died", code=-9, words="no memory"))
        last = ParseResult("r1", "dags/a/z.py", ParseEnd.DIED, (), {}, (), 0.25, -9, "no memory")
        assert until(feed, last) == [
            Listed("r1", frozenset({X, Y})),
            ParseResult("r1", X, ParseEnd.PARSED, ("b", "a"), {}, ("w",), 0.25),
            ParseResult(
                "r1",
                "dags/a/y.zip",
                ParseEnd.PARSED,
                errors={"dags/a/y.zip/in.py": "Traceback"},
                seconds=0.25,
            ),
            last,
        ]


def test_an_ask_names_files_as_airflow_does(feed: ParseFeedListener, path: Path) -> None:
    with Peer(path, "one") as peer:
        came(feed, "one")
        feed.ask("r1", first=[Y, X], later=["dags/dags/z.py"])
        assert peer.hear() == {"feed": 1}
        wanted = {"release": "r1", "first": ["a/x.py", "a/y.py"], "later": ["dags/z.py"]}
        assert peer.hear() == {"ask": wanted}


def test_whoever_connects_is_told_of_the_last_ask_until_the_rest(
    feed: ParseFeedListener, path: Path
) -> None:
    feed.ask("r0", first=[X])
    feed.ask("r1", first=[Y])
    with Peer(path, "one") as first:
        assert first.hear() == {"feed": 1}
        assert first.hear() == {"ask": {"release": "r1", "first": ["a/y.py"], "later": []}}
    until(feed, ProcessorLeft("one", ended=False))
    feed.rest()
    with Peer(path, "two") as second:
        came(feed, "two")
        feed.ask("r2", first=[])
        assert second.hear() == {"feed": 1}
        assert second.hear() == {"ask": {"release": "r2", "first": [], "later": []}}


def test_two_dag_processors_are_both_asked_and_both_heard(
    feed: ParseFeedListener, path: Path
) -> None:
    with Peer(path, "one") as one, Peer(path, "two") as two:
        came(feed, "one", "two")
        feed.ask("r1", first=[X])
        for peer in (one, two):
            assert peer.hear() == {"feed": 1}
            assert peer.hear() == {"ask": {"release": "r1", "first": ["a/x.py"], "later": []}}
        feed.wait(0)
        one.say(LISTED)
        until(feed, Listed("r1", frozenset({X, Y})))
        two.say(result("a/x.py"))
        until(feed, ParseResult("r1", X, ParseEnd.PARSED, seconds=0.25))


def test_what_was_told_before_an_ask_is_dropped(feed: ParseFeedListener, path: Path) -> None:
    with Peer(path, "one") as peer:
        asked(feed, peer, X)
        peer.say(LISTED)
        # Whoever comes after this was said is seen after it.
        with Peer(path, "two"):
            came(feed, "one", "two")
            feed.ask("r1", first=[Y])
            peer.say(result("a/y.py"))
            mine = ParseResult("r1", Y, ParseEnd.PARSED, seconds=0.25)
            assert until(feed, mine) == [mine]


def test_after_the_rest_nothing_is_told_but_who_comes_and_goes(
    feed: ParseFeedListener, path: Path
) -> None:
    with Peer(path, "one") as peer:
        asked(feed, peer, X)
        feed.rest()
        peer.say(LISTED)
        peer.say(result("a/x.py"))
    left = ProcessorLeft("one", ended=False)
    assert until(feed, left) == [left]


def test_of_more_than_anybody_takes_the_oldest_goes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_feed, "MOST_TOLD", 3)
    with ExitStack() as stack:
        feed = ParseFeedListener(path)
        stack.callback(feed.close)
        peer = stack.enter_context(Peer(path, "one"))
        asked(feed, peer, X)
        for number in range(5):
            peer.say(result(f"a/{number}.py"))
        stack.enter_context(Peer(path, "two"))
        came(feed, "one", "two")
        *results, newest = feed.wait(0)
        assert newest == ProcessorCame("two", "3.3.2")
        assert [told.path for told in results if isinstance(told, ParseResult)] == [
            "dags/a/3.py",
            "dags/a/4.py",
        ]


# -- waiting


def test_nobody_says_anything_and_the_time_passes(feed: ParseFeedListener) -> None:
    began = time.monotonic()
    assert feed.wait(0.2) == ()
    assert time.monotonic() - began >= 0.2
    assert feed.wait(-1) == ()


@pytest.mark.parametrize("waits", [True, False])
def test_a_nudge_ends_the_wait_or_the_next_one(feed: ParseFeedListener, *, waits: bool) -> None:
    found: list[tuple[Told, ...]] = []
    if not waits:
        feed.nudge()
    waiter = threading.Thread(target=lambda: found.append(feed.wait(600)), daemon=True)
    waiter.start()
    if waits:
        waiting: Any = feed._news
        eventually(lambda: waiting._waiters, BOUND_S)
        feed.nudge()
    waiter.join(BOUND_S)
    assert found == [()]
    assert feed.wait(0.1) == ()  # it was one nudge


def test_what_is_told_ends_the_wait(feed: ParseFeedListener, path: Path) -> None:
    with Peer(path, "one"):
        assert feed.wait(600) == (ProcessorCame("one", "3.3.2"),)


# -- who comes and goes

CONNECTS = """
import json, socket, sys
end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
end.connect(sys.argv[1])
end.sendall(json.dumps({"feed": 1, "airflow": "3.3.2", "life": "one"}).encode() + b"\\n")
print("connected", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("how", ["killed", "over"])
def test_one_whose_process_ended_has_left_for_good(
    feed: ParseFeedListener, path: Path, how: str
) -> None:
    with Process(CONNECTS, path) as process:
        assert process.line() == "connected"
        came(feed, "one")
        if how == "killed":
            os.kill(process.pid, 9)
        else:
            process.go()
        until(feed, ProcessorLeft("one", ended=True))
        assert feed.present() == {}


CLOSES = f"{CONNECTS}end.close()\nsys.stdin.readline()\n"


def test_one_that_closes_and_ends_later_is_told_to_have_ended_then(
    feed: ParseFeedListener, path: Path
) -> None:
    with Process(CLOSES, path) as process:
        came(feed, "one")
        process.go()
        assert until(feed, ProcessorLeft("one", ended=False)) == [
            ProcessorCame("one", "3.3.2"),
            ProcessorLeft("one", ended=False),
        ]
        process.go()
        assert until(feed, left := ProcessorLeft("one", ended=True)) == [left]


def watched_processes() -> int:
    """Return how many processes this one has a descriptor of."""
    return sum("pidfd" in os.path.realpath(fd) for fd in Path("/proc/self/fd").iterdir())


def test_of_those_that_close_without_ending_so_many_are_watched_and_the_oldest_go(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_feed, "MOST_LEFT", 2)
    before, feed = watched_processes(), ParseFeedListener(path)
    for life in ("one", "two", "three", "two"):
        with Peer(path, life):
            came(feed, life)
        until(feed, ProcessorLeft(life, ended=False))
    eventually(lambda: watched_processes() == before + 2, BOUND_S)
    feed.close()
    assert watched_processes() == before


def test_one_that_only_closed_may_come_again(feed: ParseFeedListener, path: Path) -> None:
    with Peer(path, "one"):
        came(feed, "one")
    until(feed, ProcessorLeft("one", ended=False))
    with Peer(path, "one"):
        until(feed, ProcessorCame("one", "3.3.2"))
        assert feed.present() == {"one": ProcessorCame("one", "3.3.2")}


def test_one_that_connects_anew_before_the_old_connection_is_gone_never_left(
    feed: ParseFeedListener, path: Path
) -> None:
    with Peer(path, "one") as again:
        old = Peer(path, "one")
        eventually(lambda: list(feed._told).count(ProcessorCame("one", "3.3.2")) == 2, BOUND_S)
        old.close()
        eventually(lambda: len(feed._connections) == 1, BOUND_S)
        assert feed.present().keys() == {"one"}
        asked(feed, again, X)
        again.say(LISTED)
        listed = Listed("r1", frozenset({X, Y}))
        assert until(feed, listed) == [listed]


# -- the other is of another kind


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (hello("one", feed=2), "it speaks version 2 of the parse feed, this deployer 1"),
        (hello("one", unfit="it has no selector"), "it has no selector"),
    ],
)
def test_one_that_can_t_tell_is_unfit_and_what_it_says_is_passed_over(
    feed: ParseFeedListener, path: Path, said: dict[str, object], why: str
) -> None:
    feed.ask("r1", first=[X])
    with Peer(path) as peer:
        peer.say(said)
        peer.say(LISTED)
        peer.say({"other": "things"})
        peer.say({"result": "of another form"})
        with Peer(path, "two"):
            came(feed, "one", "two")
            assert feed.present()["one"].unfit.startswith(why)
            assert {type(told) for told in feed.wait(0)} == {ProcessorCame}


def test_what_a_newer_one_says_beside_is_passed_over(feed: ParseFeedListener, path: Path) -> None:
    with Peer(path, "one") as peer:
        asked(feed, peer, X)
        peer.say({"weather": "fine"})
        peer.say({"listed": {**LISTED["listed"], "beside": 1}})
        until(feed, Listed("r1", frozenset({X, Y})))


HELLOS = [
    b"not json\n",
    b"\xff\xfe\n",
    b"\n",
    b"1\n",
    b"[]\n",
    b"{}\n",
    b"[" * 100_000 + b"\n",
]
LINES = [
    *HELLOS[:4],
    b'{"a": ' * 100_000 + b"\n",
    b'{"listed": null}\n',
    b'{"listed": {"release": "r1"}}\n',
    b'{"listed": {"release": "r1", "files": [1]}}\n',
    b'{"listed": {"release": "r1", "files": 1}}\n',
    b'{"result": []}\n',
    b'{"result": {}}\n',
    json.dumps(result("a/x.py", ended="exploded")).encode() + b"\n",
    json.dumps(result("a/x.py", errors=["one"])).encode() + b"\n",
    json.dumps(result("a/x.py", code=float("inf"))).encode() + b"\n",
    json.dumps(result("a/x.py", seconds="long")).encode() + b"\n",
    json.dumps(result("a/x.py", dag_ids=None)).encode() + b"\n",
    b'{"result": {"code": ' + b"9" * 10_000 + b"}}\n",
]


@pytest.mark.parametrize(
    ("greets", "line"),
    [*((False, line) for line in HELLOS), *((True, line) for line in LINES)],
    ids=lambda value: str(value)[:40] if isinstance(value, bytes) else None,
)
def test_one_that_says_what_is_not_of_the_protocol_is_dropped_and_others_go_on(
    feed: ParseFeedListener, path: Path, line: bytes, *, greets: bool
) -> None:
    with Peer(path, "well") as well, Peer(path) as hostile:
        asked(feed, well, X, life="well")
        if greets:
            hostile.say(hello("hostile"))
        hostile.say_bytes(line)
        assert hostile.is_dropped()
        well.say(LISTED)
        until(feed, Listed("r1", frozenset({X, Y})))
        came(feed, "well")


def test_a_line_without_an_end_has_a_bound(
    feed: ParseFeedListener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_feed, "MOST_UNREAD", 1000)
    with Peer(path, "well") as well, Peer(path, "hostile") as hostile:
        came(feed, "well", "hostile")
        hostile.say_bytes(b"x" * 1001)
        assert hostile.is_dropped()
        asked(feed, well, X, life="well")
        for number in range(20):  # more than that in all, each line less
            well.say({"beside": f"{number}" * 400})
        well.say(LISTED)
        until(feed, Listed("r1", frozenset({X, Y})))


def test_lines_without_an_end_have_a_bound_in_all_and_the_longest_goes(
    feed: ParseFeedListener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_feed, "MOST_UNREAD", 1000)
    with Peer(path, "well") as well, Peer(path, "hostile") as hostile:
        came(feed, "well", "hostile")
        well.say_bytes(b'{"beside": "')
        hostile.say_bytes(b"x" * 995)
        assert hostile.is_dropped()
        well.say_bytes(b'"}\n')
        asked(feed, well, X, life="well")


def test_whoever_connects_past_the_bound_is_hung_up_on(
    feed: ParseFeedListener, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_feed, "MOST_CONNECTIONS", 1)
    with Peer(path, "well") as well:
        came(feed, "well")
        with Peer(path) as late:
            assert late.is_dropped()
        asked(feed, well, X, life="well")


TALKS_ON = (
    CONNECTS.replace('print("connected", flush=True)', "")
    + 'end.sendall(b"".join(b"{}\\n" * 1000 for _ in range(20)))\n'
    + 'print("talking", flush=True)\n'
    + "while True:\n"
    + '    end.sendall(b"{}\\n" * 100_000)\n'
).replace("sys.stdin.readline()\n", "")


def test_one_that_never_stops_talking_keeps_nobody_else_waiting(
    feed: ParseFeedListener, path: Path
) -> None:
    with Process(TALKS_ON, path) as talker, Peer(path, "well") as well:
        assert talker.line() == "talking"
        came(feed, "one", "well")
        feed.ask("r1", first=[X])
        while not (heard := well.hear()) or "ask" not in heard:
            assert heard is not None
        well.say(LISTED)
        until(feed, Listed("r1", frozenset({X, Y})))


def test_one_that_does_not_read_never_blocks_an_ask_and_is_dropped(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_feed, "MOST_UNSENT", 100_000)
    many = [f"dags/a/{number:09}.py" for number in range(2_000)]
    feed = ParseFeedListener(path)
    with Peer(path, "deaf"), Peer(path, "well") as well:
        came(feed, "deaf", "well")
        reader = threading.Thread(target=well.is_dropped)
        reader.start()

        def dropped() -> bool:
            began = time.monotonic()
            feed.ask("r1", first=many)
            assert time.monotonic() - began < 5
            return "deaf" not in feed.present()

        eventually(dropped, BOUND_S)
        assert feed.present().keys() == {"well"}
        feed.close()
        reader.join(BOUND_S)
        assert not reader.is_alive()


def test_what_one_can_t_take_at_once_it_gets_when_it_reads(
    feed: ParseFeedListener, path: Path
) -> None:
    many = [f"dags/a/{number:09}.py" for number in range(100_000)]
    with Peer(path, "slow") as peer:
        came(feed, "slow")
        feed.ask("r1", first=many)
        (connection,) = feed._connections
        eventually(connection.transport.get_write_buffer_size, BOUND_S)
        assert peer.hear() == {"feed": 1}
        heard = peer.hear()
        assert heard is not None
        assert len(heard["ask"]["first"]) == len(many)
        feed.ask("r2", first=[X])
        assert peer.hear() == {"ask": {"release": "r2", "first": ["a/x.py"], "later": []}}


# -- its place


def test_a_listener_replaces_the_socket_of_a_dead_one(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead, address_of(path) as address:
        dead.bind(address)
    beside = path.with_name(f"{path.name}.new")
    beside.touch()  # it died between the two steps
    for _ in range(2):
        feed = ParseFeedListener(path)
        with Peer(path, "one"):
            came(feed, "one")
        feed.close()
    assert not beside.exists()


def test_a_closed_one_has_ended_its_connections(path: Path) -> None:
    feed = ParseFeedListener(path)
    with Peer(path, "one") as peer:
        came(feed, "one")
        feed.close()
        assert peer.is_dropped()
        with pytest.raises(ConnectionRefusedError):
            Peer(path)


def test_a_path_may_be_deeper_than_an_address_is_long(tmp_path: Path) -> None:
    path = tmp_path.joinpath(*["deep" * 12] * 4, PLACE)
    assert len(str(path)) > 200
    feed = ParseFeedListener(path)
    other = Dialling(path)
    try:
        other.feed.connect()
        came(feed, "their life")
        with Peer(path, "one"):
            came(feed, "one", "their life")
    finally:
        other.close()
        feed.close()


def test_without_a_group_the_folder_is_the_deployers_alone(
    feed: ParseFeedListener, path: Path
) -> None:
    assert path.parent.stat().st_mode & 0o7777 == 0o2700
    assert path.stat().st_mode & 0o777 == 0o660


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to any group")
@pytest.mark.parametrize("group", [0, 12345])
@pytest.mark.parametrize("made_before", [True, False])
def test_the_socket_is_for_airflows_group_and_nobody_else(
    path: Path, group: int, *, made_before: bool
) -> None:
    if made_before:
        path.parent.mkdir(parents=True, mode=0o777)
        os.chown(path.parent, 0, 54321)
    ParseFeedListener(path, group=group).close()
    folder, made = path.parent.stat(), path.stat()
    assert (folder.st_gid, folder.st_mode & 0o7777) == (group, 0o2750)
    assert (made.st_gid, made.st_mode & 0o777) == (group, 0o660)


def test_a_group_that_can_t_be_given_is_said_with_how_to_mend_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "chown", refuse)
    ParseFeedListener(path, group=12345).close()
    said = capsys.readouterr().out
    assert f"chgrp 12345 {path.parent} && chmod 2750 {path.parent}" in said
    assert path.parent.stat().st_mode & 0o007 == 0


def test_a_worker_that_listens_keeps_its_place(path: Path) -> None:
    with (
        closing(ParseFeedListener(path)),
        pytest.raises(AirflowError, match="another worker listens there"),
    ):
        ParseFeedListener(path)


def test_a_socket_that_somebody_removed_is_made_anew_and_who_is_connected_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parse_feed, "LOOK_EVERY_S", 0.01)
    with closing(ParseFeedListener(path)) as feed, Peer(path, "one") as one:
        came(feed, "one")
        shutil.rmtree(path.parent)
        eventually(path.exists, BOUND_S)
        with Peer(path, "two"):
            came(feed, "one", "two")
            assert one.hear() == {"feed": 1}


def test_a_place_where_it_can_t_listen_is_an_error_that_names_it(path: Path) -> None:
    path.parent.parent.mkdir()
    path.parent.touch()
    with pytest.raises(AirflowError, match=f"can't listen at {path}"):
        ParseFeedListener(path)


# -- the dag-processor's end


class Dialling:
    """The dag-processor's end of a feed, with a loop like Airflow's.

    Attributes:
        heard: what the other end said after its hello.
    """

    def __init__(self, path: Path, module: ModuleType | None = None) -> None:
        self.module = module or theirs()
        self.selector = selectors.DefaultSelector()
        self.heard: list[Any] = []
        self.feed = self.module.Feed(
            path, self.selector, hello=lambda: hello("their life"), heard=self.heard.append
        )

    @property
    def connected(self) -> bool:
        return bool(self.selector.get_map())

    def serve(self, timeout_s: float = 0.05) -> None:
        """Do as DagFileProcessorManager._service_processor_sockets (3.3.2) does."""
        for key, _ in self.selector.select(timeout_s):
            handler, on_close = key.data
            if not handler(key.fileobj):
                end: Any = key.fileobj
                on_close(end)
                end.close()

    def until(self, holds: Callable[[], object]) -> None:
        def served() -> object:
            self.serve()
            return holds()

        eventually(served, BOUND_S)

    def close(self) -> None:
        self.feed._drop()
        self.selector.close()


@pytest.fixture
def dialling(path: Path) -> Iterator[Dialling]:
    made = Dialling(path)
    yield made
    made.close()


def test_both_ends_understand_each_other(
    feed: ParseFeedListener, path: Path, dialling: Dialling
) -> None:
    assert (dialling.module.PLACE, dialling.module.VERSION) == (PLACE, parse_feed.VERSION)
    dialling.feed.connect()
    came(feed, "their life")
    feed.ask("r1", first=[X])
    dialling.until(lambda: dialling.heard)
    assert dialling.heard == [{"ask": {"release": "r1", "first": ["a/x.py"], "later": []}}]
    dialling.feed.tell(LISTED)
    until(feed, Listed("r1", frozenset({X, Y})))


def descriptors() -> list[Path]:
    """Return what this process has open."""
    return list(Path("/proc/self/fd").iterdir())


def test_where_nobody_listens_connecting_costs_nothing_and_raises_nothing(
    path: Path, dialling: Dialling
) -> None:
    def try_it() -> None:
        for _ in range(3):
            dialling.feed.connect()
            dialling.feed.tell(LISTED)
        assert not dialling.connected
        assert not dialling.feed._unsent

    before = len(descriptors())
    try_it()  # no folder
    path.parent.mkdir(parents=True)
    try_it()  # no socket
    ParseFeedListener(path).close()
    try_it()  # a dead one's
    path.unlink()
    path.write_text("no socket at all")
    try_it()
    assert len(descriptors()) == before


def test_a_listener_that_came_anew_is_connected_to_at_the_next_try(
    path: Path, dialling: Dialling
) -> None:
    for _ in range(3):
        feed = ParseFeedListener(path)
        dialling.feed.connect()
        came(feed, "their life")
        feed.close()
        dialling.until(lambda: not dialling.connected)


@pytest.fixture
def deaf(path: Path) -> Iterator[socket.socket]:
    """A worker that accepts and does not read."""
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with address_of(path) as address:
            listener.bind(address)
        listener.listen()
        listener.settimeout(BOUND_S)
        yield listener


def test_what_the_worker_did_not_read_goes_when_it_reads_again(
    deaf: socket.socket, dialling: Dialling
) -> None:
    dialling.feed.connect()
    end, _ = deaf.accept()
    count = 0
    while not dialling.feed._unsent or count < 100:
        dialling.feed.tell({"number": count, "text": "x" * 10_000})
        count += 1
    got = bytearray()

    def read_all() -> None:
        with suppress(BlockingIOError):
            while data := end.recv(1 << 16, socket.MSG_DONTWAIT):
                got.extend(data)

    def whole() -> bool:
        read_all()
        return got.count(b"\n") == count + 1

    with end:
        dialling.until(whole)
    assert [json.loads(line)["number"] for line in got.splitlines()[1:]] == list(range(count))
    assert not dialling.feed._unsent


def test_a_worker_that_reads_nothing_is_dropped_and_never_waited_for(
    deaf: socket.socket, dialling: Dialling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialling.module, "MOST_UNSENT", 100_000)
    dialling.feed.connect()
    end, _ = deaf.accept()
    with end:
        began = time.monotonic()
        for _ in range(1_000):
            dialling.feed.tell({"text": "x" * 10_000})
        assert time.monotonic() - began < BOUND_S
        assert not dialling.connected
        dialling.feed.connect()
        again, _ = deaf.accept()
        with again:
            assert json.loads(again.makefile("rb").readline())["life"] == "their life"


def test_a_worker_of_another_version_is_not_listened_to(
    deaf: socket.socket, dialling: Dialling
) -> None:
    dialling.feed.connect()
    end, _ = deaf.accept()
    with end:
        end.sendall(b'{"feed": 2}\n{"ask": "me"}\n')
        for _ in range(5):
            dialling.serve(0.02)
        assert dialling.heard == []
        assert dialling.connected


GREETING = b'{"feed": 1}\n'
NONSENSE = [
    b"not json\n",
    b"\xff\n",
    b"{}\n",
    b"[]\n",
    b"[" * 100_000 + b"\n",
    GREETING + b"not json\n",
    GREETING + b"[" * 100_000 + b"\n",
    b"x" * 2_000,
]


@pytest.mark.parametrize("line", NONSENSE, ids=lambda line: str(line)[:40])
def test_whatever_the_worker_says_no_handler_raises(
    deaf: socket.socket, dialling: Dialling, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    monkeypatch.setattr(dialling.module, "MOST_UNREAD", 1_000 if b"x" in line else 1 << 20)
    dialling.feed.connect()
    end, _ = deaf.accept()
    with end:
        end.sendall(line)
        dialling.until(lambda: not dialling.connected)
        dialling.feed.tell(LISTED)
        dialling.feed.connect()
        assert dialling.connected


def test_whatever_what_is_heard_does_no_handler_raises(feed: ParseFeedListener, path: Path) -> None:
    made = Dialling(path)
    made.feed._heard = lambda message: message["ask"]["of another form"]
    made.feed.connect()
    came(feed, "their life")
    feed.ask("r1", first=[X])
    made.until(lambda: not made.connected)
    made.close()


FORKS = """
import os, selectors, sys
from pathlib import Path
import parse_feed
hello = {"feed": 1, "airflow": "3.3.2", "life": "one", "release": None, "unfit": None}
feed = parse_feed.Feed(
    Path(sys.argv[1]), selectors.DefaultSelector(), hello=lambda: hello, heard=print
)
feed.connect()
left, right = os.pipe()
child = os.fork()
if child == 0:
    feed.tell({"listed": {"release": "a child's", "files": []}})
    os.write(right, b"x")
    sys.stdin.readline()
    os._exit(0)
os.read(left, 1)
print(child, flush=True)
sys.stdin.readline()
"""


def test_a_parser_that_outlives_its_dag_processor_does_not_hold_the_connection(
    feed: ParseFeedListener, path: Path
) -> None:
    feed.ask("r1", first=[X])
    with Process(FORKS, path) as process:
        child = int(process.line())
        try:
            came(feed, "one")
            os.kill(process.pid, 9)
            left = ProcessorLeft("one", ended=True)
            told = until(feed, left)
            os.kill(child, 0)  # raises if it does not live
            assert told == [
                ProcessorCame("one", "3.3.2"),
                ProcessorLeft("one", ended=False),
                left,
            ]
        finally:
            os.kill(child, 9)


UNFIT = """
import sys
from pathlib import Path
import parse_feed
parse_feed._AGAIN_S = 0.05
print("on its way", flush=True)
parse_feed.be_unfit(Path(sys.argv[1]), "3.9.0", "it has no selector")
"""


def test_an_unfit_one_tells_each_worker_that_comes_by(path: Path) -> None:
    with Process(UNFIT, path) as process:
        assert process.line() == "on its way"
        lives = set()
        for _ in range(3):
            feed = ParseFeedListener(path)
            feed.ask("r1", first=[X])
            eventually(feed.present, BOUND_S)
            (seen,) = feed.present().values()
            assert (seen.airflow, seen.unfit) == ("3.9.0", "it has no selector")
            lives.add(seen.life)
            feed.close()
        assert len(lives) == 1
