"""Decide which entries of a commit go into a release, by name and kind.

Pure: entries in, paths out. What the content decides (size, a broken
`.airflowignore`) is judged where contents are read.

Several of these have been seen to kill Airflow's dag-processor for the whole class,
and again after each restart: a name that is not UTF-8, a link that loops or leads to
another folder (airflow 3.3.2, `file_discovery.py:180`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from deployer.core.model import DAGS, INCLUDE, REQUIREMENTS, LeftOut
from deployer.core.tree import ignores

EXECUTABLE: Final = "100755"
LINK: Final = "120000"
SUBMODULE: Final = "160000"
FOLDER: Final = "040000"

MAX_NAME_BYTES: Final = 255  # NAME_MAX of ext4, XFS and btrfs
MAX_PATH_BYTES: Final = 512
"""Airflow 3.3.2 keeps an import error's file in a column of 1,024 characters
(`models/errors.py:36`); PostgreSQL refuses more, which ends the dag-processor."""

# It would hide nothing, and all that the file of this name hid would go live.
_IGNORE_FOLDER: Final = re.compile(
    rb"(dags/(?:.*/)?%s)/.*" % re.escape(ignores.NAME.encode()), re.DOTALL
)

_MAX_HOPS: Final = 10
"""Links over which a link leads. Linux follows 40 (path_resolution(7)); to follow thousands over so
many, each by a way of kilobytes, took minutes."""
_NOTHING: Final = "the link leads to nothing in dags/ or include/ of this commit"
_OUTSIDE: Final = "the link leads out of the repository"
_LINE_BREAKING: Final = frozenset({"Cc", "Zl", "Zp"})  # Unicode's control, line, paragraph
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They show what stands behind them in another order: `broken` may read as `live`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of `git ls-tree`: `mode` as git prints it, `path` as the bytes it is.

    A `FOLDER` stands for all that is in it: it can't be published, whatever that is.
    """

    mode: str
    blob: str
    path: bytes


def shown(path: bytes) -> str:
    """Return `path` on one line: a name that can be published as it is, in others escapes."""
    text = path.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode() if misleads(c) else c for c in text)


def misleads(character: str) -> bool:
    """Tell whether a line that holds it could be shown as something else."""
    return unicodedata.category(character) in _LINE_BREAKING or character in _TURNING


def publishable(
    entries: Iterable[Entry], targets: Mapping[str, bytes]
) -> tuple[dict[str, str], tuple[LeftOut, ...], frozenset[str], dict[str, str]]:
    """Return the blob id of each path that may be published, what is left out, which of the
    paths may be executed, and to which path those lead that are links.

    `entries` are a commit's `dags`, `include` and `requirements.txt`; `targets` the texts
    of its links by blob id. A link to a file comes out as that file.
    """
    tree: dict[bytes, Entry] = {}
    left_out: list[LeftOut] = []
    for entry in entries:
        if within := _IGNORE_FOLDER.fullmatch(entry.path):
            tree.setdefault(within[1], Entry(FOLDER, entry.blob, within[1]))
        elif entry.path in tree:
            left_out.append(
                LeftOut(shown(entry.path), "the commit holds this name twice", entry.blob)
            )
        else:
            tree[entry.path] = entry
    # A path of absurd depth is left out by its length; its folders are not worth listing.
    folders = {up for path in tree if len(path) <= MAX_PATH_BYTES for up in _parents(path)}
    commit = _Commit(tree, folders, targets)

    files: dict[str, str] = {}
    executable = set()
    links = {}
    for path, entry in sorted(tree.items()):
        found = commit.judged(entry)
        if isinstance(found, Entry):
            files[path.decode()] = found.blob
            if found.mode == EXECUTABLE:
                executable.add(path.decode())
            if found.path != path:
                links[path.decode()] = found.path.decode()
        else:
            left_out.append(LeftOut(shown(path), found, entry.blob))
    return files, tuple(left_out), frozenset(executable), links


@dataclass(frozen=True, slots=True)
class _Commit:
    """What one commit holds.

    Attributes:
        tree: entries by path.
        folders: paths of the folders above them.
        targets: texts of the links by blob id.
    """

    tree: Mapping[bytes, Entry]
    folders: Collection[bytes]
    targets: Mapping[str, bytes]

    def judged(self, entry: Entry) -> Entry | str:
        """Return the entry whose content is published for `entry`, or why there is none."""
        reason = _bad_name(entry.path)
        if reason is not None:
            return reason
        if entry.path in self.folders:  # only a hand-made commit holds one name as file and folder
            return "the commit holds this name as a file and as a folder"
        if entry.mode in {SUBMODULE, FOLDER}:
            module = "submodules are not fetched; commit the files themselves"
            return module if entry.mode == SUBMODULE else f"{shown(entry.path)} must be a file"
        if entry.mode != LINK:
            return entry
        found = self._followed(entry.path)
        if isinstance(found, Entry) and (
            found.mode in {SUBMODULE, FOLDER}
            or found.path == REQUIREMENTS.encode()
            or _bad_name(found.path)
        ):
            return "the link leads to something that is not published"
        return found

    def _followed(self, path: bytes) -> Entry | str:
        """Follow the link at `path` inside the commit, name by name as a kernel would.

        Returns the entry it ends at, or why it ends at none.
        """
        for _ in range(_MAX_HOPS + 1):
            found = self._first_entry(path)
            if isinstance(found, str):
                return found
            entry, rest = found
            if entry.mode != LINK:
                return _NOTHING if rest else entry
            target = self.targets[entry.blob]
            if target.startswith(b"/"):
                return _OUTSIDE
            path = b"/".join([entry.path.rpartition(b"/")[0], target, *rest])
            if len(path) > MAX_PATH_BYTES:
                return f"the path of the link is longer than {MAX_PATH_BYTES} bytes"
        return "the link leads back to itself"

    def _first_entry(self, path: bytes) -> tuple[Entry, list[bytes]] | str:
        """Return the first entry on the way along `path` and the names after it, or why none."""
        at: list[bytes] = []
        parts = path.split(b"/")
        for number, part in enumerate(parts, 1):
            if part == b"..":
                if not at:
                    return _OUTSIDE
                at.pop()
            elif part not in {b"", b"."}:
                at.append(part)
                here = b"/".join(at)
                if here in self.tree:
                    return self.tree[here], parts[number:]
                if here not in self.folders:
                    return _NOTHING
        return "the link leads to a folder; only links to files are published"


# A release is on the import path, and its dags/ behind it; a package anywhere is found before
# folders without an __init__.py (PEP 420), which dags/ and include/ are.
_SHADOWING: Final = re.compile(r"dags/(dags|include)(/__init__)?(\.[^/]+)?\.(py|so)")


@lru_cache(maxsize=16_384)  # nearly all names come again with each push
def _bad_name(path: bytes) -> str | None:
    """Return why nothing can be published under this name, None if it can."""
    try:
        text = path.decode("utf-8")
    except UnicodeDecodeError:
        return "the file name is not UTF-8, which would stop Airflow's dag-processor for everybody"
    parts = text.split("/")
    reasons = {
        f"{parts[0]} must be a {'file' if parts[0] == REQUIREMENTS else 'folder'}": (
            text != REQUIREMENTS and not text.startswith((DAGS, INCLUDE))
        ),
        "it would be imported in place of everybody's dags/ or include/: rename it": (
            _SHADOWING.fullmatch(text) is not None
        ),
        "the file name holds a control character or a line break": any(map(misleads, text)),
        "the path is not one that git itself would make": any(
            part in {"", ".", ".."} or part.lower() == ".git" for part in parts
        ),
        f"the name is too long ({MAX_NAME_BYTES} bytes a name, {MAX_PATH_BYTES} bytes a path)": (
            len(path) > MAX_PATH_BYTES or any(len(part.encode()) > MAX_NAME_BYTES for part in parts)
        ),
        "compiled Python is not published: it could run in place of the source": (
            "__pycache__" in parts or text.endswith((".pyc", ".pyo"))
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _parents(path: bytes) -> Iterator[bytes]:
    """Yield the folders above `path`, from the nearest."""
    while b"/" in path:
        path = path.rpartition(b"/")[0]
        yield path
