"""One release on disk: what it is made of, how it is filled, when it is whole, and still so.

    <release>/dags/…  include/…  requirements.txt    what the commit holds
    <release>/.manifest.json                         written last: with it the release is whole

The manifest keeps the blob id of each file, and which may be executed, so that the next release
knows what it may link.

Somebody may edit it by hand. What a file holds is compared with its blob id once, then only what
`lstat` says of it: 3,000 files take some 20 ms. Who sets size and time back after an edit is found
at the next start.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from deployer.core.model import DAGS, INCLUDE, REQUIREMENTS, Tree
from deployer.core.planning.held import stays_live
from deployer.core.tree.limits import folders_above
from deployer.edges.disk import flush

_MANIFEST: Final = ".manifest.json"
_SYNC_ABOVE: Final = 64
"""Files. An fsync takes some 0.4 ms each; one sync for all waits for others' writes too, so
it is for the first release and the like."""
_READABLE: Final = 0o444
_PARSED: Final = (".py", ".zip", ".airflowignore")
"""What makes a difference in `dags/`; a bytecode cache or a task's output does not."""

_Known = tuple[str, int, int, int, int]  # blob, inode, size, mtime, mode


class Blobs(Protocol):
    """Where the contents of files come from."""

    def blobs(self, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each blob's id and content.

        Raises:
            UnknownCommit, GitError
        """

    def sizes(self, ids: Collection[str]) -> Mapping[str, int]:
        """Return how many bytes each blob has.

        Raises:
            UnknownCommit, GitError
        """


@dataclass(frozen=True, slots=True)
class Contents:
    """What a whole release holds: blob id by path; which of the paths may be executed."""

    root: Path
    sha: str
    files: Mapping[str, str]
    executable: frozenset[str] = frozenset()


class With:
    """Blobs, and one more content that comes from no commit."""

    def __init__(self, content: bytes, source: Blobs) -> None:
        self._id = blob_id(content)
        self._content = content
        self._source = source

    def sizes(self, ids: Collection[str]) -> Mapping[str, int]:
        of_commit = self._source.sizes([blob for blob in ids if blob != self._id])
        return {**of_commit, self._id: len(self._content)}

    def blobs(self, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        if self._id in ids:
            yield self._id, self._content
        yield from self._source.blobs([blob for blob in ids if blob != self._id])


def blob_id(content: bytes) -> str:
    """Return the id that git gives to a file of this content."""
    return hashlib.sha1(b"blob %d\0%s" % (len(content), content), usedforsecurity=False).hexdigest()


def is_whole(root: Path) -> bool:
    return (root / _MANIFEST).is_file()


def contents(root: Path) -> Contents | None:
    """Return what the release at `root` holds, None if its manifest can't be read."""
    try:
        manifest = json.loads((root / _MANIFEST).read_bytes())
        sha, files = str(manifest["sha"]), dict(manifest["files"])
        return Contents(root, sha, files, frozenset(manifest.get("executable", ())))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def wanted(
    tree: Tree, live: Contents | None, held: Collection[str]
) -> tuple[dict[str, str], frozenset[str], bytes]:
    """Return the blob id of each file of the release, which may be executed, and the text of its
    requirements.
    """
    files = {path: file.blob for path, file in tree.files.items() if path not in held}
    executable = {path for path in files if tree.files[path].executable}
    if live:
        old = {*stays_live(tree, live.files), *(set(held) & tree.files.keys() & live.files.keys())}
        files |= {path: live.files[path] for path in old}
        executable = (executable - old) | (live.executable & old)
    # The text as it was understood, which is what is installed, whatever the file's encoding.
    requirements = (tree.requirements or "").encode()
    if tree.requirements is not None:
        files[REQUIREMENTS] = blob_id(requirements)
    return files, frozenset(executable), requirements


def moved(new: Contents, like: Contents | None, fresh: Collection[str]) -> frozenset[str]:
    """Return the paths that can't be links to what `like` holds, those in `fresh` among them."""
    if like is None:
        return frozenset(new.files)
    return frozenset(
        path
        for path, blob in new.files.items()
        if like.files.get(path) != blob
        or (path in like.executable) != (path in new.executable)
        or path in fresh
    )


def fill(
    new: Contents, *, like: Contents | None, moved: Collection[str], source: Blobs
) -> list[Path]:
    """Make the directory of `new` with its files; return what was written.

    All but those that `moved` are links to what `like` holds.

    Raises:
        OSError, UnknownCommit, GitError: it is left half filled.
    """
    root, files = new.root, new.files
    for path in files:
        inside = path.startswith((DAGS, INCLUDE)) or path == REQUIREMENTS
        if not inside or ".." in path.split("/"):
            raise ValueError(f"{path!r} lies outside a release")  # a Tree never holds one
    _make_folders(root, files)
    to_write: dict[str, list[str]] = {}
    for path, blob in files.items():
        if path in moved or not (like and _linked(f"{like.root}/{path}", f"{root}/{path}")):
            to_write.setdefault(blob, []).append(path)
    for blob, content in source.blobs(to_write):
        for path in to_write[blob]:
            _write(root / path, content, 0o755 if path in new.executable else 0o644)
    return [root / path for paths in to_write.values() for path in paths]


def make_whole(contents: Contents, written: Collection[Path]) -> None:
    """Put what was written on the disk, then the manifest.

    Only files are flushed. Directories, links and renames reach the journal of ext4 or
    XFS in the order they are made, so a `current` that survives a power cut leads to a
    release that does.
    """
    if len(written) > _SYNC_ABOVE:
        os.sync()
    else:
        for path in written:
            flush(path)
    manifest = contents.root / _MANIFEST
    said = {
        "sha": contents.sha,
        "files": dict(contents.files),
        "executable": sorted(contents.executable),
    }
    _write(manifest, json.dumps(said).encode(), 0o644)
    flush(manifest)


def _make_folders(root: Path, files: Iterable[str]) -> None:
    """Make `root`, what folders `files` need in it, and the two that Airflow expects."""
    for folder in sorted({"", "dags", "include"} | folders_above(files)):
        (root / folder).mkdir(exist_ok=True)
        (root / folder).chmod(0o755)  # whatever umask or mkdtemp say: Airflow's user reads it


def _linked(old: str, new: str) -> bool:
    """Link `new` to `old`; False if that can't be: the file is gone, has too many links."""
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError:
        return False
    return True


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a new file; of this mode whatever the umask, for Airflow's user is another one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)
        file.write(content)


class ReleaseWatch:
    """For the files of one store, whose releases share them by hard links."""

    def __init__(self) -> None:
        self._good: dict[str, _Known] = {}

    def changed(self, release: Contents) -> frozenset[str]:
        """Return the paths that were edited, removed, made unreadable or added."""
        found = {
            path: self._known(f"{release.root}/{path}", path, blob)
            for path, blob in release.files.items()
        }
        self._good = {path: known for path, known in found.items() if known}
        return frozenset(found.keys() - self._good.keys()) | _added(release)

    def _known(self, place: str, path: str, blob: str) -> _Known | None:
        """Return what is known of a file that is as it was published."""
        try:
            there = os.lstat(place)
            known = (blob, there.st_ino, there.st_size, there.st_mtime_ns, there.st_mode)
            if known == self._good.get(path):
                return known
            readable = stat.S_ISREG(there.st_mode) and there.st_mode & _READABLE == _READABLE
            return known if readable and blob_id(Path(place).read_bytes()) == blob else None
        except OSError:
            return None


def _added(release: Contents) -> frozenset[str]:
    """Return what Airflow would parse and nobody pushed."""
    found = set()
    for folder, _, names in os.walk(release.root / DAGS):
        above = folder[len(str(release.root)) + 1 :]
        found |= {f"{above.rstrip('/')}/{name}" for name in names if name.endswith(_PARSED)}
    return frozenset(found - release.files.keys())
