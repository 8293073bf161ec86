"""The Docker engine: a client of it, its errors as one kind, a Compose project's containers.

The containers are found by Compose's labels, looked at, and judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import docker
import urllib3
from docker import DockerClient
from docker.api.client import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container
from requests.exceptions import RequestException

from deployer.core.model import ContainerState
from deployer.errors import ServicesError
from deployer.masking import without
from deployer.ports.doctor import About, Seen

ENGINE: Final = (
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"),
    *("DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY"),
)
"""Variables that say which engine it is, to the `docker` command as to the SDK."""
# github.com/docker/compose: pkg/api/labels.go
_PROJECT, _SERVICE = "com.docker.compose.project", "com.docker.compose.service"
_ONEOFF = "com.docker.compose.oneoff"
# pkg/compose/convergence.go: what is to replace a container is made as <its short id>_<its name>.
_TWIN = re.compile(r"[0-9a-f]{12}_.+")
_LIVES = frozenset({"running", "restarting", "paused"})
_LAST_LINES = 10  # of a log
_LOG_LAG = timedelta(seconds=0.09)
"""A line may be stamped after the end of its program, which is started again after 0.1 s or more
(github.com/moby/moby: restartmanager)."""
_SECRET_NAME = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|KEY|CONN|CREDENTIAL")
_SHORTEST_SECRET = 8  # a shorter value stands in a log for many other reasons
_URL_PASSWORD = re.compile(r".*://[^/@:]*:([^/@]*)@.*", re.DOTALL)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def which_engine(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what a `docker` command has to be told to talk to the engine that `environ` means.

    DOCKER_CONFIG always, for the command may be given another home.
    """
    home = {"DOCKER_CONFIG": f"{environ['HOME']}/.docker"} if "HOME" in environ else {}
    return home | {name: environ[name] for name in ENGINE if environ.get(name)}


class LazyClient(DockerClient):
    """A client that connects at its first use.

    The SDK's own asks the engine for its version when it is made; a worker must be able to
    start while Docker is away, and to say so on each commit. Which engine that is, is said as
    to the `docker` command (`DOCKER_HOST`, its contexts), so that Compose and this client never
    talk to two of them.
    """

    def __init__(self) -> None:
        """Do not connect, as the parent's would."""

    @cached_property
    def api(self) -> APIClient:  # type: ignore[override]  # it can be written, says mypy not
        return docker.from_env().api

    def close(self) -> None:
        if "api" in self.__dict__:
            self.api.close()


ENGINE_ERRORS = (DockerException, RequestException, urllib3.exceptions.HTTPError)
"""All that the Docker SDK raises: its own, and those of the two libraries it talks through."""


@contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn whatever the engine raises while it is asked to do `what` into a ServicesError."""
    try:
        yield
    except APIError as exc:
        raise ServicesError(f"Docker could not {what}: {exc.explanation or exc}") from exc
    except ENGINE_ERRORS as exc:
        raise ServicesError(
            f"Docker did not answer when asked to {what} ({type(exc).__name__}): see that it "
            "runs (`systemctl status docker`) and that the deployer's user may use it"
        ) from exc


class Containers:
    """The containers of `project`."""

    def __init__(self, client: DockerClient, project: str) -> None:
        self._client = client
        self._project = project

    def about(self) -> About:
        """Return what the engine says of itself.

        Raises:
            ServicesError: it does not answer.
        """
        with asking("say who it is"):
            info = self._client.info()
        return About(info["ServerVersion"], Path(info["DockerRootDir"]))

    def containers(self) -> tuple[Seen, ...]:
        """Return all containers of the project, for `deployer doctor`.

        Raises:
            ServicesError: the engine does not answer.
        """
        return tuple(
            Seen(container.labels[_SERVICE], state_of(container), _passed_over(container))
            for container in self._all()
            if not _is_twin(container)
        )

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
                        twin.remove(v=True)  # but no volume that another one has too

    def _all(self, service: str | None = None) -> list[Container]:
        labels = [f"{_PROJECT}={self._project}", f"{_ONEOFF}=False"]
        labels += [f"{_SERVICE}={service}"] if service else []
        with asking(f"list the containers of {service or self._project}"):
            # ignore_removed: one may go between the engine's two answers.
            return self._client.containers.list(
                all=True, filters={"label": labels}, ignore_removed=True
            )


def state_of(container: Container) -> ContainerState:
    """Return what the engine said of the container when it was listed."""
    state: Mapping[str, Any] = container.attrs["State"]
    return ContainerState(
        status=state["Status"],
        health=(state.get("Health") or {}).get("Status"),
        restarts=container.attrs.get("RestartCount", 0),
        exit_code=state["ExitCode"],
        out_of_memory=state["OOMKilled"],
        started_at=datetime.fromisoformat(state["StartedAt"]),
    )


def passes_its_check(container: Container) -> bool:
    """Make a running container's own health check; False where it has none, or ends meanwhile."""
    test = (container.attrs["Config"].get("Healthcheck") or {}).get("Test") or ["NONE"]
    command = {"CMD": test[1:], "CMD-SHELL": ["/bin/sh", "-c", *test[1:]]}.get(test[0])
    if command is None or container.status != "running":
        return False
    with suppress(*ENGINE_ERRORS):
        return container.exec_run(command).exit_code == 0
    return False


def _passed_over(container: Container) -> tuple[str, ...]:
    """Return what one that did its work says that it passed over (accounts.py of Airflow's)."""
    seen = state_of(container)
    if seen.status != "exited" or seen.exit_code != 0:
        return ()
    # Of the last start alone: what was mended since is no ailment.
    with asking(f"show the log of {container.name}"):
        said = container.logs(since=seen.started_at).decode(errors="replace")
    return tuple(line for line in said.splitlines() if line.startswith("passed over: "))


def last_lines(container: Container) -> str:
    """Return the end of its log: printable, without the secrets of its environment.

    Of one that was started again and again, the end before its last start: what it says since
    is not why it ended.

    Raises:
        ServicesError: the engine does not answer.
    """
    until = None
    seen = state_of(container)
    if seen.restarts > 1:
        ended_at = datetime.fromisoformat(container.attrs["State"]["FinishedAt"])
        until = _between(ended_at, seen.started_at).timestamp()
    with asking(f"show the log of {container.name}"):
        # More of it, since the engine counts lines before it looks at their times.
        said = container.logs(tail=10 * _LAST_LINES, until=until)
    text = clean(said.decode(errors="replace"), container.attrs["Config"]["Env"] or ())
    return "\n".join(text.splitlines()[-_LAST_LINES:])


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
    text = without((one for one in secrets if len(one) >= _SHORTEST_SECRET), text)
    lines = _ESCAPE.sub("", text).splitlines()
    return "\n".join(
        "".join(c if c.isprintable() else " " for c in line).rstrip() for line in lines
    )


def _is_twin(container: Container) -> bool:
    return bool(_TWIN.fullmatch(container.name or ""))
