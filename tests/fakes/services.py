"""Airflow's packages and processes in memory."""

from __future__ import annotations

from collections.abc import Sequence

from deployer.errors import RequirementsRefused, ServicesError


class FakeServices:
    """Implements `ports.Services`.

    Attributes:
        text: what runs now, None: not known.
        refuses: reason by text that does not install.
        breaks: texts that install and with which Airflow does not start.
        down: why nothing can be recreated (no Docker, say), None: it can.
        recreated: what was recreated, in order.
    """

    def __init__(self, text: str | None = "") -> None:
        self.text = text
        self.refuses: dict[str, str] = {}
        self.breaks: set[str] = set()
        self.down: str | None = None
        self.recreated: list[tuple[str, ...]] = []
        self._built: str | None = None
        self._before: str | None = text

    def installed(self) -> str | None:
        return self.text

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
        self._before, self.text = self.text, self._built
        self.recreated.append(tuple(services))
        return "recreated"

    def wait_healthy(self, services: Sequence[str]) -> str:
        if self.text in self.breaks:
            raise ServicesError("airflow-scheduler ended: ImportError: broken")
        return "healthy"

    def put_back(self, services: Sequence[str]) -> str:
        if self.down:
            raise ServicesError(self.down)
        self.text = self._before
        self.recreated.append(tuple(services))
        return "put back"
