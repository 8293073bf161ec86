"""Who reaches the parse feed, in the container and on the host."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable

import pytest

from deployer.edges.airflow.parse_feed import PLACE
from tests.e2e.compose.classroom import Classroom
from tests.e2e.compose.poisons import DAG_PROCESSOR

CONNECT = """\
import socket
def connect(place):
    end = socket.socket(socket.AF_UNIX)
    end.settimeout(30)
    try:
        end.connect(place)
    except OSError as exc:
        return type(exc).__name__
    said = end.recv(100).decode().strip()
    end.sendall(b"no line of the protocol\\n")
    return said + (" heard" if end.recv(100) else " dropped")
"""
GREETED = '{"feed":1} dropped'
REFUSED = "PermissionError"


def as_user(user: int, do: Callable[[], str]) -> str:
    """Return what `do` says in a process of another user, who is in no group but his own."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of a fork beside threads; of those this one needs none.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os.write(writing, do().encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    os.waitpid(pid, 0)
    return text


def from_the_container(room: Classroom, user: str | None = None) -> str:
    """Return what becomes of a connection from the dag-processor's container."""
    who = ("--user", user) if user else ()
    code = f"{CONNECT}\nprint(connect('/opt/class/{PLACE}'))"
    return room.stack.compose(
        "exec", "-T", *who, DAG_PROCESSOR, "python", "-c", code
    ).stdout.strip()


def from_the_host(room: Classroom, user: int) -> str:
    """Return what becomes of one from the host, where the folders above keep nobody out."""
    names: dict[str, Callable[[str], str]] = {}
    exec(CONNECT, names)  # noqa: S102  # our own, from above
    above = os.open(room.stack.checkout, os.O_PATH | os.O_DIRECTORY)
    try:
        return as_user(user, lambda: names["connect"](f"/proc/self/fd/{above}/{PLACE}"))
    finally:
        os.close(above)


def assert_only_airflow_reaches_it(room: Classroom) -> None:
    feed, end = room.stack.checkout / "feed", room.stack.checkout / PLACE
    kept = [(oct(one.stat().st_mode)[-5:], one.stat().st_gid) for one in (feed, end)]
    assert kept == [("42750", 0), ("40660", 0)]
    assert from_the_container(room) == GREETED
    assert from_the_container(room, "12345:0") == GREETED
    assert from_the_container(room, "12345:12345") == REFUSED
    assert from_the_host(room, 0) == GREETED
    assert from_the_host(room, 65534) == REFUSED
