"""A Debian with systemd in a container, on which scripts/install is run as a teacher runs it.

    with Vm() as vm:
        vm.install("--repo=school/class", …)
        vm.root("systemctl is-active deployer-web")
        vm.deliver(push)           # through Caddy, over TLS, signed

What it has not: a Docker engine. Docker's own commands are this machine's; nothing answers them,
but this machine's engine to whoever is told of it (`ENGINE`).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import socket
import ssl
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "install-test-vm:test"
NAME, AIRFLOW, REPO = "deployer.test", "airflow.deployer.test", "school/class"
CADDYS_ROOT = "/var/lib/caddy/.local/share/caddy/pki/authorities/local/root.crt"
INSTALL_TIMEOUT_S, COMMAND_TIMEOUT_S, BOUND_S = 600.0, 120.0, 60.0
SYSTEMD = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--tmpfs", "/run", "--tmpfs", "/run/lock", "--cgroupns", "host"),
    *("--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
    *("--volume", "/var/run/docker.sock:/srv/engine.sock"),
)
PROJECT = f"install-test-{os.getpid()}"
ENGINE = "export DOCKER_HOST=unix:///srv/engine.sock"
STACK = (
    f"{ENGINE}; docker compose --project-name {PROJECT} --file /etc/deployer/docker-compose.yaml"
)


@dataclass(frozen=True)
class Answer:
    status: int
    body: str

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class Vm:
    """The container: made in a `with`, and removed by its own id."""

    def __init__(self, caches: Path, like: Vm | None = None) -> None:
        """`caches`: what pip and uv fetched before; `like`: whose environments it has."""
        self._caches = caches
        # Environments are many small files, which the container's own layers are slow with.
        self._id = ""
        self._opt = ("--volumes-from", like._id) if like else ("--volume", "/opt")

    def __enter__(self) -> Self:
        self._id = docker(
            *("run", "--detach", "--name", f"install-test-{uuid.uuid4().hex[:8]}"),
            *("--hostname", "vm", "--memory", "3g", *SYSTEMD, *self._opt),
            *("--volume", f"{ROOT}:/src:ro", "--volume", f"{self._caches}:/var/cache/installers"),
            IMAGE,
        ).strip()
        try:
            self._lend_docker()
            self.booted()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        docker("rm", "--force", "--volumes", self._id)

    def root(self, script: str, *, timeout_s: float = COMMAND_TIMEOUT_S, check: bool = True) -> str:
        """Run a script of the shell as root; what it said, on both outputs."""
        done = subprocess.run(
            ["docker", "exec", self._id, "bash", "-c", f"exec 2>&1\n{script}"],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode == 0 or not check, f"{script} ended with {done.returncode}:\n{said}"
        return said.strip()

    def give(self, path: str, other: Vm) -> None:
        """Bring a file to another VM."""
        with subprocess.Popen(
            ["docker", "exec", self._id, "cat", path], stdout=subprocess.PIPE
        ) as read:
            subprocess.run(
                ["docker", "exec", "--interactive", other._id, "sh", "-c", f"cat >{path}"],
                stdin=read.stdout,
                check=True,
            )

    def install(self, *flags: str, source: str = "/src", check: bool = True) -> str:
        caches = "UV_CACHE_DIR=/var/cache/installers/uv PIP_CACHE_DIR=/var/cache/installers/pip"
        script = f"{caches} {source}/scripts/install {' '.join(flags)}"
        return self.root(script, timeout_s=INSTALL_TIMEOUT_S, check=check)

    def until(self, script: str, bound_s: float = BOUND_S) -> None:
        """Wait until a script of the shell ends well."""
        wait = f"until {script}; do read -rt 0.2 <> <(:) || :; done"
        self.root(f"timeout {bound_s} bash -c {json.dumps(wait)}", timeout_s=bound_s + 20)

    def booted(self) -> None:
        self.until("systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'")

    def reboot(self) -> None:
        docker("restart", "--time", "60", self._id)
        self.booted()

    @property
    def gateway(self) -> str:
        """This machine's address, seen from in there."""
        return self._inspect("{{.NetworkSettings.Gateway}}")

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Ask Caddy, over TLS by its own authority."""
        with_tls = ssl.create_default_context(cadata=self.root(f"cat {CADDYS_ROOT}"))
        connection = _ThroughTls(self._inspect("{{.NetworkSettings.IPAddress}}"), with_tls)
        return connection.ask(method, path, body, headers or {})

    def deliverer(self, secret: bytes = b"") -> Callable[..., Answer]:
        """Return what delivers a push as GitHub does: signed, through Caddy."""
        secret = secret or self.root("cat /etc/deployer/webhook_secret").encode()
        with_tls = ssl.create_default_context(cadata=self.root(f"cat {CADDYS_ROOT}"))
        address = self._inspect("{{.NetworkSettings.IPAddress}}")

        def deliver(sha: str, guid: str | None = None) -> Answer:
            body = push(sha)
            digest = hmac.new(secret, body, hashlib.sha256).hexdigest()
            headers = {
                "Content-Type": "application/json",
                "X-GitHub-Event": "push",
                "X-GitHub-Delivery": guid or str(uuid.uuid4()),
                "X-Hub-Signature-256": f"sha256={digest}",
            }
            return _ThroughTls(address, with_tls).ask("POST", "/webhook", body, headers)

        return deliver

    def _inspect(self, what: str) -> str:
        return docker("inspect", "--format", what, self._id).strip()

    def _lend_docker(self) -> None:
        plugins = json.loads(docker("info", "--format", "{{json .ClientInfo.Plugins}}"))
        compose = next(one["Path"] for one in plugins if one["Name"] == "compose")
        self.root(f"mkdir -p {Path(compose).parent}")
        for path in (_which("docker"), compose):
            docker("cp", "--follow-link", path, f"{self._id}:{path}")


class _ThroughTls(http.client.HTTPSConnection):
    """To an address, as if its name were known to the resolver."""

    def __init__(self, address: str, tls: ssl.SSLContext) -> None:
        super().__init__(NAME, timeout=30, context=tls)
        self._address, self._tls = address, tls

    def connect(self) -> None:
        plain = socket.create_connection((self._address, 443), timeout=30)
        self.sock = self._tls.wrap_socket(plain, server_hostname=NAME)

    def ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        try:
            self.request(method, path, body, headers)
            answer = self.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            self.close()


def push(sha: str) -> bytes:
    said = {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": sha,
        "repository": {"full_name": REPO},
        "pusher": {"name": "amy"},
    }
    return json.dumps(said).encode()


def docker(*argv: str) -> str:
    return subprocess.run(
        ["docker", *argv], check=True, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S
    ).stdout


def _which(name: str) -> str:
    return subprocess.run(
        ["which", name], check=True, capture_output=True, text=True
    ).stdout.strip()
