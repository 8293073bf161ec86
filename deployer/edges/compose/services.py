"""The class's Airflow as services of one Compose project; implements `ports.Services`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from typing import Any, Protocol

from docker.client import DockerClient
from docker.models.containers import Container

from deployer.core.model import Vitals
from deployer.core.verdicts import trace
from deployer.edges.airflow import health
from deployer.edges.compose.engine import Containers, asking, last_lines, passes_its_check, state_of
from deployer.edges.compose.runner import ComposeRunner, read_text, shared_file, up
from deployer.edges.packages.installer_output import listed
from deployer.edges.packages.slots import Slot, Slots
from deployer.errors import NotHealthy, ServicesError

_MARGIN_S = 120.0
"""What Compose may take beyond a service's own stop: making and starting a container."""
_LOOK_S = 0.5
_NO_POLICY = ("", "no")


class Way(Protocol):
    """How packages are proven and moved; every method may be called again after a crash."""

    @property
    def slots(self) -> Slots[Any]:
        """The names by which they move."""

    def packages(self, slot: Slot) -> tuple[str, str | None]:
        """Return what a container needs to have what `slot` leads to.

        Its image's name, and `_PIP_ADDITIONAL_REQUIREMENTS`, None: all of them are in the image.
        """

    def installed(self, containers: Sequence[Container]) -> str | None:
        """Return the class's text on which all of `containers` run, None if it is not known.

        `containers` are those of the services that are recreated, as just listed; there is at
        least one. What a stopped one runs on is not known, nor what was not found healthy
        (`confirm`); what was made of no text is known to be none.

        Raises:
            ServicesError: the engine does not answer.
        """

    def on_current(self, container: Container) -> bool:
        """Tell whether a container runs, and surely on what `current` leads to."""

    def resolve(self, text: str) -> tuple[str, ...]:
        """Return the distributions that `text` adds to what runs; changes nothing.

        Raises:
            RequirementsRefused, ServicesError
        """

    def build(self, text: str) -> tuple[str, ...]:
        """Make `next` of `text` and prove that it works; return what it adds.

        Raises:
            RequirementsRefused, ServicesError, DiskError
        """

    def tidy(self) -> None:
        """Remove what a call that died left behind, and what no name leads to any more."""


@dataclass(eq=False)
class ComposeServices:
    """Recreates services of the operator's own compose file, one after the other.

    Attributes:
        client: may be a `LazyClient`, which connects when it is first needed.
        runner: runs Compose for the project; knows its file and name.
        way: how packages get into the containers.
        services: those that `way` gives packages to, in the order of RECREATE_SERVICES.
        airflow_url: where the api-server answers this machine.
        health_timeout_s: bound of `wait_healthy`.
    """

    client: DockerClient
    runner: ComposeRunner
    way: Way
    services: Sequence[str]
    airflow_url: str
    health_timeout_s: float

    def __post_init__(self) -> None:
        self._containers = Containers(self.client, self.runner.project.name)

    def tidy(self) -> None:
        self._await_orphan()
        self._containers.remove_twins(self.services)
        self.way.slots.drop(Slot.NEXT)
        self.way.tidy()

    def own_stack(self) -> str | None:
        return read_text(shared_file(self.runner.project.file))

    def installed(self) -> str | None:
        found = [self._containers.of(service) for service in self.services]
        return self.way.installed(list(chain(*found))) if all(found) else None

    def resolve(self, text: str) -> str:
        return f"resolves: {listed(self.way.resolve(text))}"

    def build(self, text: str) -> str:
        return f"built: {listed(self.way.build(text))}"

    def recreate(self, services: Sequence[str]) -> str:
        return self._move(services, self.way.slots.advance)

    def put_back(self, services: Sequence[str], *, keep: bool = False) -> str:
        return self._move(services, partial(self.way.slots.go_back, keep=keep))

    def wait_healthy(self, services: Sequence[str]) -> str:
        began = time.monotonic()
        self._wait(lambda: self._not_up(services, vouched_for=True) | self._silent(services))
        self.way.slots.confirm()
        return f"{', '.join(services)} healthy after {time.monotonic() - began:.1f} s"

    def vitals(self, service: str) -> Vitals:
        containers = self._containers.of(service)
        states = [state_of(container) for container in containers]
        if not states:
            return Vitals(None, steady=False, words="has no container")
        now = datetime.now(UTC)
        lives = [
            f"{container.id} since {seen.started_at.isoformat()}"
            for container, seen in zip(containers, states, strict=True)
        ]
        runs = all(seen.status == "running" for seen in states)
        return Vitals(
            ", ".join(lives) if runs else None,
            steady=all(seen.steady(now) for seen in states),
            words=next((s.words() for s in states if not s.steady(now)), states[0].words()),
        )

    def revive(self, service: str) -> None:
        for container in self._containers.of(service):
            # One that Docker itself would start again, and does not, was stopped by somebody.
            if container.attrs["HostConfig"]["RestartPolicy"]["Name"] in _NO_POLICY:
                with asking(f"start {container.name}"):
                    container.start()

    # -- inside

    def _move(self, services: Sequence[str], move: Callable[[], None]) -> str:
        """Move the packages, then recreate; dying anywhere, the same call again ends the same."""
        stack = self.runner.stack(services)
        self._await_orphan()
        move()
        took: list[str] = []
        for service in services:
            if self._settled(service):
                continue  # recreated before somebody died, or not yet when it is taken back
            began = time.monotonic()
            # Dying in here leaves what Compose makes of it; `_await_orphan` waits for that.
            self._containers.remove_twins([service])
            own_s = stack.services[service].stop_grace_s
            within_s = max(own_s, self._grace_s(service)) + _MARGIN_S
            self.runner.run(up(service), within_s=within_s)
            # The next one only now: what breaks one service takes no other down with it, and
            # the api-server, while it is away, has the machine for itself.
            self._wait(partial(self._not_up, [service], vouched_for=False))
            took.append(f"{service} in {time.monotonic() - began:.1f} s")
        return f"recreated {', '.join(took)}" if took else "all of them run on it already"

    def _settled(self, service: str) -> bool:
        """Tell whether a service runs on the current packages already."""
        found = self._containers.of(service)
        return bool(found) and all(map(self.way.on_current, found))

    def _await_orphan(self) -> None:
        """Wait for the Compose of a worker that died, as long as its service may take to stop."""
        self.runner.wait_idle(max(map(self._grace_s, self.services), default=0) + _MARGIN_S)

    def _grace_s(self, service: str) -> float:
        """Return how long its containers may take to stop: that of the file they were made of."""
        found = self._containers.of(service)
        return max((one.attrs["Config"].get("StopTimeout") or 0.0 for one in found), default=0.0)

    def _wait(self, unhealthy: Callable[[], dict[str, str]]) -> None:
        """Wait until there is no service with something amiss.

        Raises:
            NotHealthy: there is after `health_timeout_s`, or one of them will never be well.
            ServicesError
        """
        began = looked = time.monotonic()
        while waiting := unhealthy():
            now = time.monotonic()
            if now - began > self.health_timeout_s:
                service, why = next(iter(waiting.items()))
                raise self._failed(
                    service, f"is not healthy after {self.health_timeout_s:g} s: {why}"
                )
            # A look takes from the processor that the start needs: no more than half of it.
            time.sleep(max(_LOOK_S, now - looked))
            looked = time.monotonic()

    def _not_up(self, services: Sequence[str], *, vouched_for: bool) -> dict[str, str]:
        """Return those of `services` that are not healthy, and what Docker says of them.

        Their own health check is made here as well: Docker's next one may be long in coming.

        `vouched_for`: Airflow is asked about those that it knows, too; without a health check
        of their own it has the only word.

        Raises:
            NotHealthy: one of them will never be.
            ServicesError: one of them is not there, or the engine does not answer.
        """
        now = datetime.now(UTC)
        waiting: dict[str, str] = {}
        for service in services:
            containers = self._containers.of(service)
            states = [state_of(container) for container in containers]
            if not states:
                # No packages do that.
                raise ServicesError(f"{service} has no container: was it removed by hand?")
            for seen in states:
                if failure := seen.failure(now):
                    raise self._failed(service, failure)
            vouched = vouched_for and health.knows(service)
            if not all(
                seen.healthy(now, vouched_for=vouched) or passes_its_check(container)
                for container, seen in zip(containers, states, strict=True)
            ):
                waiting[service] = f"Docker says {states[0].health or states[0].status}"
        return waiting

    def _silent(self, services: Sequence[str]) -> dict[str, str]:
        """Return those that Airflow does not call healthy.

        Asked also before Docker is content: the first question makes the api-server ready for
        tasks.
        """
        running: dict[str, datetime] = {}
        for service in services:
            states = [state_of(container) for container in self._containers.of(service)]
            if all(seen.status == "running" for seen in states):
                running[service] = max(seen.started_at for seen in states)
        silent = health.unhealthy(self.airflow_url, running)
        return dict.fromkeys(silent, "Airflow does not call it healthy")

    def _failed(self, service: str, what: str) -> NotHealthy:
        lines = [last_lines(container) for container in self._containers.of(service)[:1]]
        return NotHealthy(trace.ended(f"{service} {what}", "\n".join(lines)))
