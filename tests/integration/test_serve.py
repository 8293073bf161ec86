"""The web process as it runs: `deployer web`, gunicorn on a loopback port, SQLite on disk.

What it refuses, and whom: tests/security/.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.client import HTTPConnection
from pathlib import Path

import pytest
from flask import Flask

from deployer.edges.processes.server import SETTINGS, serve
from deployer.errors import OperatorError
from tests.web_process import (
    BODY,
    BOUND_S,
    COMMAND,
    WRONG,
    Web,
    answer,
    chunked,
    environment,
    request,
    running,
)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with running(tmp_path_factory.mktemp("web")) as started:
        yield started


# --- deliveries -------------------------------------------------------------


def test_concurrent_deliveries_are_all_on_disk_when_their_202_comes(web: Web) -> None:
    guids = [str(uuid.uuid4()) for _ in range(200)]
    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(web.deliver, guids)) == {202}
    assert set(guids) <= web.known()


def test_a_delivery_outlives_a_kill_right_after_its_202(tmp_path: Path) -> None:
    with running(tmp_path) as web:
        children = Path(f"/proc/{web.process.pid}/task/{web.process.pid}/children").read_text()
        status = web.deliver("guid-1")
        pids = (web.process.pid, *map(int, children.split()))
        # Stopped first: gunicorn's worker ends by itself when it sees that its master is gone.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                os.kill(pid, number)
        assert status == 202
    assert web.known() == {"guid-1"}


def test_one_that_was_killed_leaves_its_port_to_the_next(tmp_path: Path) -> None:
    with running(tmp_path) as killed:
        killed.process.kill()
        killed.process.wait(BOUND_S)
        with running(tmp_path, killed.address) as web:
            assert web.deliver("guid-1") == 202


def test_one_connection_takes_one_delivery_after_another(web: Web) -> None:
    with web.connect() as client:
        for sent, status in (
            (request(), 202),
            (request(X_Hub_Signature_256="sha256=0"), 401),
            (request(), 202),
        ):
            client.sendall(sent)
            assert answer(client).status == status


def test_deliveries_sent_ahead_of_the_answers_are_answered_in_order(web: Web) -> None:
    with web.connect() as client:
        client.sendall(request("first") + request("second", X_Hub_Signature_256=WRONG)[:-5])
        assert answer(client).status == 202
        client.sendall(BODY[-5:])
        assert answer(client).status == 401


def test_a_delivery_in_chunks_is_taken(web: Web) -> None:
    head = request(Content_Length=None, Transfer_Encoding="chunked", body=b"")
    with web.connect() as client:
        client.sendall(head + chunked(BODY, 7))
        assert answer(client).status == 202


def test_a_proxy_that_speaks_http_1_0_is_served(web: Web) -> None:
    """As nginx does unless told otherwise."""
    with web.connect() as client:
        client.sendall(request(Connection="close").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert answer(client).status == 202
        assert client.recv(1) == b""


def test_a_client_that_asks_before_sending_the_body_is_told_once_to_go_on(web: Web) -> None:
    whole = request(Expect="100-continue")
    with web.connect() as client:
        client.sendall(whole.removesuffix(BODY))
        go_on = b"HTTP/1.1 100 Continue\r\n\r\n"
        assert client.recv(len(go_on), socket.MSG_WAITALL) == go_on
        client.sendall(BODY)
        assert client.recv(12, socket.MSG_WAITALL) == b"HTTP/1.1 202"


# --- pages, and its end -----------------------------------------------------


def test_pages_and_their_style_are_served(web: Web) -> None:
    host, port = web.address.rsplit(":", 1)
    with closing(HTTPConnection(host, int(port), timeout=BOUND_S)) as client:
        for path, kind in (("/", "text/html"), ("/static/style.css", "text/css")):
            client.request("GET", path)
            response = client.getresponse()
            assert (response.status, response.headers.get_content_type()) == (200, kind)
            assert response.read()


def test_it_stops_when_told_to(tmp_path: Path) -> None:
    with running(tmp_path) as web:
        web.process.send_signal(signal.SIGTERM)
        assert web.process.wait(BOUND_S) == 0


TOLD_WHILE_IT_STARTS = """
import logging, os, signal, sys, time
from flask import Flask
from deployer.edges.processes import server

class Told(server._Threads):
    def init_signals(self):
        told, of_the_master = [], signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, lambda *it: told.append(of_the_master(*it)))
        os.kill(os.getppid(), signal.SIGTERM)
        while not told:
            time.sleep(0.01)
        super().init_signals()

logging.basicConfig(level=logging.INFO)
server._Threads = Told
server.serve(lambda: Flask("any"), "127.0.0.1:0")
"""


def test_a_worker_that_is_told_to_stop_while_it_starts_ends_by_itself() -> None:
    """Else it is killed in the end, and what it has taken by then gets no answer."""
    done = subprocess.run(
        [sys.executable, "-c", TOLD_WHILE_IT_STARTS],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=True,
    )
    assert "Worker exiting" in done.stderr


def test_an_address_in_use_is_one_clear_line(web: Web, tmp_path: Path) -> None:
    done = subprocess.run(
        COMMAND,
        env=environment(tmp_path, web.address),
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        check=False,
    )
    assert done.returncode == 3
    assert f"can't listen on {web.address}: Address already in use" in done.stderr
    assert done.stderr.endswith("; see DEPLOYER_BIND\n")
    assert "Traceback" not in done.stderr


def test_an_address_that_the_system_has_no_number_for_is_told_in_words() -> None:
    with pytest.raises(OperatorError, match=r"can't listen on unix:/a+: AF_UNIX path"):
        serve(lambda: Flask(__name__), f"unix:/{'a' * 200}")


def test_a_unix_socket_is_open_to_the_group_and_replaces_a_dead_one(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with running(tmp_path / "state", f"unix:{path}") as web:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert web.deliver("by-unix-socket") == 202
        assert asked(web, "GET / HTTP/1.1", "Host: localhost") == 403, "a proxy is behind it"
        assert asked(web, "GET /healthz HTTP/1.1", "Host: localhost") == 200


def asked(web: Web, *lines: str) -> int:
    with web.connect() as client:
        client.sendall("\r\n".join([*lines, "Connection: close", "", ""]).encode())
        return int(client.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        (200, ("GET / HTTP/1.1", "Host: 127.0.0.1:9000")),
        (403, ("GET / HTTP/1.1", "Host: localhost", "X-Forwarded-For: 127.0.0.1")),
        (403, ("GET / HTTP/1.1", "Host: localhost", "x-forwarded-for:")),
        (403, ("GET / HTTP/1.1", "Host: class.example")),
        (403, ("GET http://localhost/ HTTP/1.1", "Host: class.example")),
        (403, ("GET //healthz/../ HTTP/1.1", "Host: class.example")),
        (403, ("GET /healthz/%2e%2e/ HTTP/1.1", "Host: class.example")),
        (403, ("GET /healthz%2f..%2freadyz HTTP/1.1", "Host: class.example")),
        (403, ("HEAD / HTTP/1.1", "Host: class.example")),
        (403, ("OPTIONS / HTTP/1.1", "Host: class.example")),
        (403, ("GET / HTTP/1.0",)),
    ],
)
def test_only_a_request_of_this_machine_itself_passes_the_door(
    web: Web, status: int, lines: tuple[str, ...]
) -> None:
    assert asked(web, *lines) == status


def test_two_names_of_the_host_are_none_of_this_machine(web: Web) -> None:
    assert asked(web, "GET / HTTP/1.1", "Host: localhost", "Host: evil.example") in {400, 403}
    assert asked(web, "GET / HTTP/1.1", "Host: evil.example", "Host: localhost") in {400, 403}


@pytest.fixture
def given_by_systemd(tmp_path: Path) -> Iterator[Web]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        # As systemd does it: descriptor 3, and the process's own id (sd_listen_fds(3)).
        script = f'exec 3<&{listener.fileno()}; exec env LISTEN_FDS=1 LISTEN_PID=$$ "$@"'
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", *COMMAND],
            env=environment(tmp_path, "127.0.0.1:1"),
            pass_fds=[listener.fileno()],
            stderr=subprocess.DEVNULL,
        )
    with process:
        try:
            yield Web(process, address, tmp_path)
        finally:
            process.terminate()
            process.wait(BOUND_S)


def test_a_socket_of_systemd_is_served(given_by_systemd: Web) -> None:
    assert given_by_systemd.deliver("by-systemd") == 202


def test_clients_that_stall_at_a_socket_of_systemd_hold_up_nobody_for_long(
    given_by_systemd: Web,
) -> None:
    with ExitStack() as stalled:
        for _ in range(SETTINGS["threads"]):
            client = stalled.enter_context(given_by_systemd.connect())
            client.sendall(request(Content_Length="1000", body=b""))
        assert given_by_systemd.deliver("behind-the-stalled") == 202


def test_clients_that_stay_after_their_last_answer_hold_up_nobody_for_long(web: Web) -> None:
    last = request(X_Hub_Signature_256=WRONG, Connection="close")
    with ExitStack() as staying:
        for _ in range(3 * SETTINGS["threads"]):
            staying.enter_context(web.connect()).sendall(last)
        assert web.deliver("behind-those-who-stay") == 202
