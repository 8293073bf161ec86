"""The running Airflow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from deployer.core.model import AirflowHealth, Busy


class Airflow(Protocol):
    """The running Airflow, over its REST API."""

    def health(self) -> AirflowHealth:
        """Return the heartbeats of scheduler and dag-processor.

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
