"""Run Compose such that it may outlive the worker, and never twice at a time; read its file.

A worker that dies (SIGKILL, out of memory) must not take Compose along in the middle of a
recreate, so Compose leads a session of its own and writes into a file and not a pipe, whose
end it would die of. That file is locked before, and the lock belongs to the open file (flock(2)),
which Compose and its plugin inherit as their output: the lock is free when the last of them has
ended. A worker that comes back waits for it instead of starting a second Compose beside it.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from deployer.core.model import COMPOSE_FILE
from deployer.core.stack import Stack, parse
from deployer.edges.compose.engine import which_engine
from deployer.errors import ServicesError

# github.com/compose-spec/compose-go: loader/normalize.go, schema/compose-spec.json
_SERVICE = re.compile(r"[a-zA-Z0-9._-]+")

Command: TypeAlias = tuple[str, ...]
"""What comes behind `docker compose` and its own options."""


@dataclass(frozen=True, slots=True)
class Project:
    """The operator's own compose file, and the name under which Compose runs it."""

    name: str
    file: Path


CONFIG: Final = ("config", "--format", "json")
"""Print the file as Compose understands it, as JSON; changes nothing, asks no engine."""
VERSION: Final = ("version", "--short")
"""Print which Compose this is; reads no file."""


def up(service: str) -> Command:
    """Recreate one service, whatever it runs on, and start it; does not wait for its health.

    Compose makes the new container, stops the old one, removes it, and only then starts the
    new: never two at once.

    Raises:
        ServicesError: a service's name is none.
    """
    if not _SERVICE.fullmatch(service):
        raise ServicesError(f"{service!r} is no service's name: see DEPLOYER_RECREATE_SERVICES")
    # --no-deps: the database stays untouched. --pull never: what runs was proven here;
    # a missing image is an error, and never somebody else's of the same name.
    return (
        *("up", "--detach", "--no-deps", "--no-build", "--force-recreate"),
        *("--pull", "never", "--", service),
    )


def start(services: Sequence[str]) -> Command:
    """Start services as the file has them, and wait until they are healthy; no others."""
    return ("up", "--detach", "--wait", "--no-deps", "--", *services)


def stop(services: Sequence[str], within_s: int) -> Command:
    """Stop services, where they run."""
    return ("stop", "--timeout", str(within_s), "--", *services)


def script(service: str, text: str) -> Command:
    """Run a script of the shell in the service's container."""
    return ("exec", "-T", service, "sh", "-c", text)


def run(service: str, *alone: str) -> Command:
    """Run a command to its end in a container of the service for that alone; none: its own."""
    return ("run", "--rm", "--no-deps", "-T", service, *alone)


def argv(project: Project, command: Command) -> tuple[str, ...]:
    """Return the command line, the program's name first."""
    if command == VERSION:
        return ("docker", "compose", *command)
    return (
        *("docker", "compose", "--ansi", "never", "--progress", "plain"),
        *("--project-name", project.name, "--file", str(project.file), *command),
    )


PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK")
"""What Compose may see of the deployer's environment beside which engine it is: no secret, since
a compose file can put any variable into a container."""
_ASK_S = 20.0
_LOOK_S = 0.1
_SHOWN_LINES = 5


class ComposeRunner:
    """Runs Compose for one project.

    Args:
        project: whose commands these are.
        output: file for what Compose says; its directory is made. It is also the lock.
        environ: of which Compose sees `PASSED`, and which engine it is.
    """

    def __init__(self, project: Project, output: Path, *, environ: Mapping[str, str]) -> None:
        self.project = project
        self.output = output
        passed = {name: environ[name] for name in PASSED if name in environ}
        self._environment = passed | which_engine(environ)

    def ask(self, command: Command) -> str:
        """Run a command that changes nothing; return what it prints.

        Raises:
            ServicesError: it failed, or took longer than a third of a minute.
        """
        return self.pipe(command, stdout=subprocess.PIPE, within_s=_ASK_S).decode(errors="replace")

    def pipe(
        self,
        command: Command,
        *,
        stdin: IO[bytes] | int = subprocess.DEVNULL,
        stdout: IO[bytes] | int = subprocess.DEVNULL,
        within_s: float,
    ) -> bytes:
        """Run a command from one file into another; return what it prints into a pipe.

        Raises:
            ServicesError: it failed, or was killed after `within_s`.
        """
        with self._child(command, stdout, subprocess.PIPE, stdin) as child:
            try:
                said, complained = child.communicate(timeout=within_s)
            except subprocess.TimeoutExpired as exc:
                raise ServicesError(
                    f"docker compose {command[0]} did not finish within {within_s:g} s"
                ) from exc
        self._check(command, child.returncode, complained)
        return said or b""

    def version(self) -> str:
        return self.ask(VERSION).strip().removeprefix("v")

    def config(self) -> Mapping[str, Any]:
        """Return the operator's file as Compose understands it.

        Raises:
            ServicesError: Compose refuses it; its words may quote a secret of the file.
        """
        try:
            stack: Mapping[str, Any] = json.loads(self.ask(CONFIG))
        except (ValueError, RecursionError) as exc:
            raise ServicesError("docker compose config printed no JSON") from exc
        return stack

    def stack(self, services: Sequence[str]) -> Stack:
        """Let Compose read the file (0.1 s); `services` must be in it.

        Raises:
            ServicesError: there is no such file, Compose refuses it, or a service is missing.
        """
        file = self.project.file
        read_text(file)
        try:
            stack = parse(file, self.config())
        except ServicesError as exc:
            raise ServicesError(f"{file} can't be used: {exc}") from exc
        stack.require(services)
        return stack

    def run(self, command: Command, *, within_s: float) -> None:
        """Run a command to its end, after one that an earlier worker may have left running.

        Raises:
            ServicesError: it failed, or is not over (or the other one) after `within_s` and was
                killed with all its children; the message ends with its last lines.
        """
        with self._locked(within_s) as output:
            output.truncate(0)
            # Dying here leaves Compose to finish by itself, and the lock with it.
            with self._child(command, output, subprocess.STDOUT) as child:
                try:
                    child.wait(within_s)
                except subprocess.TimeoutExpired as exc:
                    raise ServicesError(
                        f"docker compose {command[0]} did not finish within {within_s:g} s:"
                        f"\n{_end_of(self.output.read_bytes())}"
                    ) from exc
        self._check(command, child.returncode, self.output.read_bytes())

    def wait_idle(self, within_s: float) -> None:
        """Wait until no Compose of an earlier worker runs.

        Raises:
            ServicesError: it still does after `within_s`.
        """
        with self._locked(within_s):
            pass

    @contextmanager
    def _locked(self, within_s: float) -> Iterator[IO[bytes]]:
        try:
            self.output.parent.mkdir(parents=True, exist_ok=True)
            file = self.output.open("ab")
        except OSError as exc:
            raise ServicesError(f"{self.output} can't be written: {exc.strerror}") from exc
        with file:
            over = time.monotonic() + within_s
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                if time.monotonic() >= over:
                    raise ServicesError(
                        f"a docker compose that an earlier worker started has not ended in"
                        f" {within_s:g} s; see {self.output} and `ps -C docker-compose -f`"
                    )
                time.sleep(_LOOK_S)
            yield file

    @contextmanager
    def _child(
        self,
        command: Command,
        out: IO[bytes] | int,
        err: int,
        given: IO[bytes] | int = subprocess.DEVNULL,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command, and kill what is left of its group afterwards."""
        try:
            child = subprocess.Popen(
                argv(self.project, command),
                env=self._environment,
                stdin=given,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as exc:
            raise ServicesError(
                f"docker can't be started ({exc.strerror}): install Docker Engine and its Compose"
                " plugin (docker.io and docker-compose-v2, or docker-ce and docker-compose-plugin)"
            ) from exc
        try:
            yield child
        finally:
            if child.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.communicate()

    def _check(self, command: Command, status: int, said: bytes) -> None:
        if status == 0:
            return
        with (
            self._child(VERSION, subprocess.DEVNULL, subprocess.DEVNULL) as probe,
            suppress(subprocess.TimeoutExpired),
        ):
            if probe.wait(_ASK_S):
                raise ServicesError(
                    "docker has no `compose`: install docker-compose-v2 or docker-compose-plugin"
                )
        raise ServicesError(f"docker compose {command[0]} failed: {_end_of(said)}")


def _end_of(said: bytes) -> str:
    lines = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return "\n".join(lines[-_SHOWN_LINES:]) or "it said nothing"


def shared_file(file: Path) -> Path:
    """Return the operator's copy of the file that the class repository has as well.

    It is COMPOSE_FILE itself, unless that (as the plain way's) builds upon one beside it.
    """
    beside = file.with_name(COMPOSE_FILE)
    return beside if beside.exists() else file


def read_text(file: Path) -> str:
    """Return the file as it is written.

    Raises:
        ServicesError
    """
    try:
        return file.read_text()
    except FileNotFoundError as exc:
        raise ServicesError(
            f"{file} is not there: copy docker-compose.yaml and what it names to it, or set"
            " DEPLOYER_COMPOSE_FILE"
        ) from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise ServicesError(f"{file} can't be read: {exc}") from exc
