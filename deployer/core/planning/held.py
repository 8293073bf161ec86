"""Tell what of a push is held: it claims another's `dag_id`, killed before, or is left out.

Pure. What is held stays as it is live, or is left out; the shell asks who has which `dag_id`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from deployer.core.dependencies import affected
from deployer.core.model import Duplicate, Examined, Live, Plan, Tree, folder_of
from deployer.core.tree.limits import folders_above

DIED = "DagProcessorDied"
"""Type of the error of a file that is held since the dag-processor died of it."""


def stays_live(tip: Tree, live: Collection[str]) -> frozenset[str]:
    """Return those of the `live` paths whose place in the tip can't be published.

    In the place of a folder there may be a link or a submodule: what was below it stays, too.
    """
    taken = tip.files.keys() | folders_above(tip.files)
    refused = {item.path.rstrip("/") for item in tip.left_out}
    return frozenset(
        path
        for path in live
        if path not in taken and not refused.isdisjoint({path} | folders_above([path]))
    )


def with_what_stays(old: Tree, tip: Tree, published: Collection[str]) -> Tree:
    """Return the tip with what stays of `old` in it, where it can't be published.

    `published`: the paths of the release that is live; what `old` has was held, if not there.
    """
    stays = stays_live(tip, old.files.keys() & published)
    return replace(
        tip,
        files={**tip.files, **{path: old.files[path] for path in stays}},
        ignores={**tip.ignores, **{p: old.ignores[p] for p in stays & old.ignores.keys()}},
    )


def places_that_stay(
    live: Live, old: Tree, tip: Tree, published: Collection[str]
) -> tuple[tuple[str, str], ...]:
    """Return the `Live.stays` of a tip, once it is live in the place of `live`, which is `old`."""
    since = dict(live.stays)
    paths = stays_live(tip, old.files.keys() & published)
    places = paths | folders_above(paths)
    return tuple(
        sorted(
            (item.path, since.get(item.path, live.sha))
            for item in tip.left_out
            if item.path.rstrip("/") in places
        )
    )


def live_tree(live: Live, trees: Mapping[str, Tree], published: Collection[str]) -> Tree:
    """Return the tree that is live, with what stays in it of other `trees`, by commit."""
    bare = trees[live.sha]
    found = bare
    for place, sha in live.stays:
        here = tuple(item for item in bare.left_out if item.path == place)
        found = with_what_stays(trees[sha], replace(found, left_out=here), published)
    return replace(found, left_out=bare.left_out)


def unpublishable(old: Tree | None, plan: Plan) -> dict[str, str]:
    """Return what can't be published at all, and why, but for what was told of before as it is."""
    before = {(item, item.blob) for item in old.left_out} if old else set()
    return {i.path: i.reason for i in plan.left_out if (i, i.blob) not in before}


def condemned(tip: Tree, known: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """Return those of the tip's files of which the dag-processor died before, and how.

    `known` says how it died, by path and blob id of what it died of.
    """
    return {
        path: reason
        for (path, blob), reason in known.items()
        if path in tip.files and tip.files[path].blob == blob
    }


def carried(live: Live | None, old: Tree | None, plan: Plan, tip: Tree) -> frozenset[str]:
    """Return what was held before and nothing in this push could have mended.

    `old` is the tree of `live`, None where that is not known.
    """
    if live is None or old is None:
        return frozenset()
    moving = {*plan.dag_files, *plan.deleted}
    again = moving | affected.Held(old.files, tip.files, live.held).woken(moving)
    return frozenset(
        path
        for path in live.held
        if path not in again and path in tip.files and old.files.get(path) == tip.files[path]
    )


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
    examined: Sequence[Examined],
    had_by: Mapping[str, frozenset[str]],
    waiting: Collection[str] = (),
) -> tuple[Duplicate, ...]:
    """Return the files to be held because of an id they claim, by path; one reason each.

    Airflow itself lets the last one parsed win, in silence, and the DAG changes hands every half
    minute. So the newcomer is held: whoever had the id keeps it. Where two files of one push claim
    an id that nobody had, both are held: which of them should win is not ours to guess. But where
    one of them only imports the other, whose DAG comes along, it alone is; and where the id begins
    with the folder of just one, all others are. Who waits for an id gets it once nobody else claims
    it: a file that moves takes its id along.

    Args:
        examined: what the changed files of the tip hold.
        had_by: the files of the tip that had each id before this push, changed ones among
            them. Files that the tip has no more are not: a file that moved is no duplicate.
        waiting: files that were held, and did not move in this push.
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
    place = {dag_id: number for number, dag_id in enumerate(claimed)}
    of_path: dict[str, set[str]] = defaultdict(set)
    for dag_id in had_by.keys() & claimed.keys():
        for path in had_by[dag_id]:
            of_path[path].add(dag_id)
    found: dict[str, Duplicate] = {}
    ids = set(claimed)
    while ids:
        more = {
            path: duplicate
            for dag_id in sorted(ids, key=place.__getitem__)
            for path, duplicate in _among(
                claimed[dag_id], dag_id, _keepers(dag_id, had_by, by_path, found), by_path, waiting
            )
            if path not in found
        }
        found |= more
        ids = set().union(*(of_path[path] for path in more.keys() & of_path.keys()))
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
    waiting: Collection[str],
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
    # As the class's rules have it, wherever they hold; nobody's folder begins no id.
    at_home = [path for path in others if dag_id.startswith(f"{folder_of(path) or '/'}_")]
    moved = [path for path in others if path not in waiting]
    if len(at_home) == 1 or len(moved) == 1:
        (its,) = at_home if len(at_home) == 1 else moved
        return found + [(path, Duplicate(path, dag_id, its)) for path in others if path != its]
    first, second, *_ = others
    return found + [
        (path, Duplicate(path, dag_id, first if path != first else second, both=True))
        for path in others
    ]
