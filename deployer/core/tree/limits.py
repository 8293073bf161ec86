"""How much a commit may put into a release, and whom to tell what is too much.

Pure. A student's folder and `include/` are judged each on its own: one that is too large is left
out as a whole, and all others go on; where the sum is too large, the heaviest are. Of a commit with
too many files or folders directly in `dags/` nothing is published.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Literal, Protocol

from deployer.core.model import DAGS, INCLUDE
from deployer.core.tree.publishable import MAX_PATH_BYTES

Dimension = Literal["files", "folders", "size"]

_COUNTED_TO: Final = 10**15
"""A few kilobytes may stand for a number of files of as many digits."""


@dataclass(frozen=True, slots=True)
class Weight:
    """What a folder holds, however deep; it is one of its `folders` itself. `size` in bytes."""

    files: int = 0
    folders: int = 0
    size: int = 0

    def __add__(self, other: Weight) -> Weight:
        return Weight(
            min(self.files + other.files, _COUNTED_TO),
            min(self.folders + other.folders, _COUNTED_TO),
            min(self.size + other.size, _COUNTED_TO),
        )


PER_FOLDER: Final = Weight(files=5_000, folders=1_000, size=500_000_000)
PER_COMMIT: Final = Weight(files=50_000, folders=10_000, size=4_000_000_000)


class Folder(Protocol):
    """A folder that can be looked into without listing all that is in it."""

    @property
    def weight(self) -> Weight:
        """Return what is in it."""

    @property
    def folders(self) -> Mapping[str, Folder]:
        """Return the folders directly in it, by name."""

    @property
    def is_environment(self) -> bool:
        """Tell whether it is a virtual environment of Python's (PEP 405: it has a pyvenv.cfg)."""


@dataclass(frozen=True)
class Files:
    """A `Folder` of files that are listed already: the size of each, by its path inside."""

    sizes: Mapping[str, int]

    @cached_property
    def weight(self) -> Weight:
        folders = {""}
        for path in self.sizes:
            while path := path.rpartition("/")[0]:
                folders.add(path)
        return Weight(len(self.sizes), len(folders), sum(self.sizes.values()))

    @cached_property
    def folders(self) -> Mapping[str, Files]:
        return {name: Files(sizes) for name, sizes in _by_first_name(self.sizes).items()}

    @property
    def is_environment(self) -> bool:
        return "pyvenv.cfg" in self.sizes


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


def judged(folders: Iterable[tuple[str, Folder]], loose: Weight) -> TooMuch:
    """Judge a commit by its `folders`, each with its path; `loose` lies directly in `dags/`.

    Where all together are too much, the heaviest are left out: nobody else has to wait for them.
    """
    held: dict[str, str] = {}
    weights: dict[str, Weight] = {}
    total = loose
    for path, folder in folders:
        if reason := _excess(path, folder):
            held[path] = reason
            total += Weight(folders=1)
        else:
            weights[path] = folder.weight
            total += folder.weight
        if len(held) + len(weights) > PER_COMMIT.folders:  # there may be a million of them
            break
    while too_much := _exceeded(total, PER_COMMIT):
        if not weights or _exceeded(loose, PER_COMMIT):
            return TooMuch(
                refused=f"the commit has more than {_count(PER_COMMIT, too_much)} directly in"
                f" {DAGS}: git rm -r --cached what is no code there"
            )
        heaviest = max(weights, key=lambda path: _of(weights[path], too_much))
        weight = weights.pop(heaviest)
        held[heaviest] = (
            f"{heaviest} has {_count(weight, too_much)}, and the commit has more than"
            f" {_count(PER_COMMIT, too_much)}: git rm -r --cached what is no code"
        )
        total = Weight(
            total.files - weight.files,
            total.folders - weight.folders + 1,
            total.size - weight.size,
        )
    return TooMuch(held)


def of_files(sizes: Mapping[str, int]) -> TooMuch:
    """Judge a commit by the size of each file that it would publish, by path."""
    inside = _by_first_name(sizes)
    dags = inside.get(DAGS.rstrip("/"), {})
    folders = {f"{DAGS}{name}": files for name, files in _by_first_name(dags).items()}
    if include := inside.get(INCLUDE.rstrip("/")):
        folders[INCLUDE.rstrip("/")] = include
    loose = [size for name, size in dags.items() if "/" not in name]
    return judged(
        ((path, Files(files)) for path, files in folders.items()),
        Weight(files=len(loose), size=sum(loose)),
    )


def _by_first_name(sizes: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Return what lies in each folder, by its path there; not what lies in none."""
    found: dict[str, dict[str, int]] = {}
    for path, size in sizes.items():
        name, slash, rest = path.partition("/")
        if slash:
            found.setdefault(name, {})[rest] = size
    return found


def _exceeded(weight: Weight, most: Weight) -> Dimension | None:
    dimensions: tuple[Dimension, ...] = ("files", "folders", "size")
    return next((d for d in dimensions if _of(weight, d) > _of(most, d)), None)


def _of(weight: Weight, dimension: Dimension) -> int:
    found: int = getattr(weight, dimension)
    return found


def _excess(path: str, folder: Folder) -> str | None:
    """Return why the folder is left out as a whole, None if it is not."""
    too_much = _exceeded(folder.weight, PER_FOLDER)
    if too_much is None:
        return None
    at, inner = _to_blame(path, folder, too_much)
    has = f"{at} has {_count(inner.weight, too_much)}, more than {_count(PER_FOLDER, too_much)}"
    if at == path:
        return f"{has}: git rm -r --cached what is no code"
    return f"{has}: git rm -r --cached {shlex.quote(at)} and add it to .gitignore"


def _to_blame(path: str, folder: Folder, too_much: Dimension) -> tuple[str, Folder]:
    """Return the innermost folder without which the rest would not be too much.

    A hidden one, or a virtual environment, is one thing: nobody takes a part of it away.
    """

    def heavy(one: Folder) -> int:
        return _of(one.weight, too_much)

    spare = heavy(folder) - _of(PER_FOLDER, too_much)
    while folder.folders and not folder.is_environment and len(path) < MAX_PATH_BYTES:
        name, inner = max(folder.folders.items(), key=lambda item: heavy(item[1]))
        if heavy(inner) < spare or heavy(inner) * 2 < heavy(folder):
            break
        path, folder = f"{path}/{name}", inner
        if name.startswith("."):
            break
    return path, folder


def _count(weight: Weight, dimension: Dimension) -> str:
    if dimension == "size":
        return f"{weight.size / 1_000_000:,.0f} MB"
    return f"{_of(weight, dimension):,} {dimension}"
