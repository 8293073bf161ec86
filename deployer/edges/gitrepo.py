"""The class repository, read out of its mirror and never checked out.

No working copy: `git checkout` and `git archive` would run the filters and obey the
`export-ignore` of a push.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deployer.core import contents
from deployer.core.contents import Read
from deployer.core.model import COMPOSE_FILE, REQUIREMENTS, ROSTER, Authored, History, Tree
from deployer.core.publishable import LINK, SUBMODULE, Entry, publishable, shown
from deployer.edges.gitrun import Ran
from deployer.edges.mirror import SILENT_S, Mirror
from deployer.errors import UnknownCommit

_SHA: Final = re.compile(r"[0-9a-f]{40}")
_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git knows it unwritten
_ASIDE: Final = (COMPOSE_FILE, ROSTER)  # read for what they say, never published
TREES_KEPT: Final = 2
MAX_COMMITS: Final = 200
"""A push of more is not looked into commit by commit."""


class GitRepository:
    """`ports.Repository` over a bare mirror, `<directory>/mirror.git`. For one thread."""

    def __init__(
        self,
        url: str,
        branch: str,
        directory: Path,
        *,
        token: str | None = None,
        silent_s: float = SILENT_S,
    ) -> None:
        """Touch nothing yet; the first `fetch` makes the mirror.

        Raises:
            SettingsError: `url` or `branch` is nothing that git should be given.
        """
        self._mirror = Mirror(url, branch, directory, token=token, silent_s=silent_s)
        # By blob and kind: those of the last tree, and of the one before it.
        self._known: dict[tuple[str, str], Read] = {}
        self._known_before: dict[tuple[str, str], Read] = {}
        self._trees: dict[str, Tree] = {}

    def fetch(self) -> str:
        return self._mirror.fetch()

    def blobs(self, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each blob's id and content, in the order of `ids`.

        Raises:
            UnknownCommit: the mirror does not hold one of them.
            GitError: the mirror can't be read.
        """
        return self._mirror.blobs(ids)

    def contains(self, tip: str, sha: str) -> bool:
        if sha == tip:
            return True
        self._require(sha)
        ran = self._mirror.run("merge-base", "--is-ancestor", sha, _checked(tip))
        if ran.status not in {0, 1}:
            self._require(tip)
            raise self._mirror.unread(ran)
        return ran.status == 0

    def history(self, old: str | None, new: str) -> History:
        """As the port says; names and addresses that are not UTF-8 come with escapes."""
        since = _checked(old) if old else None
        ran = self._log(new, f"^{since}") if since else None
        if ran is None or ran.status != 0:
            self._require(new)
            since = self._mirror.commit(f"{new}^1")
            ran = self._log(new, *([f"^{since}"] if since else []))
            if ran.status != 0:
                raise self._mirror.unread(ran)
        commits = _commits(ran.out)
        authored = tuple(Authored(one.email, one.paths) for one in commits)
        return History(
            since,
            self._changed(since, new, commits),
            authored if len(commits) <= MAX_COMMITS else (),
        )

    def _changed(self, since: str | None, new: str, commits: Sequence[_Commit]) -> tuple[str, ...]:
        """Return what differs; one more process, unless `new` comes right after `since`."""
        if len(commits) == 1 and commits[0].is_next(since, new):
            return commits[0].paths
        ran = self._mirror.run(
            *("diff-tree", "-r", "-z", "--name-only", "--no-renames", since or _EMPTY_TREE, new)
        )
        if ran.status != 0:
            raise self._mirror.unread(ran)
        return tuple(sorted(shown(path) for path in ran.out.split(b"\0") if path))

    def _log(self, new: str, *without: str) -> Ran:
        return self._mirror.run(
            *("log", "-z", "--no-merges", "--no-renames", "--name-only", "--format=%x00%H,%P,%ae"),
            *(f"--max-count={MAX_COMMITS + 1}", "--end-of-options", _checked(new), *without, "--"),
        )

    def tree(self, sha: str) -> Tree:
        """As the port says: one `ls-tree`, and one `cat-file` for all blobs not seen lately.

        The last two are kept: a deployment's tip is what the next one finds live.
        """
        if sha not in self._trees:
            self._trees[sha] = self._read(sha)
            if len(self._trees) > TREES_KEPT:
                del self._trees[next(iter(self._trees))]
        return self._trees[sha]

    def _read(self, sha: str) -> Tree:
        what = (f"{_checked(sha)}^{{commit}}", "--", "dags", "include", REQUIREMENTS, *_ASIDE)
        ran = self._mirror.run("ls-tree", "-r", "-z", "--full-tree", *what)
        if ran.status != 0:
            self._require(sha)
            raise self._mirror.unread(ran)
        entries = [_entry(line) for line in ran.out.split(b"\0") if line]
        links = self._reads({(entry.blob, LINK) for entry in entries if entry.mode == LINK})
        targets = {blob: read.target for (blob, _), read in links.items()}
        aside = _aside(entries)
        blobs, left_out = publishable((e for e in entries if not _is_aside(e)), targets)
        wanted = {(blob, contents.kind(path)) for path, blob in blobs.items()}
        reads = self._reads(wanted | {(blob, name) for name, blob in aside.items()})
        self._known_before, self._known = self._known, reads | links
        texts = {name: reads[blob, name].text for name, blob in aside.items()}
        return replace(
            contents.tree(sha, blobs, reads, left_out),
            compose=texts.get(COMPOSE_FILE),
            roster=texts.get(ROSTER),
        )

    def _reads(self, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Read]:
        """Return what each blob says as each kind of file; only unknown ones are read."""
        reads = {}
        unknown: dict[str, list[str]] = {}
        for blob, kind in wanted:
            known = self._known.get((blob, kind)) or self._known_before.get((blob, kind))
            if known is None:
                unknown.setdefault(blob, []).append(kind)
            else:
                reads[blob, kind] = known
        for blob, content in self._mirror.blobs(unknown):
            for kind in unknown[blob]:
                reads[blob, kind] = contents.read(kind, content)
        return reads

    def _require(self, sha: str) -> None:
        if self._mirror.commit(_checked(sha)) is None:
            raise UnknownCommit(f"the mirror holds no commit {sha}")


def _checked(sha: str) -> str:
    """Return `sha`; past this it can be no option, path or revision of another kind."""
    if _SHA.fullmatch(sha) is None:
        raise UnknownCommit(f"{sha!r} is not the full id of a commit")
    return sha


def _entry(line: bytes) -> Entry:
    # git-ls-tree(1), OUTPUT FORMAT: <mode> SP <type> SP <object> TAB <file>
    fields, _, path = line.partition(b"\t")
    mode, _, blob = fields.decode("ascii").split(" ")
    return Entry(mode, blob, path)


def _is_aside(entry: Entry) -> bool:
    """Tell what is under such a file's name, if only by a folder of that name."""
    return entry.path.split(b"/")[0] in {name.encode() for name in _ASIDE}


def _aside(entries: Iterable[Entry]) -> dict[str, str]:
    """Return the blobs of the files that are set aside, by name."""
    names = {name.encode(): name for name in _ASIDE}
    plain = (e for e in entries if e.path in names and e.mode not in {LINK, SUBMODULE})
    return {names[entry.path]: entry.blob for entry in plain}


@dataclass(frozen=True, slots=True)
class _Commit:
    """One of a log: `parents` are ids with a space between; none for a root commit."""

    sha: str
    parents: str
    email: str
    paths: tuple[str, ...]

    def is_next(self, since: str | None, new: str) -> bool:
        return self.sha == new and self.parents == (since or "")


def _commits(out: bytes) -> list[_Commit]:
    """Read git-log(1)'s `-z`: NUL, line, NUL; then LF and the commit's paths, each with NUL."""
    found: list[tuple[str, list[str]]] = []
    tokens = iter(out.split(b"\0"))
    for token in tokens:
        if token:
            paths = found[-1][1]
            paths.append(shown(token if paths else token[1:]))
        elif (line := next(tokens, None)) is not None:
            found.append((shown(line), []))
    return [_commit(line, paths) for line, paths in found]


def _commit(line: str, paths: Iterable[str]) -> _Commit:
    sha, parents, email = line.split(",", 2)
    return _Commit(sha, parents, email, tuple(sorted(paths)))
