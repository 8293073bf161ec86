"""Which files use another file by its path, judged by the paths in their string constants.

A DAG reads SQL, YAML or a dbt project by path, or runs a script, and no import says so.
Rules of thumb, in favour of parsing one file too many:

- A file under `include/` concerns each file that mentions `include` together with
  its first component below (`include/dbt_project/…`: `dbt_project`), and each that
  mentions `include` but nothing that is there: it computes the name.
- A file in `dags/<folder>/` or `include/` concerns the files of the same folder that
  mention its name, a directory of its own below the folder, or its ending (`.sql`, as in
  `name + ".sql"` or `"q_*.sql"`; `.py` counts too), and those that list
  a directory; and those elsewhere that mention the folder as well, or import what is in it
  (`from bob.sql import HERE`), where all of `include/` is one: `from include.paths import SQL`.
  So a name as common as `data` reaches nobody else's files.

Scripts, templates and settings name others in the same ways. Not seen: a path out of the
environment, a pattern over the folders of others. Airflow's own re-parse catches up with those.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from deployer.core.dependencies.import_graph import INSTALLED
from deployer.core.model import DAGS, INCLUDE, WHOLE_DIRECTORY, File

_IN_A_FOLDER = 3  # components: dags/<folder>/<name>


def users(files: Mapping[str, File], moved: Iterable[str]) -> frozenset[str]:
    """Return the paths of `files` that name one of the paths `moved`.

    `files` is the new tree; `moved` are the paths that differ from the old one, those
    that exist no more included.
    """
    moved = list(moved)
    return _of_include(files, moved) | _of_folders(files, moved)


def _of_include(files: Mapping[str, File], moved: Iterable[str]) -> frozenset[str]:
    stirred = {_below_include(path) for path in moved if path.startswith(INCLUDE)}
    if not stirred:
        return frozenset()
    there = stirred | {_below_include(path) for path in files if path.startswith(INCLUDE)}
    found = set()
    for path, file in files.items():
        if "include" in file.facts.mentions:
            named = file.facts.mentions & there
            if not named or named & stirred:
                found.add(path)
    return frozenset(found)


def _below_include(path: str) -> str:
    return path.split("/", 2)[1]


def _of_folders(files: Mapping[str, File], moved: Iterable[str]) -> frozenset[str]:
    names_in: dict[str, set[str]] = defaultdict(set)
    for path in moved:
        folder, names = _split(path)
        names_in[folder].update(names)
    seen_by = _seen_by(files, {*files, *moved}, names_in.keys())
    return frozenset(
        path
        for path, file in files.items()
        if any(_fits(file.facts.mentions, names_in[folder]) for folder in seen_by(path))
    )


class Used:
    """What each file of a tree uses of it by path, by the same rules: the other direction."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self._files = files
        self._below_include: dict[str, set[str]] = defaultdict(set)
        self._in: dict[str, set[str]] = defaultdict(set)
        self._called: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for path in files:
            folder, names = _split(path)
            self._in[folder].add(path)
            for name in names:
                self._called[folder][name].add(path)
            if path.startswith(INCLUDE):
                self._below_include[_below_include(path)].add(path)
        self._seen_by = _seen_by(files, files, self._in.keys())

    def by(self, path: str) -> set[str]:
        """Return what the file at `path` uses itself."""
        mentions = self._files[path].facts.mentions
        found: set[str] = set()
        for folder in self._seen_by(path):
            called = self._called[folder]
            there = (called[name] for name in called.keys() & mentions)
            found |= self._in[folder] if WHOLE_DIRECTORY in mentions else set().union(*there)
        if "include" in mentions:
            below = self._below_include
            named = below.keys() & mentions or below.keys()
            found = found.union(*(below[name] for name in named))
        return found


def _seen_by(
    files: Mapping[str, File], paths: Collection[str], folders: Collection[str]
) -> Callable[[str], set[str]]:
    """Return what tells in which of `folders` a mention of one of `files` counts.

    `paths`: those, and what moved.
    """
    importing = _importing(files, _packages(paths, folders))
    in_room: dict[str, set[str]] = defaultdict(set)
    called: dict[str, set[str]] = defaultdict(set)
    for folder in folders:
        in_room[_room(folder)].add(folder)
        called[folder.rpartition("/")[2]].add(folder)

    def seen_by(path: str) -> set[str]:
        top, first, *below = path.split("/")
        rooms = (f"{top}/", f"{top}/{first}/") if below else (f"{top}/",)
        named = called.keys() & files[path].facts.mentions
        return importing.get(path, set()).union(
            *(in_room[room] for room in in_room.keys() & rooms), *(called[name] for name in named)
        )

    return seen_by


def _packages(paths: Iterable[str], folders: Collection[str]) -> dict[str, set[str]]:
    """Return which of `folders` the start of a dotted name leads to: `bob.jobs` to `dags/bob`.

    Only what is there can be imported: who imports pandas means no folder called so.
    """
    shared = {folder for folder in folders if _room(folder) == INCLUDE}
    found: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        folder, _ = _split(path)
        if meant := shared if path.startswith(INCLUDE) else {folder}.intersection(folders):
            first, second, *_ = *path.removeprefix(DAGS).split("/"), ""
            if first not in INSTALLED:
                found[f"{first}.{second.partition('.')[0]}".removesuffix(".__init__")] |= meant
    return found


def _importing(files: Mapping[str, File], packages: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return in which folders each of `files` imports what is there, or spells it, by path.

    One spells `"bob.jobs." + name`, say.

    Each name is looked at once, however many files have it: that keeps 3,000 within milliseconds.
    """
    facts = [file.facts for file in files.values()]
    imports = frozenset[tuple[int, str]]().union(*(one.imports for one in facts))
    mentions = frozenset[str]().union(*(one.mentions for one in facts))
    names: dict[str | tuple[int, str], str] = {entry: entry[1] for entry in imports}
    names |= {mention: mention for mention in mentions if "." in mention}
    meant = {
        entry: packages[package]
        for entry, name in names.items()
        if (package := ".".join(name.removeprefix("dags.").split(".", 2)[:2])) in packages
    }
    found = {}
    for path, file in files.items():
        named = (meant.keys() & file.facts.imports) | (meant.keys() & file.facts.mentions)
        if named:
            found[path] = set().union(*(meant[entry] for entry in named))
    return found


def _split(path: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder that owns `path`, and what below it may be mentioned."""
    parts = path.split("/")
    depth = 2 if len(parts) >= _IN_A_FOLDER else 1
    _, dot, ending = parts[-1].rpartition(".")
    return "/".join(parts[:depth]), (*parts[depth:], dot + ending)


def _room(folder: str) -> str:
    """Return where the files lie that need not mention `folder`; `include/` is one room."""
    return INCLUDE if folder.startswith(INCLUDE) else f"{folder}/"


def _fits(mentions: frozenset[str], names: set[str]) -> bool:
    return WHOLE_DIRECTORY in mentions or not mentions.isdisjoint(names)
