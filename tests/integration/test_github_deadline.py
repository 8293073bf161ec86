"""A GitHub that never comes to an end holds the outbox no longer than the deadline."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from deployer.core.model import Status, StatusState
from deployer.core.settings import Secret
from deployer.edges.github.statuses import GitHub
from deployer.ports import Accepted, RetryLater

STATUS = Status("0123456789" * 4, "airflow/deploy", StatusState.SUCCESS, "live")
HEAD = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n"
TAKEN = HEAD + b"content-length: 2\r\n\r\n{}"
BOUND_S = 2.0
LATE = f"the request was not over after {BOUND_S:g} s"
PATIENCE_S = 60.0
LONG = "ReadError: its answer is longer than 1048576 bytes"


@contextmanager
def server(first: bytes, drip: bytes) -> Iterator[tuple[str, list[int]]]:
    """Answer `first` and then `drip` for ever on the first connection, TAKEN on all others."""
    came: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for number in (0, 1):
                try:
                    there, _ = listening.accept()
                except OSError:
                    return
                came.append(number)
                with there:
                    there.recv(65536)
                    there.settimeout(0.02)
                    try:
                        there.sendall(TAKEN if number else first)
                        while not number:
                            there.sendall(drip)
                            try:
                                if not there.recv(65536):
                                    break
                            except TimeoutError:
                                pass
                    except OSError:
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", came
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.parametrize(
    ("first", "drip", "deadline_s", "said"),
    [
        (b"HTTP/1.1 201 Created\r\n", b"x-a: bc\r\n"[:8], BOUND_S, LATE),
        (HEAD + b"content-length: 100000000\r\n\r\n", b" " * 8, BOUND_S, LATE),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n", b"8\r\n        \r\n", BOUND_S, LATE),
        (
            HEAD + b"transfer-encoding: chunked\r\n\r\n",
            b"80000\r\n" + b" " * 0x80000 + b"\r\n",
            PATIENCE_S,
            LONG,
        ),
    ],
    ids=["headers", "body", "chunks", "endless"],
)
def test_an_answer_without_an_end_is_given_up_and_its_connection_not_reused(
    first: bytes, drip: bytes, deadline_s: float, said: str
) -> None:
    with server(first, drip) as (url, came):
        board = GitHub(
            url, "class/airflow-class", lambda: Secret("not-a-real-token"), deadline_s=deadline_s
        )
        answer = board.post(STATUS, None)
        assert isinstance(answer, RetryLater)
        assert answer.reason == f"no answer from GitHub: {said}"
        assert board.post(STATUS, None) == Accepted()
        assert came == [0, 1]
        board.close()


def test_a_connection_that_stands_after_the_deadline_is_given_up_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    resolve = socket.getaddrinfo

    def slowly(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as it is called
        assert over.wait(PATIENCE_S)
        return resolve(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    with server(HEAD + b"content-length: 100000000\r\n\r\n", b" " * 8) as (url, _):
        board = GitHub(url, "class/airflow-class", lambda: None, deadline_s=BOUND_S)
        threading.Timer(2 * BOUND_S, over.set).start()
        answer = board.post(STATUS, None)
        assert answer == RetryLater(f"no answer from GitHub: {LATE}")
        board.close()
