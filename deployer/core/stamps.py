"""Tell by Airflow's stamps that a file was parsed anew.

Airflow stamps what it stores: each DAG with `last_parsed_time`, an import error with
`timestamp`. A stamp says when a parse was stored, not when it began, so one that is new may
belong to a parse of the old text. But one file's parses never overlap, and each is stored
before the next one begins (airflow 3.3.2, dag_processing/manager.py, `_collect_results`,
`_start_new_processes`). So, counted from a look at which the new text is known to be what
Airflow reads: the first stamp after it may be of a parse that began before; the second can't
(docs/decisions/009-proof-by-stamps.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from deployer.core.model import Observation

PROOF = 2
"""Distinct stamps, beside the one that the first look showed."""

Key: TypeAlias = tuple[str, str | None]
"""A file as Airflow names it, and one of its DAGs; None: its import error. One parse may stamp
both, and each DAG with a time of its own, so each is counted alone; and by file, since parses
of two files that claim one `dag_id` do overlap."""


@dataclass(frozen=True, slots=True)
class Stamps:
    """The distinct stamps of some looks.

    Attributes:
        first: what the first look showed, None before it.
        later: what was seen since and is not in `first`.
    """

    first: Mapping[Key, str] | None = None
    later: Mapping[Key, frozenset[str]] = field(default_factory=dict)

    def look(self, seen: Observation) -> Stamps:
        """Count one more look."""
        now: dict[Key, str] = {(dag.path, dag.dag_id): dag.stamp for dag in seen.dags}
        now |= {(error.path, None): error.stamp for error in seen.errors}
        if self.first is None:
            return Stamps(now)
        news = {key: stamp for key, stamp in now.items() if stamp != self.first.get(key)}
        added = {key: self.later.get(key, frozenset()) | {stamp} for key, stamp in news.items()}
        return Stamps(self.first, {**self.later, **added})

    def moved(self, path: str, dag_id: str | None = None) -> int:
        """Return how many parses are known to have ended with this DAG, or with an error."""
        return len(self.later.get((path, dag_id), ()))

    @property
    def twice(self) -> bool:
        """Whether anything was seen with one stamp and then with another."""
        first = self.first or {}
        return any(key in first or len(stamps) > 1 for key, stamps in self.later.items())

    @property
    def files(self) -> frozenset[str]:
        """The files of which any stamp was seen, as Airflow names them."""
        return frozenset(path for path, _ in (*(self.first or ()), *self.later))


def proven_ids(moved: Mapping[str, int], found: frozenset[str]) -> tuple[str, ...] | None:
    """Return the DAGs of a file's new text, None if it is not proven yet which these are.

    `moved`: how often each DAG that Airflow shows of the file has; `found`: what the
    isolated parse found in it.
    """
    most = max(moved.values(), default=0)
    # One that has moved but once may be of the old text alone, unless the new one has it too.
    ids = {
        dag_id for dag_id, times in moved.items() if times >= PROOF or (times and dag_id in found)
    }
    # Airflow may find other DAGs than the isolated parse did: no use in waiting longer.
    if most < PROOF or (most == PROOF and not found <= ids):
        return None
    return tuple(sorted(ids))
