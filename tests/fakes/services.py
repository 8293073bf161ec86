"""Airflow's packages and processes in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deployer.core.model import Vitals
from deployer.errors import NotHealthy, RequirementsRefused, ServicesError


class FakeServices:
    """Implements `ports.Services`.

    Attributes:
        text: what runs now, healthy or not, None: not known.
        refuses: reason by text that does not install.
        breaks: texts that install and with which Airflow does not start.
        down: why nothing can be recreated (no Docker, say), None: it can.
        recreated: what was recreated, in order.
        litter: how many things a deployment that died left behind.
        stack: text of the operator's own compose file, None: there is none.
        stack_unreadable: why it can't be read, None: it can.
        lives: how often each service was started.
        ended: services that do not run.
        shaky: services that were started again a moment ago because they had ended.
        untold: why nothing can be said of a service's process, None: it can.
        revives: a service that ended can be started by `revive`.
    """

    def __init__(self, text: str | None = "") -> None:
        self.text = text
        self.refuses: dict[str, str] = {}
        self.breaks: set[str] = set()
        self.down: str | None = None
        self.recreated: list[tuple[str, ...]] = []
        self.litter = 0
        self.stack: str | None = None
        self.stack_unreadable: str | None = None
        self.lives: Counter[str] = Counter()
        self.ended: set[str] = set()
        self.shaky: set[str] = set()
        self.untold: str | None = None
        self.revives = True
        self._built: str | None = None
        self._on_trial = False
        self._healthy: str | None = text  # what ran before that trial

    def tidy(self) -> None:
        self.litter = 0
        self._built = None

    def own_stack(self) -> str | None:
        if self.stack_unreadable:
            raise ServicesError(self.stack_unreadable)
        return self.stack

    def installed(self) -> str | None:
        return None if self._on_trial else self.text

    def resolve(self, text: str) -> str:
        if text in self.refuses:
            raise RequirementsRefused(self.refuses[text], line=1)
        return "resolves"

    def build(self, text: str) -> str:
        self._built = text
        return "built"

    def recreate(self, services: Sequence[str]) -> str:
        if self.down:
            raise ServicesError(self.down)
        if self._built is not None:
            if not self._on_trial:
                self._healthy = self.text
            self.text, self._built, self._on_trial = self._built, None, True
        self.recreated.append(tuple(services))
        return "recreated"

    def wait_healthy(self, services: Sequence[str]) -> str:
        if self.text in self.breaks:
            raise NotHealthy("airflow-scheduler ended: ImportError: broken")
        self._on_trial = False
        return "healthy"

    def put_back(self, services: Sequence[str], *, keep: bool = False) -> str:
        if self.down:
            raise ServicesError(self.down)
        if not keep:
            self._built = None
        elif self._on_trial:
            self._built = self.text
        if self._on_trial:
            self.text, self._on_trial = self._healthy, False
        self.recreated.append(tuple(services))
        return "put back"

    def die(self, service: str) -> None:
        """Let a service end."""
        self.ended.add(service)

    def vitals(self, service: str) -> Vitals:
        if self.untold:
            raise ServicesError(self.untold)
        if service in self.ended:
            return Vitals(None, steady=False, words="ended with exit code 1")
        steady = service not in self.shaky
        return Vitals(f"life {self.lives[service]}", steady=steady, words="is running")

    def revive(self, service: str) -> None:
        if self.revives and service in self.ended:
            self.ended.remove(service)
            self.lives[service] += 1
            self.shaky.add(service)  # for a while
