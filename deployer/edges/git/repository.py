"""The class repository, read out of its mirror and never checked out.

No working copy: `git checkout` and `git archive` would run the filters and obey the
`export-ignore` of a push.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial, wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

import structlog

from deployer.core.model import (
    COMPOSE_FILE,
    DAGS,
    INCLUDE,
    REQUIREMENTS,
    ROSTER,
    Authored,
    History,
    Tree,
)
from deployer.core.tree import contents, limits
from deployer.core.tree.contents import Read
from deployer.core.tree.limits import TooMuch, Weight
from deployer.core.tree.publishable import FOLDER, LINK, SUBMODULE, Entry, shown
from deployer.edges.git.command import Ran
from deployer.edges.git.mirror import Mirror
from deployer.edges.git.objects import GitTrees
from deployer.errors import GitError, UnknownCommit

P = ParamSpec("P")
Answer = TypeVar("Answer")
log = structlog.get_logger(__name__)

_SHA: Final = re.compile(r"[0-9a-f]{40}")
_DAGS, _INCLUDE = DAGS.rstrip("/").encode(), INCLUDE.rstrip("/").encode()
# Read for what they say, never published.
_ASIDE: Final = frozenset({COMPOSE_FILE.encode(), ROSTER.encode()})
TREES_KEPT: Final = 2
MAX_COMMITS: Final = 200
"""A push of more is not looked into commit by commit."""
MAX_PATHS: Final = 10_000
"""What differs beyond these is told by folders."""


def _of_a_whole_mirror(
    read: Callable[Concatenate[GitRepository, P], Answer],
) -> Callable[Concatenate[GitRepository, P], Answer]:
    """Read once more, of a mirror made anew, if this one turns out to be damaged.

    A power cut takes objects that git had just fetched, and leaves the branch that names them.

    Raises:
        GitError: the host is out of reach, too.
    """

    @wraps(read)
    def again(self: GitRepository, /, *args: P.args, **kwargs: P.kwargs) -> Answer:
        try:
            return read(self, *args, **kwargs)
        except GitError as exc:
            if not self._mirror.damaged:
                raise
            log.warning("git.mirror_damaged", mirror=str(self._mirror.path), words=str(exc))
            self._mirror.fetch()
            return read(self, *args, **kwargs)

    return again


class GitRepository:
    """`ports.Repository` over a bare mirror. For one thread."""

    def __init__(self, mirror: Mirror) -> None:
        """Touch nothing yet; the first `fetch` makes the mirror."""
        self._mirror = mirror
        # By blob and kind: those of the last tree, and of the one before it.
        self._known: dict[tuple[str, str], Read] = {}
        self._known_before: dict[tuple[str, str], Read] = {}
        self._sizes: dict[str, int] = {}  # of the last tree's blobs
        self._git_trees = GitTrees(partial(mirror.content, "tree"))
        self._trees: dict[str, Tree] = {}

    def fetch(self) -> str:
        return self._mirror.fetch()

    def blobs(self, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each blob's id and content, in the order of `ids`.

        Raises:
            UnknownCommit: the mirror does not hold one of them.
            GitError: the mirror can't be read.
        """
        for blob in ids:
            yield blob, self._blob(blob)

    @_of_a_whole_mirror
    def _blob(self, name: str) -> bytes:
        return self._mirror.content("blob", name)

    @_of_a_whole_mirror
    def sizes(self, ids: Collection[str]) -> dict[str, int]:
        """Return how many bytes each blob has.

        Raises:
            UnknownCommit: the mirror does not hold one of them.
            GitError: the mirror can't be read.
        """
        return self._mirror.sizes(ids)

    @_of_a_whole_mirror
    def contains(self, tip: str, sha: str) -> bool:
        if sha == tip:
            return True
        self._require(sha)
        ran = self._mirror.run("merge-base", "--is-ancestor", sha, _checked(tip))
        # Past a commit that was lost it finds no way, says so, and ends as if there were none.
        if ran.status not in {0, 1} or "error:" in ran.words:
            self._require(tip)
            raise self._mirror.unread(ran)
        return ran.status == 0

    @_of_a_whole_mirror
    def history(self, old: str | None, new: str) -> History:
        """As the port says; names and addresses that are not UTF-8 come with escapes."""
        since = _checked(old) if old else None
        ran = self._log(new, f"^{since}") if since else None
        if ran is None or ran.status != 0:
            self._require(new)
            since = self._mirror.named(f"{new}^1")
            ran = self._log(new, *([f"^{since}"] if since else []))
            if ran.status != 0:
                raise self._mirror.unread(ran)
        commits = [shown(line) for line in ran.out.split(b"\0") if line]
        base, root = self._root(since) if since else None, self._root(new)
        changed = self._differing(base, root, MAX_PATHS)
        if len(commits) > MAX_COMMITS:
            return History(since, changed)
        authored, left = [], MAX_PATHS
        for commit in commits:
            parent, its_root, email = commit.split(",", 2)
            before = self._root(parent) if parent else None
            most_often = (before, its_root) == (base, root)
            paths = changed if most_often else self._differing(before, its_root, left)
            left = max(left - len(paths), 0)
            authored.append(Authored(email, paths))
        return History(since, changed, tuple(authored))

    def _differing(self, old: str | None, new: str, most: int) -> tuple[str, ...]:
        return tuple(sorted(map(shown, self._git_trees.differing(old, new, most))))

    def _log(self, new: str, *without: str) -> Ran:
        return self._mirror.run(
            *("log", "-z", "--no-merges", "--format=%P,%T,%ae"),
            *(f"--max-count={MAX_COMMITS + 1}", "--end-of-options", _checked(new), *without, "--"),
        )

    def _root(self, sha: str) -> str:
        """Return the id of a commit's tree."""
        root = self._mirror.named(f"{_checked(sha)}^{{commit}}^{{tree}}")
        if root is None:
            self._require(sha)
            raise self._mirror.unread(Ran(1, b"", f"fatal: the commit {sha} has no tree"))
        return root

    @_of_a_whole_mirror
    def tree(self, sha: str) -> Tree:
        """As the port says; only what was not seen lately is read.

        The last two are kept: a deployment's tip is what the next one finds live.
        """
        if sha not in self._trees:
            self._trees[sha] = self._read(sha)
            if len(self._trees) > TREES_KEPT:
                del self._trees[next(iter(self._trees))]
        return self._trees[sha]

    def _read(self, sha: str) -> Tree:
        top = self._git_trees.entries(self._root(sha))
        aside = {
            entry.path.decode(): entry.blob
            for entry in top
            if entry.path in _ASIDE and entry.mode not in {LINK, SUBMODULE, FOLDER}
        }
        too_much = limits.judged(
            ((shown(path), tree) for path, tree in self._folders(top)),
            self._loose(top),
            weigh=self._git_trees.weight,
            inside=self._git_trees.folders,
        )
        # A commit of a million folders is refused: these are few.
        folders = {} if too_much.refused else dict(self._folders(top))
        entries = [] if too_much.refused else list(self._listed(top, folders, too_much))
        asked = {e.blob for e in entries if e.mode not in {FOLDER, SUBMODULE}}
        sizes = self._sizes_of(asked.union(aside.values()))
        reads: dict[tuple[str, str], Read] = {}

        def read(blob: str, kind: str) -> Read:
            key = (blob, kind)
            reads[key] = (
                self._known.get(key)
                or self._known_before.get(key)
                or contents.too_large(sizes[blob])
                or contents.read(kind, self._mirror.content("blob", blob))
            )
            return reads[key]

        tree = contents.tree(
            sha,
            entries,
            size=sizes.__getitem__,
            says=read,
            too_much=too_much,
            folders={shown(path): name for path, name in folders.items()},
        )
        texts = {name: read(blob, name).text for name, blob in aside.items()}
        self._known_before, self._known = self._known, reads
        self._git_trees.age()
        return replace(tree, compose=texts.get(COMPOSE_FILE), roster=texts.get(ROSTER))

    def _folders(self, top: Iterable[Entry]) -> Iterator[tuple[bytes, str]]:
        """Yield path and tree of each folder that is judged on its own."""
        for entry in top:
            if entry.mode == FOLDER and entry.path == _INCLUDE:
                yield entry.path, entry.blob
            if entry.mode == FOLDER and entry.path == _DAGS:
                for inner in self._git_trees.entries(entry.blob):
                    if inner.mode == FOLDER:
                        yield b"%s/%s" % (entry.path, inner.path), inner.blob

    def _loose(self, top: Iterable[Entry]) -> Weight:
        """Return what lies directly in `dags/`."""
        trees = [e.blob for e in top if e.mode == FOLDER and e.path == _DAGS]
        entries = (entry for tree in trees for entry in self._git_trees.entries(tree))
        return Weight(files=sum(entry.mode != FOLDER for entry in entries))

    def _listed(
        self, top: Iterable[Entry], folders: Iterable[bytes], too_much: TooMuch
    ) -> Iterator[Entry]:
        """Yield all that may be published, without the folders that are too large."""
        but = {path for path in folders if shown(path) in too_much.held}
        for entry in top:
            if entry.mode == FOLDER and entry.path in {_DAGS, _INCLUDE}:
                if entry.path not in but:
                    yield from self._git_trees.below(entry.blob, entry.path, but)
            elif entry.path in {_DAGS, _INCLUDE, REQUIREMENTS.encode()}:
                yield entry

    def _sizes_of(self, blobs: Collection[str]) -> dict[str, int]:
        known = {blob: self._sizes[blob] for blob in blobs if blob in self._sizes}
        self._sizes = known | self._mirror.sizes([blob for blob in blobs if blob not in known])
        return self._sizes

    def _require(self, sha: str) -> None:
        if self._mirror.named(f"{_checked(sha)}^{{commit}}") is None:
            raise UnknownCommit(f"the mirror holds no commit {sha}")


def _checked(sha: str) -> str:
    """Return `sha`; past this it can be no option, path or revision of another kind."""
    if _SHA.fullmatch(sha) is None:
        raise UnknownCommit(f"{sha!r} is not the full id of a commit")
    return sha
