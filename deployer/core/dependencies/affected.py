"""Find what has to be held together with the DAG files it harms, and what a parse may read.

A module is parsed only under the DAG files that import it. Holding these alone would put the
module under their live versions, which are mostly the same text: what the isolated parse has
just refused would run in Airflow. So a module stays as it is live, too,

- if it moved in the folder of a DAG file that is held, and that file needs it: one student's
  files stay together;
- if it moved in another folder, or in `include/`, only where the DAG file itself did not
  move: else the fault may be the file's own, and would colour somebody else's commit. One that
  is held already has its fault from before, but not if its very text is live and none of what was
  held with it is left. And a module that is held already, and did not move since, is no better for
  what moved in the file.

A data file counts as a module of those who read it.

For an isolated parse files are laid out, rather too many than too few: with 3,000 DAG files and
one changed, only what that one may refer to (`parse_inputs`).

Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from deployer.core.dependencies import data_references, import_graph
from deployer.core.model import ANYTHING, DAGS, REQUIREMENTS, File, ParseError, Tree, folder_of
from deployer.core.tree import ignores
from deployer.core.tree.ignores import Ignores

_IGNORES = f"/{ignores.NAME}"
_NO_PYTHON = {"SyntaxError", "IndentationError", "TabError"}


def stirred(files: Mapping[str, File], moved: Collection[str]) -> frozenset[str]:
    """Return `moved`, and the paths of `files` that read or import any of it.

    Through others too: a task runs `load.py`, which imports `tools`, which reads `q.sql`.
    """
    found: frozenset[str] = frozenset()
    fresh = frozenset(moved)
    while fresh:
        found |= fresh | import_graph.importers(files, fresh)
        fresh = data_references.users(files, found) - found
    return found


class Needs:
    """What the files of a tree need of it: `stirred`, looked at from the other end."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self._imported = import_graph.Imported(files)
        self._used = data_references.Used(files)

    def of(self, paths: Iterable[str], known: set[str]) -> set[str]:
        """Return what `paths` need, through others too; of themselves what others need.

        `known`: what is passed over, with all that it needs; what is found is added.
        """
        found: set[str] = set()
        queue = list(paths)
        while queue:
            path = queue.pop()
            fresh = (self._imported.by(path) | self._used.by(path)) - known - {path}
            known |= fresh
            found |= fresh
            queue += fresh
        return found


def stands_alone(path: str, file: File, error: ParseError | None) -> bool:
    """Tell whether a file's own text is no Python: nothing that moves elsewhere breaks or mends it.

    To us it may import anything, for Airflow's Python may be newer than ours; `error` is what that
    one said.
    """
    if error is None or error.type not in _NO_PYTHON or ANYTHING not in file.facts.imports:
        return False
    last = error.trace.rpartition('File "')[2].partition('"')[0]  # of the trace's places
    return last.endswith(path) or not last


def governed(before: Tree | None, tip: Tree, moved: Collection[str]) -> frozenset[str]:
    """Return what is judged because ignore files or requirements are among `moved`.

    `before`: the tree in which they had not moved, None: there is none.
    """
    found: frozenset[str] = frozenset()
    if before and any(path.endswith(_IGNORES) for path in moved):
        found = shown(before, tip)
    if REQUIREMENTS in moved:
        found |= on_packages(tip.files)
    return found


def on_packages(files: Mapping[str, File]) -> frozenset[str]:
    """Return what a package may mend or break: what imports any, through others too."""
    outsiders = import_graph.outsiders(files)
    return outsiders | import_graph.importers(files, outsiders)


def shown(before: Tree, tip: Tree) -> frozenset[str]:
    """Return the paths of the tip that ignore files hid before, and hide no longer."""
    if before.ignores == tip.ignores:
        return frozenset()
    was, is_now = Ignores(before.ignores), Ignores(tip.ignores)
    return frozenset(path for path in tip.files if was.hides(path) and not is_now.hides(path))


def modules(
    live: Tree | None,
    tip: Tree,
    harmful: Collection[str],
    *,
    held: Collection[str],
    published: Mapping[str, File],
) -> dict[str, str]:
    """Return the paths to be held as well, each with the first of `harmful` that needs it.

    Args:
        live: the tree that is live, known to be well or not. None: that is not known either, so
            everything may have moved.
        tip: the tree to be made live.
        harmful: DAG files of the tip that the isolated parse refused.
        held: of `live`, what is not live as it is there.
        published: what there is of the tip's files; where one is left out nothing needs to stay.
    """
    changed = differing(live.files if live else {}, tip.files)
    moved = differing(published, tip.files) - set(harmful)
    found: dict[str, str] = {}
    if not moved:
        return found
    needs = Needs(tip.files)
    need_what_is_held = stirred(tip.files, moved & set(held) - changed)
    # Of two files for which the same modules may be held, the first names what both need.
    known: dict[tuple[str | None, bool, bool], set[str]] = defaultdict(set)
    for path in sorted(set(harmful) & published.keys()):
        stayed = live is not None and path not in changed
        is_live = live is not None and published[path] == tip.files[path]
        blameless = (stayed and path not in held) or (is_live and path not in need_what_is_held)
        alike = known[folder_of(path), stayed, blameless]
        for module in sorted(needs.of((path,), alike) & moved - found.keys()):
            ours = module.startswith(DAGS) and folder_of(module) == folder_of(path)
            to_blame = module in held and (stayed or module not in changed)
            if ours or to_blame or blameless:
                found[module] = path
    return found


class Held:
    """What is held while a tree goes live in the place of another: what is to be judged anew."""

    def __init__(
        self, before: Mapping[str, File], after: Mapping[str, File], held: Collection[str]
    ) -> None:
        self._held = {path for path in held if path in after}
        trees = (before, after) if self._held else ()
        self._needs = [(files, Needs(files)) for files in trees]

    def woken(self, moving: Collection[str]) -> set[str]:
        """Return those that some file of `moving` needs, or needed before.

        It may have been the one for whose sake they are held.
        """
        needed = (needs.of(moving & files.keys(), set()) for files, needs in self._needs)
        return self._held.intersection(set().union(*needed))


def differing(old: Mapping[str, File], new: Mapping[str, File]) -> set[str]:
    """Return the paths of `new` that were added or changed since `old`."""
    return {path for path, file in new.items() if old.get(path) != file}


def parse_inputs(
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
    called: dict[str, set[str]] = defaultdict(set)
    named: dict[str, set[str]] = defaultdict(set)
    for path in files:
        for name in _modules(path):
            called[name].add(path)
        for name in path.split("/")[1:]:
            named[name].add(path)
    needed: set[str] = set()
    while found:
        needed |= found
        imported = {name for path in found for name in _imported(files[path])}
        mentioned = {name for path in found for name in files[path].facts.mentions}
        found = set().union(
            *(called.pop(name) for name in imported if name in called),
            *(named.pop(name) for name in mentioned if name in named),
        )
        found -= needed
    return frozenset(needed)


def _imported(file: File) -> set[str]:
    imported = (dotted for _, dotted in file.facts.imports)
    return {part for name in (*imported, *file.facts.mentions) for part in name.split(".")}


def _modules(path: str) -> set[str]:
    """Return the names by which an import could mean this file: its own, or its package's."""
    *_, package, name = ("", *path.split("/"))
    stem = name.rpartition(".")[0] or name  # pathlib would take ten times as long
    return {stem, package} if stem == "__init__" else {stem}
