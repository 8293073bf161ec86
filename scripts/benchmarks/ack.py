"""How fast is a signed delivery acknowledged, beside adnanh/webhook running `true`?

Ours writes each delivery to disk before it answers; the peer starts a process and
answers without waiting for it. Both get the same bodies at 32 kept-alive connections,
in turns, so that a machine that slows down slows both.

    python -m scripts.benchmarks.ack [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import json
import os
import re
import selectors
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deployer.demo.stage import free_port
from scripts.benchmarks.machine import memory_bytes

CONNECTIONS = 32
ROUNDS = 3
ROUND_S = 4.0
WARM_UP_S = 1.0
START_S = 20.0
BODIES = 16
SECRET = "a secret of the benchmark"  # noqa: S105  # guards nothing
REPO = "school/airflow-class"
ON_DISK = Path("/var/tmp")  # noqa: S108  # a folder of our own in it; /tmp may be memory

Json = dict[str, object]


@dataclass
class Side:
    """One of the two servers, and what was measured of it.

    Attributes:
        latencies_s: one for each answer.
        accepted: answers in the 200s, warm-up included.
        memory_bytes: proportional set size of the process and its children, the largest seen.
    """

    name: str
    port: int
    path: str
    pid: int
    latencies_s: list[float] = field(default_factory=list)
    accepted: int = 0
    refused: int = 0
    memory_bytes: int = 0


def run() -> Json:
    """Measure both and return the figures; see `_figures` for the keys."""
    if shutil.which("webhook") is None:
        raise SystemExit("the peer is missing: apt-get install webhook")
    with (
        tempfile.TemporaryDirectory(prefix="deployer-ack-", dir=ON_DISK) as folder,
        _deployer(Path(folder)) as ours,
        _peer(Path(folder)) as peer,
    ):
        for side in (ours, peer):
            _round(side, WARM_UP_S, measured=False)
        for _ in range(ROUNDS):
            for side in (ours, peer):
                _round(side, ROUND_S, measured=True)
        written = _count_deliveries(Path(folder))
        figures = {side.name: _figures(side) for side in (ours, peer)}
        return {
            **figures,
            "ratios": {
                "requests_per_s": _ratio(figures, "requests_per_s"),
                "p99_s": _ratio(figures, "p99_s"),
            },
            "connections": CONNECTIONS,
            "body_bytes": len(_body(0)),
            # A delivery whose answer was cut off by the end of a round is written all the same.
            "all_on_disk": written >= ours.accepted,
        }


def _figures(side: Side) -> Json:
    ordered = sorted(side.latencies_s)
    return {
        "requests_per_s": round(len(ordered) / (ROUNDS * ROUND_S), 1),
        "p50_s": round(ordered[len(ordered) // 2], 6),
        "p99_s": round(ordered[int(len(ordered) * 0.99)], 6),
        "max_s": round(ordered[-1], 6),
        "n": len(ordered),
        "refused": side.refused,
        "web_memory_bytes": side.memory_bytes,
    }


def _ratio(figures: dict[str, Json], key: str) -> float:
    return round(float(str(figures["deployer"][key])) / float(str(figures["peer"][key])), 3)


# --- the two servers --------------------------------------------------------


@contextlib.contextmanager
def _deployer(folder: Path) -> Iterator[Side]:
    # As on every start but the first: who makes the tables has Alembic in memory.
    make = "from deployer.edges.journal import SqlJournal as J; J.open({!r}, migrate=True)"
    url = f"sqlite:///{folder}/deployer.db"
    subprocess.run([sys.executable, "-c", make.format(url)], check=True)
    port = free_port()
    settings = {
        "DEPLOYER_STATE_DIR": str(folder),
        "DEPLOYER_GITHUB_REPO": REPO,
        "DEPLOYER_WEBHOOK_SECRET": SECRET,
        "DEPLOYER_BIND": f"127.0.0.1:{port}",
    }
    environ = {k: v for k, v in os.environ.items() if not k.startswith("DEPLOYER_")} | settings
    command = [sys.executable, "-m", "deployer", "web"]
    with _server("deployer", "/webhook", port, command, folder, environ) as side:
        yield side


@contextlib.contextmanager
def _peer(folder: Path) -> Iterator[Side]:
    signed = {
        "type": "payload-hmac-sha256",
        "secret": SECRET,
        "parameter": {"source": "header", "name": "X-Hub-Signature-256"},
    }
    hooks = folder / "hooks.json"
    hooks.write_text(
        json.dumps(
            [{"id": "push", "execute-command": "/bin/true", "trigger-rule": {"match": signed}}]
        )
    )
    port = free_port()
    command = ["webhook", "-hooks", str(hooks), "-ip", "127.0.0.1", "-port", str(port)]
    with _server("peer", "/hooks/push", port, command, folder, os.environ) as side:
        yield side


@contextlib.contextmanager
def _server(  # noqa: PLR0917  # two callers, both here
    name: str,
    path: str,
    port: int,
    command: list[str],
    folder: Path,
    environ: Mapping[str, str],
) -> Iterator[Side]:
    """Run `command`, which listens on `port`, until the block ends."""
    with (
        (folder / f"{name}.log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=environ) as process,
    ):
        try:
            _await_port(port, process)
            yield Side(name, port, path, process.pid)
        finally:
            process.terminate()
            process.wait(timeout=START_S)


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise SystemExit(f"{process.args!r} did not start to listen")


def _count_deliveries(folder: Path) -> int:
    with contextlib.closing(sqlite3.connect(folder / "deployer.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM deliveries").fetchone()[0])


# --- the load ---------------------------------------------------------------


def _round(side: Side, seconds: float, *, measured: bool) -> None:
    """Load `side` from a process of its own, so that nothing here takes its time."""
    done = subprocess.run(
        [*(sys.executable, "-m", __spec__.name), "--load", str(side.port), side.path, str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    )
    result = json.loads(done.stdout)
    side.accepted += result["accepted"]
    side.memory_bytes = max(side.memory_bytes, memory_bytes(side.pid))
    if measured:
        side.latencies_s += result["latencies_s"]
        side.refused += result["refused"]


class _Client:
    """One kept-alive connection that sends the next delivery when the last is answered."""

    _LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)

    def __init__(self, port: int, requests: Iterator[bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._requests = requests
        self._answer = b""
        self._sent_at = 0.0

    def send(self) -> None:
        request = next(self._requests)
        self._sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> tuple[int, float] | None:
        """Return status and seconds once an answer is whole."""
        data = self.socket.recv(65536)
        if not data:
            raise SystemExit("the server closed a connection in mid-round")
        self._answer += data
        head_end = self._answer.find(b"\r\n\r\n")
        length = self._LENGTH.search(self._answer)
        if head_end < 0 or length is None or len(self._answer) < head_end + 4 + int(length[1]):
            return None
        status = int(self._answer[9:12])
        self._answer = b""
        return status, time.perf_counter() - self._sent_at


def _load(port: int, path: str, seconds: float) -> Json:
    requests = _requests(path)
    poller = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        client = _Client(port, requests)
        poller.register(client.socket, selectors.EVENT_READ, client)
        client.send()
    statuses: list[int] = []
    latencies_s: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for key, _ in poller.select(1):
            answer = key.data.receive()
            if answer is not None:
                statuses.append(answer[0])
                latencies_s.append(answer[1])
                key.data.send()
    accepted = sum(200 <= status < 300 for status in statuses)  # noqa: PLR2004  # HTTP's
    return {
        "latencies_s": latencies_s,
        "accepted": accepted,
        "refused": len(statuses) - accepted,
    }


def _requests(path: str) -> Iterator[bytes]:
    """Give requests for ever: the same few bodies, each time under a new GUID."""
    signed = []
    for number in range(BODIES):
        body = _body(number)
        signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: GitHub-Hookshot/044aadd\r\n"
            "Accept: */*\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n"
            f"X-GitHub-Hook-ID: 292430182\r\nX-Hub-Signature-256: sha256={signature}\r\n"
            f"Content-Length: {len(body)}\r\nX-GitHub-Delivery: "
        )
        signed.append((head.encode(), b"\r\n\r\n" + body))
    while True:
        for start, rest in signed:
            yield start + str(uuid.uuid4()).encode() + rest


def _body(number: int) -> bytes:
    """Return a push as GitHub words it, about 8 kB."""
    api = f"https://api.github.com/repos/{REPO}"
    links = (
        "archive assignees blobs branches collaborators comments commits compare contents"
        " contributors deployments downloads events forks git_commits git_refs git_tags hooks"
        " issue_comment issue_events issues keys labels languages merges milestones"
        " notifications pulls releases stargazers statuses subscribers subscription tags teams"
        " trees"
    )
    person = {"name": "lasse", "email": "lasse@example.org", "username": "lasse"}
    repository = {
        "id": 35129377,
        "full_name": REPO,
        "owner": {"login": "school", "id": 6752317, "type": "Organization"} | person,
        "description": "The class's DAGs " * 20,
        **{
            f"{name}_url": f"{api}/{name}{{/sha}}{{?since,all,participating}}"
            for name in links.split()
        },
    }
    commits = [
        {
            "id": f"{number:02x}{nth:02x}" * 10,
            "tree_id": f"{nth:02x}" * 20,
            "distinct": True,
            "message": "Mend the taxi pipeline " * 10,
            "timestamp": "2026-03-01T09:15:00+01:00",
            "url": f"https://github.com/{REPO}/commit/{nth:040x}",
            "author": person,
            "committer": person,
            "added": [],
            "removed": [],
            "modified": [f"dags/lasse/part_{part}.py" for part in range(3)],
        }
        for nth in range(4)
    ]
    push = {
        "ref": "refs/heads/main",
        "before": f"{number:040x}",
        "after": commits[-1]["id"],
        "created": False,
        "deleted": False,
        "forced": False,
        "base_ref": None,
        "compare": f"https://github.com/{REPO}/compare/a...b",
        "commits": commits,
        "head_commit": commits[-1],
        "repository": repository,
        "pusher": person,
        "sender": {"login": "lasse", "id": 6752317},
    }
    return json.dumps(push, indent=None).encode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--load", nargs=3, metavar=("PORT", "PATH", "S"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        print(json.dumps(_load(int(args.load[0]), args.load[1], float(args.load[2]))))
    else:
        figures = run()
        print(json.dumps({"ack": figures}) if args.json else _table(figures))


def _table(figures: Json) -> str:
    lines = []
    for name in ("deployer", "peer"):
        side = figures[name]
        assert isinstance(side, dict)  # noqa: S101  # of `run`'s own making
        lines.append(
            f"{name:9} {side['requests_per_s']:8} requests/s   p50 {side['p50_s'] * 1000:7.2f} ms"
            f"   p99 {side['p99_s'] * 1000:7.2f} ms   {side['web_memory_bytes'] / 1e6:5.1f} MB"
        )
    return "\n".join([*lines, f"ratios    {figures['ratios']}"])


if __name__ == "__main__":
    main()
