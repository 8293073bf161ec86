"""A student's working copy, seen as the commit that it may become.

Nothing is committed and nothing of the copy is changed: files that git ignores are passed
over, new ones count, and what the isolated parse needs is copied to a place of its own.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

from deployer.core.dependencies.affected import parse_inputs
from deployer.core.model import DAGS, INCLUDE, REQUIREMENTS, Tree
from deployer.core.planning.held import stays_live
from deployer.core.tree import contents
from deployer.core.tree.publishable import EXECUTABLE, LINK, SUBMODULE, Entry, shown
from deployer.edges.disk import disk_errors
from deployer.errors import DiskError, WrongPlace

UNCOMMITTED: Final = "0" * 40
"""In place of a commit's id, as git itself writes it (git-diff-files(1))."""
GIT_TIMEOUT_S: Final = 60.0

_PUBLISHED: Final = (DAGS.rstrip("/"), INCLUDE.rstrip("/"), REQUIREMENTS)
_FILE: Final = "100644"
_HINT: Final = "see that the file can be read, and that the disk has room"
# Python writes these beside a file that is run, where no .gitignore speaks of them.
_NOBODY_MEANS: Final = ("__pycache__/", "*.pyc", "*.pyo")


class WorkingCopy:
    """The class repository at `root`; implements `edges.parser.examiner.Materialiser`.

    In its trees the blob id of a file is the path, from `root`, that has its content.
    """

    def __init__(self, root: Path) -> None:
        """Read nothing yet."""
        self.root = root

    @classmethod
    def around(cls, place: Path) -> WorkingCopy:
        """Return the class repository that the directory `place` lies in.

        That is the nearest directory above with a `.git` in it; without git, the nearest one
        that holds `dags/`.

        Raises:
            WrongPlace: there is none, or it holds no `dags/`.
        """
        place = place.resolve()
        above = (place, *place.parents)
        cloned = next((up for up in above if (up / ".git").exists()), None)
        root = cloned or next((up for up in above if (up / DAGS).is_dir()), None)
        if root is None or not (root / DAGS).is_dir():
            raise WrongPlace(
                f"{cloned or place} is not a class repository: there is no folder dags/ in it; "
                "go into your clone of the class repository and try again"
            )
        return cls(root)

    def inside(self, given: str, place: Path) -> str:
        """Return what a person called `given`, in `place`, as a path that `tree` spells alike.

        It is looked for from `place`, then from the root; the root itself is an empty path.

        Raises:
            WrongPlace: there is no such file or folder, or it lies elsewhere.
        """
        found = next((p for p in (place / given, self.root / given) if os.path.lexists(p)), None)
        if found is None:
            raise WrongPlace(
                f"there is no file or folder {given}; name it as seen from here, or from "
                f"{self.root}, as in dags/<your folder>/<file>.py"
            )
        # The last name stays as it is: a link is judged itself, not what it leads to.
        real = os.path.normpath(found.parent.resolve() / found.name)
        path = os.path.relpath(real, self.root)
        if Path(path).parts[:1] == (os.pardir,):
            raise WrongPlace(f"{given} lies outside of the class repository {self.root}")
        return "" if path == os.curdir else shown(os.fsencode(path))

    def tree(self) -> Tree:
        """Return what the commit of all that is there would be.

        Raises:
            DiskError: a file can't be read.
        """
        with disk_errors(_HINT):
            return contents.tree(
                UNCOMMITTED,
                list(self._entries()),
                size=lambda blob: (self.root / blob).stat().st_size,
                says=lambda blob, kind: contents.read(kind, _content(self.root / blob)),
            )

    def gone(self, tree: Tree) -> frozenset[str]:
        """Return the paths that a push takes away, `tree` being this copy's.

        They were there where this copy parted from the host's branch, or in its last commit where
        git knows of no host; none without git.

        Raises:
            DiskError: git can't be asked.
        """
        if not (self.root / ".git").exists():
            return frozenset()
        parted = self._git("merge-base", "HEAD", "origin/HEAD").stdout.decode().strip() or "HEAD"
        listed = self._git("ls-tree", "-r", "-z", "--name-only", parted, "--", *_PUBLISHED).stdout
        were = {shown(path) for path in listed.split(b"\0") if path}
        return frozenset(were - tree.files.keys() - {REQUIREMENTS} - stays_live(tree, were))

    def mention(self, tree: Tree, paths: Collection[str], words: Collection[str]) -> list[str]:
        """Return those of `paths` in whose bytes one of `words` occurs.

        Raises:
            DiskError: a file can't be read.
        """
        wanted = [word.encode() for word in words]
        found = []
        with disk_errors(_HINT):
            for path in paths:
                content = _content(self.root / tree.files[path].blob)
                if any(word in content for word in wanted):
                    found.append(path)
        return found

    @contextmanager
    def lay_out(self, tree: Tree, paths: Sequence[str]) -> Iterator[Path]:
        """Hand out a copy of `paths` and of what they may refer to; removed afterwards.

        Raises:
            DiskError: it can't be made.
        """
        with disk_errors(_HINT):
            made = tempfile.TemporaryDirectory(prefix="deployer-check-", ignore_cleanup_errors=True)
        with made as named:
            # Resolved: a trace must name it as it is named here, to be cut out.
            place = Path(named).resolve()
            with disk_errors(_HINT):
                for path in parse_inputs(tree.files, paths):
                    copy = place / path
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(self.root / tree.files[path].blob, copy)
            yield place

    # -- parts

    def _entries(self) -> Iterator[Entry]:
        """Yield what `git ls-tree` would list of the commit."""
        is_link = cache(lambda folder: (self.root / folder).is_symlink())
        for path in sorted(self._names()):
            name = os.fsdecode(path)
            if any(map(is_link, Path(name).parents[:-1])):  # behind what took its folder's place
                continue
            try:
                mode = (self.root / name).lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):  # deleted, and git still lists it
                continue
            if stat.S_ISREG(mode):
                yield Entry(EXECUTABLE if mode & stat.S_IXUSR else _FILE, name, path)
            elif stat.S_ISLNK(mode):
                yield Entry(LINK, name, path)
            elif (self.root / name / ".git").exists():  # else a folder in the place of a file
                yield Entry(SUBMODULE, name, path)

    def _names(self) -> set[bytes]:
        if not (self.root / ".git").exists():
            return set(self._walked())
        new = ("--others", "--exclude-standard", *(f"--exclude={name}" for name in _NOBODY_MEANS))
        done = self._git("ls-files", "-z", "--cached", *new, "--", *_PUBLISHED)
        if done.returncode:
            raise DiskError(f"git can't read {self.root}: {os.fsdecode(done.stderr)}")
        return {name.rstrip(b"/") for name in done.stdout.split(b"\0") if name}

    def _git(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = ("git", "-C", str(self.root), *arguments)
        try:
            return subprocess.run(command, check=False, capture_output=True, timeout=GIT_TIMEOUT_S)
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise DiskError(f"git can't be asked for the files of {self.root}: {exc}") from exc

    def _walked(self) -> Iterator[bytes]:
        """Yield all files, where there is no git that could tell."""
        if (self.root / REQUIREMENTS).exists():
            yield REQUIREMENTS.encode()
        for top in (DAGS, INCLUDE):
            for directory, folders, files in os.walk(self.root / top):
                links = [name for name in folders if Path(directory, name).is_symlink()]
                folders[:] = [name for name in folders if name != "__pycache__"]
                for name in (*files, *links):
                    if not name.endswith((".pyc", ".pyo")):
                        yield os.fsencode(os.path.relpath(Path(directory, name), self.root))


def _content(file: Path) -> bytes:
    """Return a link's target; a file's content, or as much of it as shows that it is too large."""
    if file.is_symlink():
        return os.fsencode(file.readlink())
    with file.open("rb") as stream:
        return stream.read(contents.MAX_FILE_MB * 1_000_000 + 1)
