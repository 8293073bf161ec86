"""Tell what of a push is held though nobody parses it: known before, or never publishable.

Pure. Every function returns paths of the tip; what is held stays as it is live, or is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from deployer.core.dependencies import affected
from deployer.core.model import Live, Plan, Tree


def staying(tip: Tree, live: Collection[str]) -> frozenset[str]:
    """Return those of the `live` paths whose place in the tip can't be published.

    In the place of a folder there may be a link or a submodule: what was below it stays, too.
    """
    taken = {up for path in tip.files for up in (path, *_above(path))}
    refused = {item.path.rstrip("/") for item in tip.left_out}
    return frozenset(
        path for path in live if path not in taken and not refused.isdisjoint((path, *_above(path)))
    )


def standing(old: Tree | None, tip: Tree) -> Tree:
    """Return the tip with what stays of `old` in it, where it can't be published."""
    if old is None:
        return tip
    stays = staying(tip, old.files)
    return replace(
        tip,
        files={**tip.files, **{path: old.files[path] for path in stays}},
        ignores={**tip.ignores, **{p: old.ignores[p] for p in stays & old.ignores.keys()}},
    )


def stays(live: Live | None, old: Tree | None, tip: Tree) -> tuple[tuple[str, str], ...]:
    """Return the `Live.stays` of a tip, once it is live in the place of `live`, which is `old`."""
    if live is None or old is None:
        return ()
    known = dict(live.stays)
    places = {up for path in staying(tip, old.files) for up in (path, *_above(path))}
    return tuple(
        sorted(
            (item.path, known.get(item.path, live.sha))
            for item in tip.left_out
            if item.path.rstrip("/") in places
        )
    )


def whole(live: Live, trees: Mapping[str, Tree]) -> Tree:
    """Return the tree that is live, with what stays in it of other `trees`, by commit."""
    bare = trees[live.sha]
    found = bare
    for place, sha in live.stays:
        here = tuple(item for item in bare.left_out if item.path == place)
        found = standing(trees[sha], replace(found, left_out=here))
    return replace(found, left_out=bare.left_out)


def _above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


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
    again = {*plan.dag_files, *affected.woken(tip.files, live.held, plan.dag_files)}
    return frozenset(
        path
        for path in live.held
        if path not in again and path in tip.files and old.files.get(path) == tip.files[path]
    )
