"""The containers of one Compose project: found by Compose's labels, looked at, judged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from docker.client import DockerClient
from docker.errors import NotFound
from docker.models.containers import Container

from deployer.core.reporting.counts import counted
from deployer.edges.compose.engine import asking

# github.com/docker/compose: pkg/api/labels.go
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_ONEOFF = "com.docker.compose.oneoff"
# pkg/compose/convergence.go: what is to replace a container is made as <its short id>_<its name>.
_TWIN = re.compile(r"[0-9a-f]{12}_.+")
_LIVES = frozenset({"running", "restarting", "paused"})
_NEVER = datetime.min.replace(tzinfo=UTC)
_LOG_LAG = timedelta(seconds=0.09)
"""A line may be stamped after the end of its program, which is started again after 0.1 s or more
(github.com/moby/moby: restartmanager)."""
_SETTLED = timedelta(seconds=5)
_STEADY = timedelta(seconds=15)
"""What ran for 10 s is no longer "ending again and again" to Docker, either: it starts it at once
then (docs.docker.com/engine/containers/start-containers-automatically)."""
_SECRET_NAME = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|KEY|CONN|CREDENTIAL")
_SHORTEST_SECRET = 8  # a shorter value stands in a log for many other reasons
_URL_PASSWORD = re.compile(r".*://[^/@:]*:([^/@]*)@.*", re.DOTALL)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one container.

    Attributes:
        status: `created`, `running`, `restarting`, `paused`, `exited` or `dead`.
        health: `starting`, `healthy` or `unhealthy`; None without a health check.
        restarts: how often its restart policy has started it again.
        exit_code: of its last end; 0 while it runs.
        out_of_memory: the kernel killed it for its memory limit.
        started_at: of its last start.
    """

    status: str
    health: str | None = None
    restarts: int = 0
    exit_code: int = 0
    out_of_memory: bool = False
    started_at: datetime = _NEVER

    def healthy(self, now: datetime, *, vouched_for: bool) -> bool:
        """Tell whether Docker calls it healthy.

        Without a health check it is healthy if it runs, and somebody vouches for it or it has
        not ended within a few seconds.
        """
        if self.status != "running":
            return False
        if self.health is None:
            return vouched_for or now - self.started_at >= _SETTLED
        return self.health == "healthy"

    def steady(self, now: datetime) -> bool:
        """Tell whether it runs, and not because it was just started again after it had ended."""
        return self.status == "running" and (self.restarts == 0 or now - self.started_at >= _STEADY)

    def words(self) -> str:
        """Return in words how it stands."""
        why = " for want of memory" if self.out_of_memory else ""
        again = f", {counted(self.restarts, 'time')} started again" if self.restarts else ""
        if self.status in {"exited", "dead", "restarting"}:
            return f"ended with exit code {self.exit_code}{why}{again}"
        return f"is {self.status}{again}"

    def failure(self, now: datetime) -> str | None:
        """Return in words why waiting any longer is in vain, None if it is not.

        One restart is forgiven: a service may start before what it needs.
        """
        why = " for want of memory" if self.out_of_memory else ""
        if self.status in {"exited", "dead"}:
            return f"ended with exit code {self.exit_code}{why}"
        if self.restarts > 1 and not self.healthy(now, vouched_for=False):
            return f"ends again and again{why}: {self.restarts} restarts"
        return None


class Containers:
    """The containers of `project`."""

    def __init__(self, client: DockerClient, project: str) -> None:
        self._client = client
        self._project = project

    def of(self, service: str) -> list[Container]:
        """Return the containers of a service, running or not, without twins.

        Raises:
            ServicesError: the engine does not answer.
        """
        return [container for container in self._all(service) if not _is_twin(container)]

    def remove_twins(self, services: Sequence[str]) -> None:
        """Remove what a recreate that was cut short made and did not start.

        Compose itself stumbles over it: "the container name is already in use".

        Raises:
            ServicesError: the engine does not answer, or refuses.
        """
        for service in services:
            for twin in filter(_is_twin, self._all(service)):
                if twin.status not in _LIVES:
                    with asking(f"remove {twin.name}"), suppress(NotFound):
                        twin.remove()

    def _all(self, service: str) -> list[Container]:
        labels = [f"{_PROJECT}={self._project}", f"{_SERVICE}={service}", f"{_ONEOFF}=False"]
        with asking(f"list the containers of {service}"):
            # ignore_removed: one may go between the engine's two answers.
            return self._client.containers.list(
                all=True, filters={"label": labels}, ignore_removed=True
            )


def look(container: Container) -> Look:
    """Return what the engine said of the container when it was listed."""
    state: Mapping[str, Any] = container.attrs["State"]
    return Look(
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        restarts=container.attrs.get("RestartCount", 0),
        exit_code=state["ExitCode"],
        out_of_memory=state["OOMKilled"],
        started_at=datetime.fromisoformat(state["StartedAt"]),
    )


def stop_timeout_s(container: Container) -> float:
    """Return how long this container may take to stop: that of the file it was made of."""
    return float(container.attrs["Config"].get("StopTimeout") or 0)


def last_lines(container: Container, count: int = 10, *, of_last_end: bool = False) -> str:
    """Return the end of its log: printable, without the secrets of its environment.

    Of one that was started again and again, or with `of_last_end`, the end before its last
    start: what it says since is not why it ended.

    Raises:
        ServicesError: the engine does not answer.
    """
    until = None
    seen = look(container)
    if seen.restarts > (0 if of_last_end else 1):
        ended_at = datetime.fromisoformat(container.attrs["State"]["FinishedAt"])
        until = _between(ended_at, seen.started_at).timestamp()
    with asking(f"show the log of {container.name}"):
        # More of it, since the engine counts lines before it looks at their times.
        said = container.logs(tail=10 * count, until=until)
    text = clean(said.decode(errors="replace"), container.attrs["Config"]["Env"] or ())
    return "\n".join(text.splitlines()[-count:])


def _between(ended_at: datetime, started_at: datetime) -> datetime:
    """Return a moment after the last line before `ended_at`, and before the first one since.

    On a busy machine lines are stamped late. The engine waits for the last of them before it
    makes ready to start again, and a start takes it longer than what is noted after it: so half
    of the way is safe on both sides, however slow both are.
    """
    return ended_at + max(_LOG_LAG, (started_at - ended_at) / 2)


def clean(text: str, environment: Sequence[str]) -> str:
    """Return `text` fit for a page that students see; `environment`: `NAME=value` each."""
    pairs = [variable.partition("=")[::2] for variable in environment]
    values = [value for name, value in pairs if _SECRET_NAME.search(name)]
    # The program that prints a password took it out of its URL before.
    secrets = {*values, *(_URL_PASSWORD.sub(r"\1", v) for v in values if "://" in v)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    lines = _ESCAPE.sub("", text).splitlines()
    return "\n".join(
        "".join(c if c.isprintable() else " " for c in line).rstrip() for line in lines
    )


def _is_twin(container: Container) -> bool:
    return bool(_TWIN.fullmatch(container.name or ""))
