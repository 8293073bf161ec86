"""Which files of a tree the isolated parse of some of them could read.

Pure, and rather too many than too few: with 3,000 DAG files and one changed, only
what that one may refer to is laid out for it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from deployer.core.model import File, folder_of


def surroundings(
    files: Mapping[str, File], paths: Collection[str], large: Collection[str] = ()
) -> frozenset[str]:
    """Return `paths`, and all files of the tree that parsing them could import or read.

    That is: whatever holds no DAG and is not `large`, the folders of `paths` whole, and those
    others whose module or file name, or whose folder as a string, occurs in any of these, at
    whatever place: a student may have put any directory on the import path. Only names that
    are put together from parts of words at run time go unseen.
    """
    folders = {folder_of(path) for path in paths}
    found = {
        path
        for path, file in files.items()
        if path in paths
        or not (file.facts.may_hold_dag or path in large)
        or folder_of(path) in folders
    }
    needed: set[str] = set()
    while found:
        needed |= found
        imported = {name for path in found for name in _imported(files[path])}
        mentioned = {name for path in found for name in files[path].facts.mentions}
        found = {
            path
            for path in files.keys() - needed
            if not imported.isdisjoint(_modules(path))
            or not mentioned.isdisjoint(path.split("/")[1:])
        }
    return frozenset(needed)


def _imported(file: File) -> set[str]:
    imported = (dotted for _, dotted in file.facts.imports)
    return {part for name in (*imported, *file.facts.mentions) for part in name.split(".")}


def _modules(path: str) -> set[str]:
    """Return the names by which an import could mean this file: its own, or its package's."""
    *_, package, name = ("", *path.split("/"))
    stem = name.rpartition(".")[0] or name  # pathlib would take ten times as long
    return {stem, package} if stem == "__init__" else {stem}
