"""The class repository, read out of its mirror and never checked out.

No working copy: `git checkout` and `git archive` would run the filters and obey the
`export-ignore` of a push.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deployer.core import ignores
from deployer.core.model import (
    CANARY,
    COMPOSE_FILE,
    DAGS,
    REQUIREMENTS,
    Facts,
    File,
    LeftOut,
    Tree,
)
from deployer.core.publishable import LINK, SUBMODULE, Entry, publishable, shown
from deployer.core.sources import facts
from deployer.edges.gitrun import Ran
from deployer.edges.mirror import Mirror
from deployer.errors import UnknownCommit

MAX_FILE_MB: Final = 50

_SHA: Final = re.compile(r"[0-9a-f]{40}")
_EMPTY_TREE: Final = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git knows it unwritten
_PATH_MAX: Final = 4096  # bytes; Linux follows no link whose target is longer

# Two files with the same bytes say the same, if they are of one kind: the last name
# counts for these, and nothing but `.py` for all others (see `core.sources.facts`).
_PYTHON, _OTHER = "any.py", "any"
_NO_FACTS: Final = Facts()


@dataclass(frozen=True, slots=True)
class _Read:
    """What a tree takes from the content of one blob, read as one kind of file.

    Attributes:
        text: of an `.airflowignore`, of `requirements.txt` or of `docker-compose.yaml`.
        target: of a link.
        refused: why a file with this content is left out, None if it is not.
    """

    facts: Facts = _NO_FACTS
    text: str | None = None
    target: bytes = b""
    refused: str | None = None


class GitRepository:
    """`ports.Repository` over a bare mirror, `<directory>/mirror.git`. For one thread."""

    def __init__(
        self,
        url: str,
        branch: str,
        directory: Path,
        *,
        token: str | None = None,
        fetch_timeout_s: float = 60,
        clone_timeout_s: float = 600,
    ) -> None:
        """Touch nothing yet; the first `fetch` makes the mirror.

        Raises:
            SettingsError: `url` or `branch` is nothing that git should be given.
        """
        self._mirror = Mirror(
            url,
            branch,
            directory,
            token=token,
            fetch_timeout_s=fetch_timeout_s,
            clone_timeout_s=clone_timeout_s,
        )
        # By blob and kind: those of the last tree, and of the one before it.
        self._known: dict[tuple[str, str], _Read] = {}
        self._known_before: dict[tuple[str, str], _Read] = {}

    def fetch(self) -> str:
        return self._mirror.fetch()

    def blobs(self, ids: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each blob's id and content, in the order of `ids`, out of one process.

        Raises:
            UnknownCommit: the mirror does not hold one of them.
            GitError: the mirror can't be read.
        """
        return self._mirror.blobs(ids)

    def contains(self, tip: str, sha: str) -> bool:
        self._require(sha)
        ran = self._mirror.run("merge-base", "--is-ancestor", sha, _checked(tip))
        if ran.status not in {0, 1}:
            self._require(tip)
            raise self._mirror.damage(ran.words)
        return ran.status == 0

    def changed_paths(self, old: str | None, new: str) -> tuple[str, ...]:
        """As the port says; names that are not UTF-8 are shown with escapes."""
        ran = self._diff(_checked(old), _checked(new)) if old else None
        if ran is None or ran.status != 0:
            self._require(new)
            ran = self._diff(self._commit(f"{new}^1") or _EMPTY_TREE, new)
            if ran.status != 0:
                raise self._mirror.damage(ran.words)
        return tuple(sorted(shown(path) for path in ran.out.split(b"\0") if path))

    def _diff(self, old: str, new: str) -> Ran:
        return self._mirror.run("diff-tree", "-r", "-z", "--name-only", "--no-renames", old, new)

    def tree(self, sha: str) -> Tree:
        """As the port says: one `ls-tree`, and one `cat-file` for all blobs not seen lately."""
        what = (f"{_checked(sha)}^{{commit}}", "--", "dags", "include", REQUIREMENTS, COMPOSE_FILE)
        ran = self._mirror.run("ls-tree", "-r", "-z", "--full-tree", *what)
        if ran.status != 0:
            self._require(sha)
            raise self._mirror.damage(ran.words)
        entries = [_entry(line) for line in ran.out.split(b"\0") if line]
        links = self._reads({(entry.blob, LINK) for entry in entries if entry.mode == LINK})
        targets = {blob: read.target for (blob, _), read in links.items()}
        stack = _stack(entries)
        blobs, left_out = publishable((e for e in entries if not _is_stack(e)), targets)
        wanted = {(blob, _kind(path)) for path, blob in blobs.items()}
        reads = self._reads(wanted | ({(stack, COMPOSE_FILE)} if stack else set()))
        self._known_before, self._known = self._known, reads | links
        compose = reads[stack, COMPOSE_FILE].text if stack else None
        return replace(_tree(sha, blobs, reads, left_out), compose=compose)

    def _reads(self, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], _Read]:
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
                reads[blob, kind] = _read(kind, content)
        return reads

    def _require(self, sha: str) -> None:
        if self._commit(_checked(sha)) is None:
            raise UnknownCommit(f"the mirror holds no commit {sha}")

    def _commit(self, revision: str) -> str | None:
        """Return the id of the commit that `revision` names, None if there is none."""
        ran = self._mirror.run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        return ran.out.decode().strip() if ran.status == 0 else None


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


def _is_stack(entry: Entry) -> bool:
    """Tell what is under the compose file's name, if only by a folder of that name."""
    return entry.path.split(b"/")[0] == COMPOSE_FILE.encode()


def _stack(entries: Iterable[Entry]) -> str | None:
    """Return the blob of `docker-compose.yaml`, None if there is no such file."""
    name = COMPOSE_FILE.encode()
    plain = (e.blob for e in entries if e.path == name and e.mode not in {LINK, SUBMODULE})
    return next(plain, None)


def _kind(path: str) -> str:
    name = path.rpartition("/")[2]
    if path == REQUIREMENTS or (name == ignores.NAME and path.startswith(DAGS)):
        return name
    return _PYTHON if name.endswith(".py") and name != ".py" else _OTHER


def _read(kind: str, content: bytes) -> _Read:
    if kind == LINK:
        return _Read(target=content[:_PATH_MAX])
    if len(content) > MAX_FILE_MB * 1_000_000:
        return _Read(refused=f"the file is larger than {MAX_FILE_MB} MB")
    if kind == ignores.NAME:
        refused = ignores.unreadable(content)
        return _Read(refused=refused) if refused else _Read(text=content.decode())
    if kind in {REQUIREMENTS, COMPOSE_FILE}:
        # A byte that is no UTF-8 spoils its own line, which is then refused with its number.
        return _Read(text=content.decode("utf-8-sig", "replace"))
    return _Read(facts=facts(kind, content))


def _tree(
    sha: str,
    blobs: Mapping[str, str],
    reads: Mapping[tuple[str, str], _Read],
    left_out: tuple[LeftOut, ...],
) -> Tree:
    """Put together what the names and what the contents decide."""
    files, requirements, texts, refused = {}, None, {}, []
    for path, blob in blobs.items():
        read = reads[blob, _kind(path)]
        if read.refused:
            refused.append(LeftOut(shown(path.encode()), read.refused))
        elif read.text is not None and ignores.Ignores({path: read.text}).hides(CANARY):
            refused.append(LeftOut(path, "it would hide the deployer's own folder _ops as well"))
        elif path == REQUIREMENTS:
            requirements = read.text
        else:
            files[path] = File(blob, read.facts)
            if read.text is not None:
                texts[path] = read.text
    return Tree(
        sha=sha,
        files=files,
        requirements=requirements,
        ignores=texts,
        left_out=tuple(sorted((*left_out, *refused), key=lambda left: left.path)),
    )
