"""Find files that claim a `dag_id` which another file has.

Airflow itself lets the last one parsed win, in silence, and the DAG changes hands every
half minute. So the newcomer is held: whoever had the id keeps it. Where two files of one
push claim an id that nobody had, both are held: which of them should win is not ours to
guess. But where one of them only imports the other, whose DAG comes along, it alone is. Pure:
the shell asks who has what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from deployer.core.model import Duplicate, Examined, folder_of


def notes(found: Iterable[Duplicate]) -> list[str]:
    """Return what is said of duplicates to the owners of other folders, each pair once."""
    told: set[frozenset[str]] = set()
    said = []
    for duplicate in found:
        pair = frozenset({duplicate.path, duplicate.other})
        if pair not in told and folder_of(duplicate.path) != folder_of(duplicate.other):
            said.append(duplicate.note)
        told.add(pair)
    return said


def duplicates(
    examined: Sequence[Examined], had_by: Mapping[str, frozenset[str]]
) -> tuple[Duplicate, ...]:
    """Return the files to be held because of an id they claim, by path; one reason each.

    Args:
        examined: what the changed files of the tip hold.
        had_by: the files of the tip that had each id before this push, changed ones among
            them. Files that the tip has no more are not: a file that moved is no duplicate.
    """
    by_path = {result.path: result for result in examined}
    claimed: dict[str, list[str]] = {}
    for path in sorted(by_path):
        result = by_path[path]
        if not (result.harm or result.error):  # those bring no DAG with them
            for dag_id in result.dag_ids:
                claimed.setdefault(dag_id, []).append(path)
    # What is held keeps its live version and the ids of that, on which others may count: go
    # round until nothing more is held.
    found: dict[str, Duplicate] = {}
    while more := {
        path: duplicate
        for dag_id, claimants in claimed.items()
        for path, duplicate in _among(
            claimants, dag_id, _keepers(dag_id, had_by, by_path, found), by_path
        )
        if path not in found
    }:
        found |= more
    return tuple(found[path] for path in sorted(found))


def _keepers(
    dag_id: str,
    had_by: Mapping[str, frozenset[str]],
    examined: Mapping[str, Examined],
    held: Mapping[str, Duplicate],
) -> list[str]:
    """Return the files that have the id and do not give it up in this push, sorted."""
    keepers = []
    for path in sorted(had_by.get(dag_id, ())):
        now = examined.get(path)
        if now is None or now.harm or now.error or path in held or dag_id in now.dag_ids:
            keepers.append(path)
    return keepers


def _among(
    claimants: Sequence[str],
    dag_id: str,
    keepers: Sequence[str],
    examined: Mapping[str, Examined],
) -> list[tuple[str, Duplicate]]:
    makers = {path: examined[path].brought.get(dag_id) for path in claimants}
    own = {*keepers, *(path for path, maker in makers.items() if maker is None)}
    importers = {path: maker for path, maker in makers.items() if path not in own and maker in own}
    found = [(p, Duplicate(p, dag_id, maker, imported=True)) for p, maker in importers.items()]
    others = [path for path in claimants if path not in importers]
    if keepers:
        return found + [(p, Duplicate(p, dag_id, keepers[0])) for p in others if p not in keepers]
    if len(others) == 1:
        return found
    first, second, *_ = others
    return found + [
        (path, Duplicate(path, dag_id, first if path != first else second, both=True))
        for path in others
    ]
