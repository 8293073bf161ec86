"""The static import graph: which files import, through others too, a module that moved.

Airflow puts a release's `dags/` on the import path, the class's bundle the
release's root as well, so `lasse.helpers` and `dags.lasse.helpers` both mean
`dags/lasse/helpers.py`, and `include.sql` means `include/sql.py`. A DAG file's own
directory is not on it (airflow 3.3.2, dag_processing/dagbag.py:538).

Nothing is looked up: an import statement is turned into every *place* at which
Python would look for it, a place being a path without the module's ending, and a
file that moved into, out of or within one of these places concerns the importer.
So a new file that mends or shadows an import counts as much as a changed one, and
of two files that claim one name both do. `import a.b.c` runs `a` and `a.b` first:
they are places too. `from a import *` may import every module of `a` (`__all__`).

Students put directories of their own on the path as well, mostly the one in which the DAG
file lies. Where they do is not worked out: an absolute import also looks anywhere in its
own folder, in `include/`, and in each folder of `dags/` that the file names in a string.
So does a string that spells a module with its package (`"lasse.helpers"`); a string of a
single name looks in the own folder alone, for it is mostly something else (`"data"`).

Relative imports are resolved by path, as in a package. Airflow runs a DAG file
itself outside of any package, so there they fail anyway.

Not seen: names put together from parts of words at run time, and what a zip imports.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from deployer.core.model import DAGS, INCLUDE, File, folder_of

INSTALLED = sys.stdlib_module_names | {"airflow"}
"""What an import of it means, however a folder is called: `dags/` comes last on the path."""

_ENDINGS = (".py", ".pyc", ".so")
_MOST_PARTS = 20
"""Of a module's name that is sought in a folder: a path of 512 bytes has 256, and as many ends."""
_DOTTED = re.compile(r"\w+(\.\w+)+")


def importers(files: Mapping[str, File], moved: Iterable[str]) -> frozenset[str]:
    """Return the paths of `files` that depend by import on one of the paths `moved`.

    `files` is the new tree; `moved` are the paths that differ from the old one, those
    that exist no more included. The old tree's own imports need no look: a file whose
    imports differ has moved itself. A path of `moved` is returned only if it imports
    another one of them.
    """
    queue = [path for path in moved if path.startswith((DAGS, INCLUDE))]  # no other is a module
    at, called, looking = _index(files, queue)
    asked: set[tuple[str, str]] = set()
    found: set[str] = set()
    while queue:
        places, room, endings = _filled(queue.pop())
        fresh = set().union(*(at.pop(place, ()) for place in places))
        for ending in endings:
            if (room, ending) not in asked and ending in called:
                asked.add((room, ending))
                fresh |= called[ending] if room == INCLUDE else called[ending] & looking[room]
        fresh -= found
        found |= fresh
        queue += fresh
    return frozenset(found)


class Imported:
    """What each file of a tree imports of it, by the same rules: the other direction."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self._files = files
        self._names = _names(files)
        self._at: dict[str, set[str]] = defaultdict(set)
        self._called: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for path in files:
            places, room, endings = _filled(path)
            for place in places:
                self._at[place].add(path)
            for ending in endings:
                self._called[ending][room].add(path)

    def by(self, path: str) -> set[str]:
        """Return what the file at `path` imports itself."""
        sought = _sought(path, self._files[path], *self._names)
        found = set().union(*(self._at[place] for place in self._at.keys() & sought.places))
        for name in self._called.keys() & sought.names:
            there = self._called[name]
            found = found.union(*(there[room] for room in there.keys() & {*sought.rooms, INCLUDE}))
        return found


def outsiders(files: Mapping[str, File]) -> frozenset[str]:
    """Return the paths of `files` that import something which somebody else installs.

    That is neither in the repository, nor Python's own, nor Airflow: what a change of
    `requirements.txt` may mend or break. `importers` tells who imports these in turn.
    """
    _, ours = _names(files)
    known = ours | INSTALLED
    return frozenset(
        path
        for path, file in files.items()
        if any(
            not level and name.partition(".")[0] not in known for level, name in file.facts.imports
        )
    )


@dataclass(frozen=True, slots=True)
class _Sought:
    """Where one file looks for what it imports.

    Attributes:
        places: these, and its words in its own room, as `_within` has them.
        names: at any depth below each of the rooms.
        rooms: its own and the folders that it names in strings; `include/` is everybody's.
    """

    places: set[str]
    names: set[str]
    rooms: set[str]


def _index(
    files: Mapping[str, File], moved: Iterable[str]
) -> tuple[dict[str, set[str]], dict[str, set[str]], dict[str, set[str]]]:
    """Return who looks at each place, who imports each name, and who looks into each room.

    Names and rooms apart: both together would be as many as their product.
    """
    names = _names(files.keys() | set(moved))
    at: dict[str, set[str]] = defaultdict(set)
    called: dict[str, set[str]] = defaultdict(set)
    looking: dict[str, set[str]] = defaultdict(set)
    for path, file in files.items():
        sought = _sought(path, file, *names)
        for kept, keys in ((at, sought.places), (called, sought.names), (looking, sought.rooms)):
            for key in keys:
                kept[key].add(path)
    return at, called, looking


def _names(paths: Iterable[str]) -> tuple[set[str], set[str]]:
    """Return what can be a module's name: within a folder of `dags/` or `include/`, and above."""
    below: set[str] = set()
    above = {"dags", "include"}
    for path in paths:
        _, first, *inner = path.split("/")
        above.add(first.split(".", 1)[0])
        below.update(part.split(".", 1)[0] for part in inner)
        if not (inner and path.startswith(DAGS)):
            below.add(first.split(".", 1)[0])
    return below, above


def _sought(path: str, file: File, below: set[str], above: set[str]) -> _Sought:
    """Return where the file at `path` looks; `below` and `above` are `_names`.

    Imports of what is not in the repository, the great majority, are left out early:
    that keeps 3,000 files within some milliseconds.
    """
    mentions = file.facts.mentions
    dotted = ((0, mention) for mention in mentions if "." in mention and _DOTTED.fullmatch(mention))
    names: set[str] = set()
    places: set[str] = set()
    for level, name in chain(file.facts.imports, dotted):
        place = name.replace(".", "/")
        package = "/".join(path.split("/")[:-level]) if level else ""
        if package:
            places.add(package)
            _add_with_parents(places, f"{package}/{place}".rstrip("/"))
        elif not level and ((head := name.partition(".")[0]) in below or head in above):
            _add_with_parents(names, place)
    own = _room(path)
    places |= {f"{DAGS}{name}" for name in names} | names
    places |= {_within(own, word) for word in mentions & below}
    rooms = {own, *(f"{DAGS}{folder}/" for folder in mentions & above)} if names else set()
    return _Sought(places, names, rooms)


def _room(path: str) -> str:
    """Return the folder of `dags/` that holds `path`, else the top one."""
    folder = folder_of(path)
    return f"{DAGS}{folder}/" if folder else f"{path.partition('/')[0]}/"


def _within(room: str, place: str) -> str:
    """Return what stands for `place` at any depth below `room`; no path looks like it."""
    return f"{room}/{place}"


def _add_with_parents(places: set[str], place: str) -> None:
    """Add `place` and those above it, up to one that is known."""
    while place and place not in places:
        places.add(place)
        place = place.rpartition("/")[0]


def _filled(path: str) -> tuple[tuple[str, ...], str, frozenset[str]]:
    """Return at which places an import finds the file `path`; none if it is no module.

    Also its room, and what it is called as seen from there and from each directory between.
    """
    directory, _, name = path.rpartition("/")
    room = _room(path)
    if not name.endswith(_ENDINGS):
        return (), room, frozenset()
    stem = name.split(".", 1)[0]
    place = directory if stem == "__init__" else f"{directory}/{stem}"
    exact = (place, f"{place.rpartition('/')[0]}/*")
    called = frozenset(ending for full in exact for ending in _endings(full, room))
    return (*exact, *(_within(room, ending) for ending in called)), room, called


def _endings(place: str, room: str) -> Iterator[str]:
    """Yield what `place` is called as seen from `room` and from each directory between."""
    parts = place.removeprefix(room).split("/") if place.startswith(room) else []
    for start in range(max(len(parts) - _MOST_PARTS, 0), len(parts)):
        yield "/".join(parts[start:])
