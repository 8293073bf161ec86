"""What the contents of a tree's files decide: sizes, broken `.airflowignore`s, facts.

Pure, and the same for a commit (`edges.git.repository`) and for a working copy that may become
one (`edges.git.working_copy`); what names alone decide is `publishable`'s.
"""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final

from deployer.core.model import (
    COMPOSE_FILE,
    DAGS,
    REQUIREMENTS,
    ROSTER,
    Facts,
    File,
    LeftOut,
    Tree,
    folder_of,
)
from deployer.core.tree import ignores, limits
from deployer.core.tree.facts import facts
from deployer.core.tree.limits import NOTHING, TooMuch
from deployer.core.tree.publishable import LINK, Entry, publishable, shown

MAX_FILE_MB: Final = 50
_ANYBODYS: Final = f"{DAGS}anybody/any.py"

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # UTF-32's begins with one of them
_LFS: Final = b"version https://git-lfs.github.com/spec/"  # the first line of each pointer

_PATH_MAX: Final = 4096  # bytes; Linux follows no link whose target is longer

# Two files with the same bytes say the same, if they are of one kind: the last name
# counts for these, and nothing but `.py` for all others (see `core.tree.facts`).
_PYTHON, _OTHER = "any.py", "any"
_NO_FACTS: Final = Facts()


@dataclass(frozen=True, slots=True)
class Read:
    """What a tree takes from the content of one file, read as one kind of file.

    Attributes:
        text: of an `.airflowignore`, `requirements.txt`, `docker-compose.yaml` or `roster.yaml`.
        target: of a link.
        refused: why a file with this content is left out, None if it is not.
    """

    facts: Facts = _NO_FACTS
    text: str | None = None
    target: bytes = b""
    refused: str | None = None


def kind(path: str) -> str:
    """Return what the file at `path` is to be read as."""
    name = path.rpartition("/")[2]
    if path == REQUIREMENTS or (name == ignores.NAME and path.startswith(DAGS)):
        return name
    return _PYTHON if name.endswith(".py") and name != ".py" else _OTHER


def too_large(size: int) -> Read | None:
    """Return what is said of a content of so many bytes, None if it has to be read for that."""
    refused = f"the file is larger than {MAX_FILE_MB} MB"
    return Read(refused=refused) if size > MAX_FILE_MB * 1_000_000 else None


def read(as_kind: str, content: bytes) -> Read:
    """Read a content as a `kind`, as `COMPOSE_FILE`, or as a `LINK`."""
    if as_kind == LINK:
        return Read(target=content[:_PATH_MAX])
    if refusal := too_large(len(content)):
        return refusal
    if refused := _unfit(as_kind, content):
        return Read(refused=refused)
    if as_kind == ignores.NAME:
        return Read(text=content.decode())
    if as_kind in {REQUIREMENTS, COMPOSE_FILE, ROSTER}:
        # As pip, uv, Compose and PyYAML read it. A byte that is no UTF-8 spoils its own line, which
        # is then refused with its number.
        encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
        return Read(text=content.decode(encoding, "replace"))
    return Read(facts=facts(as_kind, content))


def _unfit(as_kind: str, content: bytes) -> str | None:
    """Return why a content can't be what its name says, None if it can."""
    if content.startswith(_LFS):
        return "the file is a Git LFS pointer; LFS is not fetched: commit the file itself"
    # Beginning with an ASCII character, it needs no mark to be known.
    if as_kind in {_PYTHON, ignores.NAME} and (content.startswith(_UTF_16) or b"\0" in content[:2]):
        form = "UTF-32" if b"\0\0" in content[:4] else "UTF-16"
        return f"the file is {form}, which Airflow can't read: save it as UTF-8"
    return ignores.unreadable(content) if as_kind == ignores.NAME else None


def tree(
    sha: str,
    entries: Collection[Entry],
    *,
    size: Callable[[str], int],
    says: Callable[[str, str], Read],
    too_much: TooMuch = NOTHING,
    folders: Mapping[str, str] = MappingProxyType({}),
) -> Tree:
    """Put together what is to be published of the commit `sha`.

    Args:
        sha: the commit.
        entries: its `dags`, `include` and `requirements.txt`.
        size: returns how many bytes a blob has.
        says: returns what a blob says, read as a `kind` or as a `LINK`; asked once for each.
        too_much: what was too much to be listed at all.
        folders: the id of git's tree at each folder's path.
    """
    says = cache(says)
    targets = {it.blob: says(it.blob, LINK).target for it in entries if it.mode == LINK}
    blobs, unfit, executable, links = publishable(entries, targets)
    # What is too large by itself will be left out by itself.
    sizes = {path: size(blob) for path, blob in blobs.items()}
    # As git's trees are weighed: what is left out by itself is there, too.
    there = dict.fromkeys((shown(it.path) for it in entries), 0)
    listed = limits.of_files(there | {p: 0 if too_large(it) else it for p, it in sizes.items()})
    if refused := too_much.refused or listed.refused:
        return Tree(sha, {}, refused=refused, links=links)
    held = {f"{path}/": reason for path, reason in {**too_much.held, **listed.held}.items()}
    start = tuple(held)
    left_out = [LeftOut(path, held[path], folders.get(path[:-1], "")) for path in held]
    left_out += [item for item in unfit if not item.path.startswith(start)]
    files, requirements, texts = {}, None, {}
    patterns = Counter[str | None]()  # weights, of all ignore files of a folder
    for path, blob in blobs.items():
        if path.startswith(start):
            continue
        found = says(blob, kind(path))
        reason = found.refused
        if reason is None and kind(path) == ignores.NAME:
            reason = _harm(path, found.text or "", patterns)
        if reason:
            left_out.append(LeftOut(shown(path.encode()), reason, blob))
        elif path == REQUIREMENTS:
            requirements = found.text
        else:
            files[path] = File(blob, found.facts, path in executable)
            if found.text is not None:
                texts[path] = found.text
    return Tree(
        sha=sha,
        files=files,
        requirements=requirements,
        ignores=texts,
        left_out=tuple(sorted(left_out, key=lambda left: left.path)),
        links=links,
    )


def _harm(path: str, text: str, patterns: Counter[str | None]) -> str | None:
    """Return what an ignore file would do to others, None if nothing.

    `patterns`: as how many they count by folder; this file's are added.
    """
    if ignores.Ignores({path: text}).hides(_ANYBODYS):
        return "it would hide everybody's DAGs: name your folder in it"
    patterns[folder_of(path)] += ignores.weight(text)
    return ignores.too_many(patterns[folder_of(path)])
