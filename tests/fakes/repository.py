"""The class repository in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping

from deployer.core.model import (
    COMPOSE_FILE,
    DAGS,
    INCLUDE,
    REQUIREMENTS,
    ROSTER,
    Authored,
    File,
    History,
    LeftOut,
    Tree,
)
from deployer.core.tree import ignores
from deployer.core.tree.facts import facts
from deployer.errors import GitError, NothingPushed, UnknownCommit


class FakeRepository:
    """A `Repository` whose commits are made by calling `push`.

    Attributes:
        tip: what the branch names at the host; `fetch` makes it known here.
        down: why the host can't be fetched from, None: it can.
        fetches: how many fetches there were, whatever became of them.
        left_out: what the tree of a commit leaves out, by commit, for tests that need it.
        refused: why nothing of a commit is published, likewise.
        links: where each path leads that is to be a link, in all commits that hold both.
    """

    def __init__(self) -> None:
        self.tip: str | None = None
        self.down: str | None = None
        self.fetches = 0
        self.left_out: dict[str, tuple[LeftOut, ...]] = {}
        self.refused: dict[str, str] = {}
        self.links: dict[str, str] = {}
        self._files: dict[str, dict[str, str]] = {}
        self._parents: dict[str, tuple[str, ...]] = {}  # the first is the line that goes on
        self._authors: dict[str, str] = {}
        self._contents: dict[str, bytes] = {}
        self._here: set[str] = set()

    # -- the host's side

    def push(
        self,
        changes: Mapping[str, str | None],
        *,
        onto: str | None = None,
        merges: str | None = None,
        author: str = "class@example.org",
    ) -> str:
        """Commit `changes` (None: removed) onto the tip, or by force onto `onto`; move the tip.

        `merges`: a commit that becomes a second parent; what it changed is to be in `changes`.
        """
        parent = onto or self.tip
        files = dict(self._files[parent]) if parent else {}
        for path, text in changes.items():
            if text is None:
                del files[path]
            else:
                files[path] = text
        sha = hashlib.sha1(repr((len(self._files), parent)).encode()).hexdigest()  # noqa: S324
        self._files[sha] = files
        self._parents[sha] = tuple(one for one in (parent, merges) if one)
        self._authors[sha] = author
        self.tip = sha
        return sha

    # -- the port

    def fetch(self) -> str:
        self.fetches += 1
        if self.down is not None:
            raise GitError(self.down)
        if not self._files:
            raise NothingPushed("nothing was pushed yet")
        if self.tip is None:
            raise GitError("the repository has no branch 'main'")
        self._here.update(self._line(self.tip))
        return self.tip

    def tree(self, sha: str) -> Tree:
        self._require(sha)
        texts = self._files[sha]
        links = {path: to for path, to in self.links.items() if to in texts}
        texts = texts | {path: texts[to] for path, to in links.items()}
        published = {p: t for p, t in texts.items() if p.startswith((DAGS, INCLUDE))}
        return Tree(
            sha=sha,
            files={path: self._file(path, text) for path, text in published.items()},
            requirements=texts.get(REQUIREMENTS),
            compose=texts.get(COMPOSE_FILE),
            roster=texts.get(ROSTER),
            ignores={p: t for p, t in published.items() if p.endswith(f"/{ignores.NAME}")},
            left_out=self.left_out.get(sha, ()),
            refused=self.refused.get(sha),
            links=links,
        )

    def contains(self, tip: str, sha: str) -> bool:
        self._require(sha)
        self._require(tip)
        return sha in self._line(tip)

    def history(self, old: str | None, new: str) -> History:
        self._require(new)
        since = old if old in self._here else next(iter(self._parents[new]), None)
        between = self._line(new) - (self._line(since) if since else set())
        commits = tuple(
            Authored(self._authors[at], self._differing(next(iter(self._parents[at]), None), at))
            for at in reversed(self._files)  # newest first
            if at in between and len(self._parents[at]) <= 1
        )
        return History(since, self._differing(since, new), commits)

    def blobs(self, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each blob's id and content, of trees read before."""
        for blob in ids:
            if blob not in self._contents:
                raise UnknownCommit(f"the mirror does not hold the object {blob}")
            yield blob, self._contents[blob]

    def _differing(self, base: str | None, new: str) -> tuple[str, ...]:
        before = self._files[base] if base else {}
        after = self._files[new]
        paths = before.keys() | after.keys()
        return tuple(sorted(path for path in paths if before.get(path) != after.get(path)))

    # -- as `GitRepository` has it beside the port

    def sizes(self, ids: Collection[str]) -> dict[str, int]:
        """Return how many bytes each blob has, of trees read before."""
        return {blob: len(content) for blob, content in self.blobs(ids)}

    def _file(self, path: str, text: str) -> File:
        content = text.encode()
        header = f"blob {len(content)}\0".encode()
        blob = hashlib.sha1(header + content).hexdigest()  # noqa: S324 - as git names blobs
        self._contents[blob] = content
        return File(blob, facts(path, content))

    def _line(self, sha: str) -> set[str]:
        """Return `sha` and all its ancestors."""
        line: set[str] = set()
        open_ends = [sha]
        while open_ends:
            at = open_ends.pop()
            if at not in line:
                line.add(at)
                open_ends += self._parents[at]
        return line

    def _require(self, sha: str) -> None:
        if sha not in self._here:
            raise UnknownCommit(f"the mirror holds no commit {sha}")
