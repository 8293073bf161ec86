"""An Airflow that can't answer right now: what is asked again, and for how long."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from deployer.edges.airflow.rest import AirflowRest
from deployer.errors import AirflowError, AirflowUnreachable

LOCKED = "(sqlite3.OperationalError) database is locked"
TOKEN = {"access_token": "abc"}
POOLS = {"pools": [{"name": "p", "slots": 3}], "total_entries": 1}
LOGIN, LIST, RESIZE = "POST /auth/token", "GET /api/v2/pools", "PATCH /api/v2/pools/p"


@dataclass
class Moody:
    """Answers with the statuses that are left in `moods` (0: breaks off), then as it should."""

    moods: deque[int]
    asked: list[str] = field(default_factory=list)
    at: list[float] = field(default_factory=list)


@contextmanager
def moody(
    moods: Iterable[int], *, timeout_s: float = 2.0, login: object = TOKEN
) -> Iterator[tuple[Moody, AirflowRest]]:
    served = Moody(deque(moods))

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = f"{self.command} {self.path.partition('?')[0]}"
            served.asked.append(asked)
            served.at.append(time.monotonic())
            mood = served.moods.popleft() if served.moods else None
            good = {LOGIN: login, LIST: POOLS}.get(asked, {})
            refused = mood is not None and mood >= 400
            body = json.dumps({"detail": LOCKED} if refused else good).encode()
            self.send_response(mood or (201 if asked == LOGIN else 200))
            self.send_header("Retry-After", "60")
            self.send_header("Content-Length", str(len(body) + 9 if mood == 0 else len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        yield served, AirflowRest(url, "deployer", "hunter2", timeout_s=timeout_s)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("mood", [500, 502, 503, 504, 429, 0])
def test_a_list_that_can_not_be_read_now_is_asked_for_again(mood: int) -> None:
    with moody([201, mood, mood]) as (served, airflow):
        assert airflow.pools() == {"p": 3}
    assert served.asked == [LOGIN, LIST, LIST, LIST]


@pytest.mark.parametrize("said", [None, [], "abc", {}], ids=["null", "list", "text", "empty"])
def test_a_login_that_brings_no_token_is_an_error(said: object) -> None:
    without = pytest.raises(AirflowError, match=r"201 to token, without one$")  # nor is it quoted
    with moody([], login=said) as (_, airflow), without:
        airflow.log_in()


def test_a_login_and_a_change_that_can_be_made_twice_are_tried_again_as_well() -> None:
    with moody([500, 201, 500]) as (served, airflow):
        airflow.resize_pool("p", 0)
    assert served.asked == [LOGIN, LOGIN, RESIZE, RESIZE]


def test_the_pauses_grow_and_end_with_what_one_call_may_take() -> None:
    with moody([201] + [500] * 99, timeout_s=1.0) as (served, airflow):
        began = time.monotonic()
        with pytest.raises(AirflowUnreachable, match=r"answered 500 to pools: \(sqlite3.*locked"):
            airflow.pools()
        assert time.monotonic() - began < 2.0
    pauses = [later - sooner for sooner, later in zip(served.at[1:], served.at[2:], strict=False)]
    assert 2 <= len(pauses) <= 4
    assert pauses == sorted(pauses)


def test_an_airflow_that_fails_at_the_login_does_not_blame_the_password() -> None:
    with (
        moody([503] * 99, timeout_s=0.3) as (_, airflow),
        pytest.raises(AirflowUnreachable, match="answered 503 to token") as caught,
    ):
        airflow.pools()
    assert "PASSWORD" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 404, 409, 501])
def test_what_another_try_does_not_mend_is_said_at_once(status: int) -> None:
    with (
        moody([201, status]) as (served, airflow),
        pytest.raises(AirflowError, match=f"answered {status} to pools") as caught,
    ):
        airflow.pools()
    assert not isinstance(caught.value, AirflowUnreachable)
    assert served.asked == [LOGIN, LIST]
