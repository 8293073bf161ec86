"""The web process as it runs: `deployer web`, gunicorn on a loopback port, SQLite on disk."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from deployer.core.webhook import BODY_LIMIT
from deployer.demo.ports import free_port

SECRET = "a secret of thirty-two characters"
REPO = "teacher/class-airflow"
BODY = json.dumps(
    {
        "ref": "refs/heads/main",
        "before": "b" * 40,
        "after": "a" * 40,
        "repository": {"full_name": REPO},
    }
).encode()
WRONG = "sha256=" + "0" * 64
BOUND_S = 60.0
"""How long a start, an answer or an end is waited for on a busy machine."""


@dataclass(frozen=True)
class Web:
    """A running web process; `address` is `host:port` or `unix:/path`."""

    process: subprocess.Popen[bytes]
    address: str
    state_dir: Path

    def connect(self) -> socket.socket:
        if self.address.startswith("unix:"):
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(BOUND_S)
            try:
                client.connect(self.address.removeprefix("unix:"))
            except OSError:
                client.close()
                raise
            return client
        host, port = self.address.rsplit(":", 1)
        return socket.create_connection((host, int(port)), BOUND_S)

    def deliver(self, guid: str) -> int:
        with self.connect() as client:
            client.sendall(request(guid))
            return answer(client).status

    def known(self) -> set[str]:
        with closing(sqlite3.connect(self.state_dir / "deployer.db")) as database:
            return {guid for (guid,) in database.execute("SELECT guid FROM deliveries")}


def request(guid: str | None = None, *, body: bytes = BODY, **changed: str | None) -> bytes:
    """Return a signed delivery as bytes; headers with `_` for `-`, None leaves one out."""
    headers = {
        "Host": "localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": guid or str(uuid.uuid4()),
        "X-Hub-Signature-256": "sha256="
        + hmac.new(SECRET.encode(), BODY, hashlib.sha256).hexdigest(),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(["POST /webhook HTTP/1.1", *lines, "", ""]).encode() + body


def answer(client: socket.socket) -> HTTPResponse:
    """Read one answer, its body included, and not a byte more."""
    response = HTTPResponse(client, method="POST")
    response.begin()
    response.text = response.read().decode()  # type: ignore[attr-defined]  # carried along
    return response


def chunked(body: bytes, size: int) -> bytes:
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])


def environment(state_dir: Path, address: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "DEPLOYER" not in name} | {
        "DEPLOYER_STATE_DIR": str(state_dir),
        "DEPLOYER_GITHUB_REPO": REPO,
        "DEPLOYER_WEBHOOK_SECRET": SECRET,
        "DEPLOYER_BIND": address,
    }


def peak_mb(web: Web) -> float:
    """Return how much memory the process that answers has had at most."""
    master = web.process.pid
    (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    status = Path(f"/proc/{worker}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line)


COMMAND = [sys.executable, "-m", "deployer", "web"]


@contextmanager
def running(state_dir: Path, address: str | None = None) -> Iterator[Web]:
    """Run the web process until the block ends."""
    state_dir.mkdir(parents=True, exist_ok=True)
    address = address or f"127.0.0.1:{free_port()}"
    with (
        (state_dir / "stderr").open("wb") as stderr,
        subprocess.Popen(COMMAND, env=environment(state_dir, address), stderr=stderr) as process,
    ):
        try:
            web = Web(process, address, state_dir)
            wait_until_it_answers(web)
            yield web
        finally:
            process.terminate()
            try:
                process.wait(BOUND_S)
            finally:
                process.kill()


def wait_until_it_answers(web: Web) -> None:
    deadline = time.monotonic() + BOUND_S
    while True:
        try:
            with web.connect() as client:
                client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                assert answer(client).status == 200
        except OSError:
            assert web.process.poll() is None, (web.state_dir / "stderr").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


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


# --- what is refused --------------------------------------------------------


def test_a_body_announced_as_too_long_is_refused_before_a_byte_of_it_was_sent(web: Web) -> None:
    with web.connect() as client:
        client.sendall(request(Content_Length=str(BODY_LIMIT + 1), body=b""))
        assert answer(client).status == 413


def test_chunks_over_the_limit_are_refused(web: Web) -> None:
    head = request(Content_Length=None, Transfer_Encoding="chunked", body=b"")
    with web.connect() as client:
        client.sendall(head + chunked(bytes(BODY_LIMIT + 1), 1024 * 1024))
        assert answer(client).status == 413


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"X_Hub_Signature_256": None}, 401),
        ({"X_Hub_Signature_256": "sha256=00"}, 401),
        ({"Content_Type": "text/plain"}, 415),
        ({"Content_Encoding": "gzip"}, 415),
    ],
)
def test_what_its_headers_refuse_is_answered_before_a_byte_of_the_body_was_sent(
    web: Web, changed: dict[str, str | None], status: int
) -> None:
    head = request(Content_Length=str(BODY_LIMIT), body=b"", **changed)
    with web.connect() as client:
        client.sendall(head)
        assert answer(client).status == status


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"X_Hub_Signature_256": None}, 401),
        ({"X_Hub_Signature_256": WRONG}, 401),
        ({"X_Hub_Signature_256": None, "Connection": "close"}, 401),
        ({"X_Hub_Signature_256": None, "Content_Length": str(BODY_LIMIT + 1)}, 413),
    ],
)
def test_a_client_that_sends_all_of_a_refused_body_before_it_listens_reads_the_answer(
    web: Web, changed: dict[str, str | None], status: int
) -> None:
    length = int(changed.get("Content_Length") or BODY_LIMIT)
    with web.connect() as client:
        client.sendall(request(**{"Content_Length": str(length), **changed}, body=b""))
        client.sendall(bytes(length))
        assert answer(client).status == status


def test_large_bodies_of_strangers_are_not_in_memory_together(tmp_path: Path) -> None:
    head = request(X_Hub_Signature_256=WRONG, Content_Length=str(BODY_LIMIT), body=b"")
    body = bytes(BODY_LIMIT)

    with running(tmp_path) as web, ThreadPoolExecutor(16) as strangers:

        def send(_: int) -> int | None:
            with web.connect() as client:
                client.sendall(head)
                # Who is refused and then takes longer than READ_ON_S is hung up on.
                with suppress(BrokenPipeError, ConnectionResetError):
                    client.sendall(body)
                    return answer(client).status
            return None

        before = peak_mb(web)
        statuses = set(strangers.map(send, range(16)))
        assert statuses <= {401, 503, None}
        assert 401 in statuses
        assert peak_mb(web) - before < 150
        assert web.deliver("1") == 202


def test_a_malformed_chunk_is_refused_and_the_connection_closed(web: Web) -> None:
    head = request(Content_Length=None, Transfer_Encoding="chunked", body=b"")
    with web.connect() as client:
        client.sendall(head + b"-1\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert answer(client).status == 400
        assert client.recv(1) == b""


def test_headers_without_end_are_refused(web: Web) -> None:
    with web.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * 600_000)
        assert answer(client).status == 431


def test_what_is_not_http_is_refused(web: Web) -> None:
    with web.connect() as client:
        client.sendall(b"\x16\x03\x01 this is TLS\r\n\r\n")
        assert answer(client).status == 400


def test_a_wrong_signature_writes_nothing(web: Web) -> None:
    with web.connect() as client:
        client.sendall(request("forged", X_Hub_Signature_256="sha256=" + "0" * 64))
        assert answer(client).status == 401
    assert "forged" not in web.known()


# --- slow clients -----------------------------------------------------------


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
    assert "Traceback" not in done.stderr


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


def test_a_socket_of_systemd_is_served(tmp_path: Path) -> None:
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
            assert Web(process, address, tmp_path).deliver("by-systemd") == 202
        finally:
            process.terminate()
            process.wait(BOUND_S)
