"""Airflow's packages and processes, and another version of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from deployer.core.model import Vitals


class Services(Protocol):
    """Airflow's services: the packages they run on, their processes, the operator's own file.

    One engine implements all of it. Whatever tells which packages there are, or moves them, raises
    DiskError too where they are kept in files.
    """

    # -- what they run on, and could run on

    def tidy(self) -> None:
        """Remove what a deployment that died left behind, what it built included.

        Raises:
            ServicesError
        """

    def installed(self) -> str | None:
        """Return the text of the `requirements.txt` that runs now, None if not known.

        Raises:
            ServicesError
        """

    def resolve(self, text: str) -> str:
        """Prove that `text` installs beside Airflow's own pins; return one line about it.

        Changes nothing that runs.

        Raises:
            RequirementsRefused: it does not; the author can mend it.
            ServicesError: the proof itself could not be made.
        """

    def build(self, text: str) -> str:
        """Make the new environment or image beside the running one; return one line about it.

        Raises:
            RequirementsRefused: it installs, but is broken (`pip check`, Airflow's start).
            ServicesError
            DiskError: there is no room for it.
        """

    # -- from one set of packages to another

    def recreate(self, services: Sequence[str]) -> str:
        """Stop `services` and start them on what was built; return one line about it.

        Each has as long to stop as the operator gave it; one that runs on it already may be
        left alone.

        Raises:
            NotHealthy: one of them does not start on it; those after it were not touched.
            ServicesError
        """

    def wait_healthy(self, services: Sequence[str]) -> str:
        """Wait, bounded, until `services` run and are healthy; return one line about it.

        Raises:
            NotHealthy: they are not; the message ends with the failing one's last log lines.
            ServicesError: it can't be told.
        """

    def put_back(self, services: Sequence[str], *, keep: bool = False) -> str:
        """Go back to the packages before the last `build` and recreate `services`, likewise.

        `keep`: the next `recreate` tries what was built once more.

        Raises:
            ServicesError
        """

    # -- processes that may end

    def vitals(self, service: str) -> Vitals:
        """Return how one service's process stands.

        Raises:
            ServicesError: it can't be told.
        """

    def revive(self, service: str) -> None:
        """Start a service that ended, as it is, if nobody else does and nobody stopped it.

        Raises:
            ServicesError
        """

    def own_stack(self) -> str | None:
        """Return the text of the operator's own compose file, None where there is none.

        Raises:
            ServicesError: it can't be read.
        """


class OtherAirflow(Protocol):
    """Another version of Airflow: what it takes beside its packages and processes.

    What was there before is kept from `name` until `forget`, also if this process dies.
    """

    def running(self) -> str:
        """Return the version that answers.

        Raises:
            AirflowUnreachable
        """

    def begun(self) -> str | None:
        """Return the version that was named last and is not forgotten, None: there is none."""

    def name(self, version: str) -> None:
        """Let the next `Services.build` be of `version`.

        Raises:
            AirflowKept: the stack has no place for it, and what to change.
            ServicesError, DiskError
        """

    def keep_database(self) -> None:
        """Stop what writes to Airflow's database, and keep that as it is.

        Raises:
            ServicesError, DiskError
        """

    def migrate(self) -> None:
        """Bring the database to the version that services start on now.

        Raises:
            ServicesError
        """

    def take_back(self) -> None:
        """Name the version before; put the database back if it was kept, all stopped.

        Raises:
            ServicesError, DiskError
        """

    def forget(self) -> None:
        """Remove what was kept."""
