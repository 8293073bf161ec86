"""A dag-processor that waits for a database that is away, in place of ending.

What Airflow's own (`airflow/dag_processing/manager.py`, 3.3.2) asks of it in each turn of its
loop is left for a later one, and what a refresh deletes is tried again until it is deleted.
Storing the result of a parse is `class_unending`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
from airflow.dag_processing.manager import DagFileInfo, DagFileProcessorManager
from class_storing import words_of
from sqlalchemy.exc import SQLAlchemyError

TICK_S = 1.0
"""How often the database is asked for what others want: Airflow's own pace. Its loop comes by
whenever anything happens, and would ask each time."""


@attrs.define(kw_only=True)
class WaitingManager(DagFileProcessorManager):
    """See the module."""

    _undone: set[str] = attrs.field(factory=set, init=False)
    """Bundles whose deletions could not be stored, to be tried again."""
    _present: dict[str, set[DagFileInfo]] = attrs.field(factory=dict, init=False)
    """What the last refresh of each bundle found."""
    _asked_database_at: dict[str, float] = attrs.field(factory=dict, init=False)

    # -- what is done each second

    def claim_priority_files(self) -> list[DagFileInfo]:
        if self._undone and self._is_time("deletions"):
            for bundle_name in sorted(self._undone):
                present = self._present[bundle_name]
                observed = self._get_observed_filelocs(present)
                self.deactivate_deleted_dags(bundle_name, present)
                self.clear_orphaned_import_errors(bundle_name, observed)
        return self._each_second("what was asked for over REST", super().claim_priority_files)

    def fetch_callbacks(self) -> list[Any]:
        return self._each_second("callbacks", super().fetch_callbacks)

    def purge_inactive_dag_warnings(self) -> None:
        self._each_second("warnings", super().purge_inactive_dag_warnings)

    def _each_second(self, what: str, find: Callable[[], list[Any] | None]) -> list[Any]:
        """Return what is found; nothing, if the last time was just now or there is no database.

        `what`: in words, of which each has its own times.
        """
        if self._is_time(what):
            with self._without_a_database(what):
                return [*(find() or ())]  # a list of our own
        return []

    @contextmanager
    def _without_a_database(self, what: str) -> Iterator[None]:
        """Go on if it is away: what is done each second is done in the next one."""
        try:
            yield
        except SQLAlchemyError as exc:
            self.log.warning("Left for later, %s: %s", what, words_of(exc))

    def _is_time(self, what: str) -> bool:
        now = time.monotonic()
        if now - self._asked_database_at.get(what, float("-inf")) < TICK_S:
            return False
        self._asked_database_at[what] = now
        return True

    def deactivate_stale_dags(
        self,
        last_parsed: dict[DagFileInfo, Any],  # noqa: ARG002  # the base's
        **options: Any,  # noqa: ANN401  # the base's
    ) -> None:
        """Look for bundles that are gone only: what a file has no more is stale once it is parsed.

        That leaves the DAGs of a file as they were whose last parse left nothing.
        """
        with self._without_a_database("what is stale"):
            super().deactivate_stale_dags(last_parsed={}, **options)

    # -- what a refresh stores

    def update_bundle_state(self, bundle_name: str, **state: Any) -> None:  # noqa: ANN401  # the base's
        try:
            super().update_bundle_state(bundle_name, **state)
        except Exception:
            # Airflow goes on, and would store DAGs as those of the release before.
            self.request_bundle_refresh(bundle_name)
            raise

    def deactivate_deleted_dags(self, bundle_name: str, present: set[DagFileInfo]) -> None:
        self._present[bundle_name] = present
        self._undone.discard(bundle_name)
        try:
            super().deactivate_deleted_dags(bundle_name=bundle_name, present=present)
        except Exception:
            self.log.exception("What was deleted could not be stored, and is tried again")
            self._undone.add(bundle_name)

    def clear_orphaned_import_errors(
        self,
        bundle_name: str,
        observed_filelocs: set[str],
        **options: Any,  # noqa: ANN401  # the base's
    ) -> None:
        try:
            super().clear_orphaned_import_errors(bundle_name, observed_filelocs, **options)
        except SQLAlchemyError:
            self.log.exception("Errors of what was deleted could not be cleared, it is tried again")
            self._undone.add(bundle_name)
        if bundle_name not in self._undone:
            self._refreshed(bundle_name)

    def _refreshed(self, bundle_name: str) -> None:
        """Hear that a refresh is done, with its deletions."""
