"""How much a commit may put into a release, and whom to tell what is too much.

Pure. A student's folder and `include/` are judged each on its own: one that is too large is left
out as a whole, and all others go on; where the sum is too large, the heaviest are. Of a commit with
too many files or folders directly in `dags/` nothing is published.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeVar, get_args

from deployer.core.model import DAGS, INCLUDE
from deployer.core.tree.facts import LARGEST_PARSED
from deployer.core.tree.publishable import MAX_PATH_BYTES

Dimension = Literal["files", "folders", "size", "python"]
Folder = TypeVar("Folder")
"""What stands for a folder: the id of its tree, or the sizes of its files."""

_COUNTED_TO: Final = 10**15
"""A few kilobytes may stand for a number of files of as many digits."""
_ENVIRONMENTS: Final = {"venv", "env"}
"""What Python's virtual environments are called where the name has no dot."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a folder holds, however deep.

    Attributes:
        folders: it is one itself.
        size: bytes.
        python: those of it that are read as Python, which takes the worker seconds for each MB.
    """

    files: int = 0
    folders: int = 0
    size: int = 0
    python: int = 0

    def __add__(self, other: Weight) -> Weight:
        return Weight(
            min(self.files + other.files, _COUNTED_TO),
            min(self.folders + other.folders, _COUNTED_TO),
            min(self.size + other.size, _COUNTED_TO),
            self.python + other.python,
        )


PER_FOLDER: Final = Weight(files=5_000, folders=1_000, size=500_000_000, python=4_000_000)
PER_COMMIT: Final = Weight(files=50_000, folders=10_000, size=4_000_000_000, python=20_000_000)


@dataclass(frozen=True, slots=True)
class TooMuch:
    """What is too much for a release.

    Attributes:
        held: folders that are left out, each with the reason.
        refused: why nothing of the commit is published, None if the rest is.
    """

    held: Mapping[str, str] = field(default_factory=dict)
    refused: str | None = None


NOTHING: Final = TooMuch()


def judged(
    folders: Iterable[tuple[str, Folder]],
    loose: Weight,
    *,
    weigh: Callable[[Folder], Weight],
    inside: Callable[[Folder], Mapping[str, Folder]],
) -> TooMuch:
    """Judge a commit by its `folders`, each with its path; `loose` lies directly in `dags/`.

    `inside` tells the folders directly in one, by name. Where all together are too much, the
    heaviest are left out: nobody else has to wait for them.
    """
    held: dict[str, str] = {}
    weights: dict[str, Weight] = {}
    total = loose
    for path, folder in folders:
        weight = weigh(folder)
        if too_much := _exceeded(weight, PER_FOLDER):
            at, blamed = _to_blame(path, folder, too_much, weigh, inside)
            held[path] = _excess(path, at, blamed, too_much)
            total += Weight(folders=1)
        else:
            weights[path] = weight
            total += weight
        if len(held) + len(weights) > PER_COMMIT.folders:  # there may be a million of them
            break
    heaviest: Iterator[str] = iter(())
    by: Dimension | None = None  # each that goes lowers all sums, so none comes again
    while too_much := _exceeded(total, PER_COMMIT):
        if not weights or _exceeded(loose, PER_COMMIT):
            return TooMuch(
                refused=f"the commit has more than {_count(PER_COMMIT, too_much)} directly in"
                f" {DAGS}: git rm -r --cached what is no code there"
            )
        if by != too_much:
            by, heaviest = too_much, _heaviest_first(weights, too_much)
        path = next(heaviest)
        weight = weights.pop(path)
        held[path] = (
            f"{path} has {_count(weight, too_much)}, and the commit has more than"
            f" {_count(PER_COMMIT, too_much)}: {_remedy(too_much)}"
        )
        total = Weight(
            total.files - weight.files,
            total.folders - weight.folders + 1,
            total.size - weight.size,
            total.python - weight.python,
        )
    return TooMuch(held)


def _heaviest_first(weights: Mapping[str, Weight], dimension: Dimension) -> Iterator[str]:
    return iter(sorted(weights, key=lambda path: -_of(weights[path], dimension)))


def of_files(sizes: Mapping[str, int]) -> TooMuch:
    """Judge a commit by the size of each file that it would publish, by path."""
    inside = _by_first_name(sizes)
    dags = inside.get(DAGS.rstrip("/"), {})
    folders = {f"{DAGS}{name}": files for name, files in _by_first_name(dags).items()}
    if include := inside.get(INCLUDE.rstrip("/")):
        folders[INCLUDE.rstrip("/")] = include
    loose = weight_of({name: size for name, size in dags.items() if "/" not in name})
    return judged(
        folders.items(),
        replace(loose, folders=0),
        weigh=weight_of,
        inside=_by_first_name,
    )


def weight_of(sizes: Mapping[str, int]) -> Weight:
    """Return the weight of a folder by the size of each file, by its path inside."""
    python = sum(min(n, LARGEST_PARSED) for path, n in sizes.items() if path.endswith(".py"))
    return Weight(len(sizes), len(folders_above(sizes)) + 1, sum(sizes.values()), python)


def folders_above(paths: Iterable[str]) -> set[str]:
    """Return the folders that paths lie in, however deep."""
    folders: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def _by_first_name(sizes: Mapping[str, int]) -> Mapping[str, Mapping[str, int]]:
    """Return what lies in each folder, by its path there; not what lies in none."""
    found: dict[str, dict[str, int]] = {}
    for path, size in sizes.items():
        name, slash, rest = path.partition("/")
        if slash:
            found.setdefault(name, {})[rest] = size
    return found


def _exceeded(weight: Weight, most: Weight) -> Dimension | None:
    return next((d for d in get_args(Dimension) if _of(weight, d) > _of(most, d)), None)


def _of(weight: Weight, dimension: Dimension) -> int:
    found: int = getattr(weight, dimension)
    return found


def _to_blame(
    path: str,
    folder: Folder,
    too_much: Dimension,
    weigh: Callable[[Folder], Weight],
    inside: Callable[[Folder], Mapping[str, Folder]],
) -> tuple[str, Weight]:
    """Return the innermost folder without which the rest would not be too much, and its weight.

    A hidden one, or a virtual environment, is one thing: nobody takes a part of it away.
    """
    weight = weigh(folder)
    spare = _of(weight, too_much) - _of(PER_FOLDER, too_much)
    while (folders := inside(folder)) and len(path) < MAX_PATH_BYTES:
        weights = {name: weigh(one) for name, one in folders.items()}
        name = max(weights, key=lambda name: _of(weights[name], too_much))
        most = _of(weights[name], too_much)
        if most < spare or most * 2 < _of(weight, too_much):
            break
        path, folder, weight = f"{path}/{name}", folders[name], weights[name]
        if name.startswith(".") or name in _ENVIRONMENTS:
            break
    return path, weight


def _excess(path: str, at: str, weight: Weight, too_much: Dimension) -> str:
    """Say why the folder `path` is left out as a whole, where `at` in it has that weight."""
    has = f"{at} has {_count(weight, too_much)}, more than {_count(PER_FOLDER, too_much)}"
    if at == path:
        return f"{has}: {_remedy(too_much)}"
    return f"{has}: git rm -r --cached {shlex.quote(at)} and add it to .gitignore"


def _remedy(too_much: Dimension) -> str:
    if too_much == "python":
        return "name packages in requirements.txt instead"
    return "git rm -r --cached what is no code"


def _count(weight: Weight, dimension: Dimension) -> str:
    if dimension == "size":
        return f"{weight.size / 1_000_000:,.0f} MB"
    if dimension == "python":
        return f"{weight.python / 1_000_000:,.0f} MB of Python"
    return f"{_of(weight, dimension):,} {dimension}"
