"""Read objects of a bare repository out of one git process that stays, and walk its trees.

A new process costs 7 ms, and one push has some eight questions. `git cat-file --batch-command`
(git-cat-file(1), since git 2.36) looks refs and packs up anew for each, and ends when its standard
input does: with the worker, whatever ends that.

Trees are walked by their ids, and what stands in many places is read and weighed once.
`git ls-tree -r` lists a subtree anew wherever it stands, so that ten of ten of ten … are a
million lines out of a few hundred bytes. Here a folder's weight is known before it is listed,
and two commits are compared only where their trees differ.
"""

from __future__ import annotations

import re
import stat
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from deployer.core.model import COMPOSE_FILE, DAGS, INCLUDE, REQUIREMENTS, ROSTER
from deployer.core.tree.limits import PER_COMMIT, Weight
from deployer.core.tree.publishable import FOLDER, LINK, MAX_PATH_BYTES, SUBMODULE, Entry, shown
from deployer.edges.git.command import GitRunner, Ran

if TYPE_CHECKING:
    from git.cmd import Git


class GitUnread(Exception):
    """Nothing could be read; `ran` is how git ended."""

    def __init__(self, ran: Ran) -> None:
        self.ran = ran
        super().__init__(ran.words)


class Found(NamedTuple):
    """An object's id and type; of `contents` what it holds, of `info` how many bytes."""

    name: bytes
    kind: bytes
    said: bytes


_TRIES: Final = 2  # a process that somebody ended is no fault of the mirror's
_AT_ONCE: Final = 256
"""Questions asked before the first answer is read: both ways hold them (64 KiB, pipe(7))."""

# <mode in octal> SP <name> NUL <id>, which is a SHA-1, as in `repository`
# A fetch lets in nothing but entries, one after the other: it walks all that is new.
_ENTRY: Final = re.compile(rb"([0-7]+) ([^\0]*)\0(.{20})", re.DOTALL)
_LOOKED_AT: Final = frozenset(
    name.rstrip("/").encode() for name in (DAGS, INCLUDE, REQUIREMENTS, ROSTER, COMPOSE_FILE)
)
_ENTRIES_KEPT: Final = 2 * PER_COMMIT.files
_WEIGHTS_KEPT: Final = 10 * PER_COMMIT.folders


class GitObjects:
    """What one repository holds; for one thread. Its process starts with the first question."""

    def __init__(self, git: GitRunner, repository: Path) -> None:
        self._git = git
        self._repository = repository
        self._process: Git.AutoInterrupt | None = None

    def ask(self, command: str, names: Sequence[str]) -> list[Found | None]:
        """Return what each of `names` names, None where that is nothing: its `info` or `contents`.

        Raises:
            GitUnread: the repository can't be read.
        """
        found: list[Found | None] = []
        for start in range(0, len(names), _AT_ONCE):
            found += self._asked(command, names[start : start + _AT_ONCE])
        return found

    def close(self) -> None:
        """End the process; the next question starts another."""
        self._process = None  # GitPython ends it as nobody holds its wrapper any more

    def _asked(self, command: str, names: Sequence[str]) -> list[Found | None]:
        for _ in range(_TRIES):
            try:
                return self._answers(command, names)
            except (OSError, EOFError) as exc:
                ran = self._end(exc)
        raise GitUnread(ran)

    def _answers(self, command: str, names: Sequence[str]) -> list[Found | None]:
        if self._process is None:
            self._process = self._git.start(
                f"--git-dir={self._repository}", "cat-file", "--batch-command"
            )
        asks, answers = self._process.stdin, self._process.stdout
        asks.write("".join(f"{command} {name}\n" for name in names).encode())
        asks.flush()
        found = [_answer(command, answers) for _ in names]
        if None in found:  # complaints about what is missing would fill the pipe some day
            self.close()
        return found

    def _end(self, why: OSError | EOFError) -> Ran:
        process, self._process = self._process, None
        if process is None:
            return Ran.not_started(OSError(*why.args))
        words = process.communicate()[1].decode(errors="replace")
        return Ran(process.returncode, b"", self._git.redacted(words))


def _answer(command: str, answers: IO[bytes]) -> Found | None:
    # BATCH OUTPUT: "<id> <type> <size>" LF, after `contents` content LF; "<name> missing" LF
    match answers.readline().split():
        case [name, kind, size] if command == "contents":
            content = answers.read(int(size) + 1)
            if len(content) != int(size) + 1:
                raise EOFError
            return Found(name, kind, content[:-1])
        case [name, kind, size]:
            return Found(name, kind, size)
        case []:
            raise EOFError
        case _:
            return None


class GitTrees:
    """The trees of one repository, those of the last commits in memory; for one thread."""

    def __init__(self, read: Callable[[str], bytes]) -> None:
        """Take what returns a tree by its id, as git keeps it."""
        self._read = read
        self._entries: dict[str, tuple[Entry, ...]] = {}
        self._entries_before: dict[str, tuple[Entry, ...]] = {}
        self._kept = 0
        self._weights: dict[str, Weight] = {}

    def entries(self, tree: str) -> tuple[Entry, ...]:
        """Return what is directly in a tree; the path of each is its name."""
        found = self._entries.get(tree)
        if found is None:
            found = self._entries_before.get(tree) or tuple(
                Entry(_mode(octal), blob.hex(), name)
                for octal, name, blob in _ENTRY.findall(self._read(tree))
            )
            if self._kept > _ENTRIES_KEPT:  # to read them again costs a few ms
                self._entries.clear()
                self._kept = 0
            self._entries[tree] = found
            self._kept += len(found)
        return found

    def age(self) -> None:
        """Let go of what was not asked for since this was called last."""
        self._entries_before, self._entries, self._kept = self._entries, {}, 0

    def weight(self, tree: str) -> Weight:
        """Return what is in a tree, however deep; sizes are not looked at."""
        if tree not in self._weights and len(self._weights) > _WEIGHTS_KEPT:
            self._weights.clear()
        to_weigh = [tree]  # no recursion: a push decides how deep it goes
        while to_weigh:
            at = to_weigh[-1]
            inner = [] if at in self._weights else self.entries(at)
            unknown = {e.blob for e in inner if e.mode == FOLDER} - self._weights.keys()
            if unknown:
                to_weigh.extend(unknown)
                continue
            if at not in self._weights:
                files = sum(entry.mode != FOLDER for entry in inner)
                weights = [self._weights[e.blob] for e in inner if e.mode == FOLDER]
                self._weights[at] = sum(weights, Weight(files=files, folders=1))
            to_weigh.pop()
        return self._weights[tree]

    def folders(self, tree: str) -> dict[str, str]:
        """Return the trees directly in a tree, by name."""
        return {shown(e.path): e.blob for e in self.entries(tree) if e.mode == FOLDER}

    def below(self, tree: str, path: bytes, but: Collection[bytes]) -> Iterator[Entry]:
        """Yield all files of a tree that stands at `path`, but for what is in folders `but`.

        A folder whose path is too long to be published comes as it is.
        """
        to_list = [(tree, path)]
        while to_list:
            at, path = to_list.pop()
            for entry in self.entries(at):
                here = b"%s/%s" % (path, entry.path)
                if entry.mode != FOLDER or len(here) > MAX_PATH_BYTES:
                    yield Entry(entry.mode, entry.blob, here)
                elif here not in but:
                    to_list.append((entry.blob, here))

    def differing(self, old: str | None, new: str, most: int) -> list[bytes]:
        """Return the paths in which two trees differ, None being an empty one.

        Of more than `most` paths the rest is told by folders, whose names end in `/`.
        """
        paths: set[bytes] = set()
        # By levels, so that what is told by folders lies deep, be it small or large.
        to_compare = deque([(b"", {old} if old else set(), {new})])
        while to_compare:
            path, *both = to_compare.popleft()
            if path and (len(paths) + len(to_compare) >= most or len(path) > MAX_PATH_BYTES):
                paths.add(path)
                continue
            olds, news = ({entry for tree in one for entry in self.entries(tree)} for one in both)
            files: set[bytes] = set()
            folders: dict[bytes, tuple[set[str], set[str]]] = {}
            for side, only_there in enumerate((olds - news, news - olds)):
                for entry in only_there:
                    if entry.mode == FOLDER:
                        folders.setdefault(entry.path, (set(), set()))[side].add(entry.blob)
                    else:
                        files.add(path + entry.path)
            if path and len(paths) + len(files) > most:
                files = {path}
            paths |= set(sorted(files, key=_first)[:most])
            for name in sorted(folders, key=_first):
                to_compare.append((b"%s%s/" % (path, name), *folders[name]))
        return sorted(paths)


def _first(name: bytes) -> tuple[bool, bytes]:
    """Return by what names are sorted, so that those come first that we look at."""
    return name not in _LOOKED_AT, name


@lru_cache(maxsize=64)
def _mode(octal: bytes) -> str:
    """Return what git makes of any mode, as it prints it."""
    mode = int(octal, 8)
    if stat.S_ISREG(mode):
        return "100755" if mode & stat.S_IXUSR else "100644"
    return {stat.S_IFDIR: FOLDER, stat.S_IFLNK: LINK}.get(stat.S_IFMT(mode), SUBMODULE)
