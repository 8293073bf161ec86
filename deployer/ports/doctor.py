"""What `deployer doctor` asks, beside what a deployment needs of the same parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from deployer.core.model import ContainerState, Health
from deployer.ports.journal import Journal
from deployer.ports.repository import Edits, Releases

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServerAnswer:
    """What a server said; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def moved(self) -> bool:
        """Tell whether it leads elsewhere."""
        return 300 <= self.status < 400 and "location" in self.headers  # noqa: PLR2004 - RFC 9110


class Server(Protocol):
    """A server at an address of the settings, asked with the account that is set for it."""

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> ServerAnswer:
        """Return its answer, whatever the status; redirects are not followed.

        Raises:
            OperatorError: nobody answers there within a bound.
        """


class AirflowAccount(Protocol):
    """Airflow, and what the deployer's account may do there."""

    def health(self) -> Health:
        """Raises: AirflowUnreachable, AirflowError."""

    def log_in(self) -> None:
        """Raises: AirflowUnreachable, AirflowError."""

    def status_of(self, method: str, path: str, body: Mapping[str, object] | None = None) -> int:
        """Return the status of one call of the REST API, logged in.

        Raises:
            AirflowUnreachable, AirflowError
        """


@dataclass(frozen=True, slots=True)
class Seen:
    """One container.

    Attributes:
        service: Compose's name for what it runs.
        passed_over: what it said that it left out when it ended well.
    """

    service: str
    state: ContainerState
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """What Docker says of itself.

    Attributes:
        data: the directory, on its own machine, where it keeps images.
    """

    version: str
    data: Path


class Engine(Protocol):
    """The Docker engine with the class's containers."""

    def about(self) -> About:
        """Raises: ServicesError."""

    def containers(self) -> tuple[Seen, ...]:
        """Raises: ServicesError."""


class Compose(Protocol):
    """Compose, and the operator's file as it understands it."""

    def version(self) -> str:
        """Raises: ServicesError."""

    def config(self) -> Mapping[str, Any]:
        """Raises: ServicesError; its words may quote a secret of the file."""


class ClassRepository(Protocol):
    """The class repository at its host, and the mirror of it at `path`, which need not exist."""

    path: Path
    host: str

    def tip_at_host(self) -> str:
        """Raises: NothingPushed; GitError: no answer, a refusal, or no such branch."""

    def check(self) -> str | None:
        """Read the mirror through; return the branch's tip, None: it is damaged or lacks it.

        Where it returns None, the next `fetch` makes the mirror anew.

        Raises:
            GitError: it takes too long.
        """

    def fetch(self) -> str:
        """As of `Repository`."""

    def latest(self, most: int) -> tuple[str, ...]:
        """Return the branch's commits, newest first.

        Raises:
            GitError: there is no mirror that can be read.
        """

    def pushed(self, path: str) -> str | None:
        """Return a file's text at the branch's tip in the mirror, None: there is none.

        Raises:
            GitError: there is no mirror that can be read.
        """


# -- what `deployer doctor --repair` mends


class JournalPlace(Protocol):
    """Where the journal is; each raises JournalError, `rebuild` also DiskError."""

    def damage(self) -> str | None:
        """Tell what is wrong with it, None: nothing."""

    def rebuild(self, fill: Callable[[Journal], None]) -> str | None:
        """Put one in its place that `fill` filled; return where the old one is kept."""

    def opened(self, ask: Callable[[Journal], T]) -> T: ...


class PublishedReleases(Releases, Protocol):
    """The releases on disk; each raises DiskError."""

    def edits(self, *, mend: bool = True) -> Edits | None:
        """As of `Releases`; without `mend` nothing is led back, only said."""

    def torn(self) -> tuple[str, ...]:
        """Return the half-written releases, which `prune` removes."""
