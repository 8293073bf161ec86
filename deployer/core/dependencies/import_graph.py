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

from deployer.core.model import DAGS, INCLUDE, File, folder_of

INSTALLED = sys.stdlib_module_names | {"airflow"}
"""What an import of it means, however a folder is called: `dags/` comes last on the path."""

_ENDINGS = (".py", ".pyc", ".so")
_DOTTED = re.compile(r"\w+(\.\w+)+")


def importers(files: Mapping[str, File], moved: Iterable[str]) -> frozenset[str]:
    """Return the paths of `files` that depend by import on one of the paths `moved`.

    `files` is the new tree; `moved` are the paths that differ from the old one, those
    that exist no more included. The old tree's own imports need no look: a file whose
    imports differ has moved itself. A path of `moved` is returned only if it imports
    another one of them.
    """
    queue = [path for path in moved if path.startswith((DAGS, INCLUDE))]  # no other is a module
    index = _index(files, queue)
    found: set[str] = set()
    while queue:
        for place in _places_filled(queue.pop()):
            fresh = index.pop(place, set()) - found
            found |= fresh
            queue += fresh
    return frozenset(found)


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


def _index(files: Mapping[str, File], moved: Iterable[str]) -> dict[str, set[str]]:
    """Return the importers of each place.

    Imports of what is not in the repository, the great majority, are left out early:
    that keeps 3,000 files within some milliseconds.
    """
    below, above = _names(files.keys() | set(moved))
    ours = below | above
    index: dict[str, set[str]] = defaultdict(set)
    for path, file in files.items():
        mentions = file.facts.mentions
        imports = [
            (level, name)
            for level, name in file.facts.imports
            if level or name.partition(".")[0] in ours
        ]
        imports += [
            (0, mention)
            for mention in mentions
            if "." in mention and mention.partition(".")[0] in ours and _DOTTED.fullmatch(mention)
        ]
        words = mentions & below
        if imports or words:
            for place in _places_sought(path, imports, words, mentions & above):
                index[place].add(path)
    return index


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


def _places_sought(
    path: str, imports: Iterable[tuple[int, str]], words: Iterable[str], folders: Iterable[str]
) -> set[str]:
    """Return each place that the file `path` looks at.

    It does so by its `imports`, and by the `words` and the `folders` of others that it
    names in strings.
    """
    absolute: set[str] = set()
    relative: set[str] = set()
    for level, name in imports:
        below = name.replace(".", "/")
        package = "/".join(path.split("/")[:-level]) if level else ""
        if package:
            relative.add(package)
            _add_with_parents(relative, f"{package}/{below}".rstrip("/"))
        elif not level:
            _add_with_parents(absolute, below)
    own = _room(path)
    rooms = {own, INCLUDE, *(f"{DAGS}{folder}/" for folder in folders)}
    anywhere = {_anywhere(room, place) for room in rooms for place in absolute}
    anywhere |= {_anywhere(own, word) for word in words}
    return {f"{DAGS}{place}" for place in absolute} | absolute | relative | anywhere


def _room(path: str) -> str:
    """Return the folder of `dags/` that holds `path`, else the top one."""
    folder = folder_of(path)
    return f"{DAGS}{folder}/" if folder else f"{path.partition('/')[0]}/"


def _anywhere(room: str, place: str) -> str:
    """Return what stands for `place` at any depth below `room`; no path looks like it."""
    return f"{room}/{place}"


def _add_with_parents(places: set[str], place: str) -> None:
    """Add `place` and those above it, up to one that is known."""
    while place and place not in places:
        places.add(place)
        place = place.rpartition("/")[0]


def _places_filled(path: str) -> tuple[str, ...]:
    """Return the places at which an import finds the file `path`; none if it is no module."""
    directory, _, name = path.rpartition("/")
    if not name.endswith(_ENDINGS):
        return ()
    stem = name.split(".", 1)[0]
    place = directory if stem == "__init__" else f"{directory}/{stem}"
    room = _room(path)
    exact = (place, f"{place.rpartition('/')[0]}/*")
    return (
        *exact,
        *(_anywhere(room, ending) for full in exact for ending in _endings(full, room)),
    )


def _endings(place: str, room: str) -> Iterator[str]:
    """Yield what `place` is called as seen from `room` and from each directory between."""
    parts = place.removeprefix(room).split("/") if place.startswith(room) else []
    for start in range(len(parts)):
        yield "/".join(parts[start:])
