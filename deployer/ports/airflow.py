"""The running Airflow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

from deployer.core.model import Busy


class Airflow(Protocol):
    """The running Airflow, over its REST API."""

    def parser_beat(self) -> datetime | None:
        """Return the dag-processor's heartbeat; None: Airflow does not know of one.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def versions_in_use(self, among: Collection[str]) -> frozenset[str]:
        """Return those of the releases `among` that DAGs or unfinished runs still refer to.

        Costs a call for each, however many DAGs there are, and none for none.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def pools(self) -> Mapping[str, int]:
        """Return the slots of each pool by its name; -1: no limit.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def resize_pool(self, name: str, slots: int) -> None:
        """Give a pool that many slots; one that is gone is passed over.

        Raises:
            AirflowUnreachable, AirflowError
        """

    def busy(self) -> tuple[Busy, ...]:
        """Return the task instances that are with the executor: running, queued or restarting.

        Raises:
            AirflowUnreachable, AirflowError
        """
