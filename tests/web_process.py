"""A web process of a test's own, and HTTP to it, written by hand."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path

from deployer.demo.stage import free_port

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
        "X-Hub-Signature-256": signature(body or BODY),
        **{name.replace("_", "-"): value for name, value in changed.items()},
    }
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join(["POST /webhook HTTP/1.1", *lines, "", ""]).encode() + body


def signature(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


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
def running(
    state_dir: Path, address: str | None = None, more: Mapping[str, str] | None = None
) -> Iterator[Web]:
    """Run the web process until the block ends; `more`: settings beside, or in place of, ours."""
    state_dir.mkdir(parents=True, exist_ok=True)
    address = address or f"127.0.0.1:{free_port()}"
    with (
        (state_dir / "stderr").open("wb") as stderr,
        subprocess.Popen(
            COMMAND, env={**environment(state_dir, address), **(more or {})}, stderr=stderr
        ) as process,
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
