"""Airflow and its packages as a worker sees them, kept in files: they outlive it."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from deployer import app
from deployer.app import airflow
from deployer.core.reporting.pacing import Pace
from deployer.edges.airflow import rest
from deployer.edges.parser.warm_parser import LocalParser
from deployer.worker import maintenance, process
from tests.fakes.airflow import FakeAirflow
from tests.fakes.services import FakeServices

SERVICES = (
    "tidy",
    "own_stack",
    "installed",
    "resolve",
    "build",
    "recreate",
    "wait_healthy",
    "put_back",
)
AIRFLOW = ("versions_in_use", "pools", "resize_pool", "busy")
PARSER = Path(__file__).with_name("parser.py")
REFUSED = "unheard-of"
"""What stands in a `requirements.txt` that does not install."""


class _Kept:
    file: Path

    def keep(self) -> None:
        new = self.file.with_suffix(".new")
        new.write_bytes(pickle.dumps(vars(self)))
        new.replace(self.file)


P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=_Kept)


def _kept(real: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    @wraps(real)
    def method(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        vars(self).update(pickle.loads(self.file.read_bytes()))  # noqa: S301  # our own
        answer = real(self, *args, **kwargs)
        self.keep()
        return answer

    return method


class KeptServices(FakeServices, _Kept):
    """Implements `ports.Services`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.file = folder / "services.pickle"
        if not self.file.exists():
            self.keep()

    def resolve(self, text: str) -> str:
        self.refuses = {text: f"no package is called {REFUSED}"} if REFUSED in text else {}
        return super().resolve(text)

    @property
    def now(self) -> str | None:
        """The text that runs, as it was kept last."""
        text: str | None = pickle.loads(self.file.read_bytes())["text"]  # noqa: S301  # our own
        return text


class KeptAirflow(FakeAirflow, _Kept):
    """Implements `ports.Airflow`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.file = folder / "airflow.pickle"
        if not self.file.exists():
            self.keep()

    @property
    def now(self) -> dict[str, int]:
        """The slots of the pools, as they were kept last."""
        slots: dict[str, int] = pickle.loads(self.file.read_bytes())["slots"]  # noqa: S301
        return slots


for _name in SERVICES:
    setattr(KeptServices, _name, _kept(getattr(KeptServices, _name)))
for _name in AIRFLOW:
    setattr(KeptAirflow, _name, _kept(getattr(KeptAirflow, _name)))


def stand_in(folder: Path) -> None:
    """Have this process's worker find these instead of Airflow."""
    local = LocalParser(lambda: Path(sys.executable), PARSER)
    host = airflow.Host(KeptServices(folder), local, local, None, None, None)
    setattr(app, "on_this_machine", lambda _: host)  # noqa: B010
    rest.AirflowRest = lambda *_, **__: KeptAirflow(folder)  # type: ignore[assignment, misc]
    hurry()


def hurry() -> None:
    """Shorten waits that are of no interest here, and would be the most of a run's time."""
    maintenance.QUIET_S = 0.1
    process.FAULT_PAUSE_S = 0.1
    Pace.next_write_at = lambda _, now, **__: now  # type: ignore[method-assign]
