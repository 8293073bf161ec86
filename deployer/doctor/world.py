"""All that `deployer doctor` asks, and what several of its lines need of that."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deployer.config import Settings
from deployer.core.doctor import NotApplicable
from deployer.errors import DeployerError
from deployer.ports import Journal
from deployer.ports.doctor import AirflowAccount, ClassRepository, Compose, Engine, Server

if TYPE_CHECKING:
    from deployer.doctor.github import OurHook

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """All that is asked.

    Attributes:
        own_stack: the operator's copy of the file that the repository has as well.
        processes: returns the services of the embedded Airflow whose process lives, None: Airflow
            runs in containers.
        credentials: name and password of the account in Airflow; called when they are asked for.
        installed: returns the requirements on which Airflow runs, None: not known.
        hook: the webhook that should be there.
        journal: opens it, to be read.
    """

    settings: Settings
    compose: Compose
    engine: Engine
    own_stack: Path
    processes: Callable[[], Collection[str]] | None
    airflow: Callable[[], AirflowAccount]
    credentials: Callable[[], tuple[str | None, str | None]]
    installed: Callable[[], str | None]
    github: Server
    hook: OurHook
    repository: ClassRepository
    journal: Callable[[], Journal]
    public: Server
    now: Callable[[], datetime] = _now
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _got: dict[Callable[[World], Any], Future[Any]] = field(default_factory=dict)

    def once(self, get: Callable[[World], T]) -> T:
        """Return what `get` returns, or raise what it raises; only the first who asks calls it."""
        with self._lock:
            is_first = get not in self._got
            got: Future[T] = self._got.setdefault(get, Future())
        if is_first:
            try:
                got.set_result(get(self))
            except Exception as exc:  # noqa: BLE001 - whoever else asks meets it as well
                got.set_exception(exc)
        return got.result()

    def after(self, line: str, get: Callable[[World], T]) -> T:
        """Return what `get` returns, got once.

        Raises:
            NotApplicable: it can't be had; `line` says why.
        """
        try:
            return self.once(get)
        except DeployerError as exc:
            raise NotApplicable(f"can't be told: see {line}") from exc
