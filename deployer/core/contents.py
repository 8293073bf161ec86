"""What the contents of a tree's files decide: sizes, broken `.airflowignore`s, facts.

Pure, and the same for a commit (`edges.gitrepo`) and for a working copy that may become
one (`edges.working_copy`); what names alone decide is `publishable`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from deployer.core import ignores
from deployer.core.model import (
    COMPOSE_FILE,
    DAGS,
    REQUIREMENTS,
    ROSTER,
    Facts,
    File,
    LeftOut,
    Tree,
)
from deployer.core.publishable import LINK, shown
from deployer.core.sources import facts

MAX_FILE_MB: Final = 50
_ANYBODYS: Final = f"{DAGS}anybody/any.py"

_PATH_MAX: Final = 4096  # bytes; Linux follows no link whose target is longer

# Two files with the same bytes say the same, if they are of one kind: the last name
# counts for these, and nothing but `.py` for all others (see `core.sources.facts`).
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


def read(as_kind: str, content: bytes) -> Read:
    """Read a content as a `kind`, as `COMPOSE_FILE`, or as a `LINK`."""
    if as_kind == LINK:
        return Read(target=content[:_PATH_MAX])
    if len(content) > MAX_FILE_MB * 1_000_000:
        return Read(refused=f"the file is larger than {MAX_FILE_MB} MB")
    if as_kind == ignores.NAME:
        refused = ignores.unreadable(content)
        return Read(refused=refused) if refused else Read(text=content.decode())
    if as_kind in {REQUIREMENTS, COMPOSE_FILE, ROSTER}:
        # A byte that is no UTF-8 spoils its own line, which is then refused with its number.
        return Read(text=content.decode("utf-8-sig", "replace"))
    return Read(facts=facts(as_kind, content))


def tree(
    sha: str,
    blobs: Mapping[str, str],
    reads: Mapping[tuple[str, str], Read],
    left_out: tuple[LeftOut, ...],
) -> Tree:
    """Put together what the names and what the contents decide.

    Args:
        sha: the commit.
        blobs: by path, what `publishable` found.
        reads: what the content of each of these says, by blob and `kind(path)`.
        left_out: what `publishable` left out.
    """
    files, requirements, texts, refused = {}, None, {}, []
    for path, blob in blobs.items():
        found = reads[blob, kind(path)]
        if found.refused:
            refused.append(LeftOut(shown(path.encode()), found.refused, blob))
        elif found.text is not None and ignores.Ignores({path: found.text}).hides(_ANYBODYS):
            refused.append(
                LeftOut(path, "it would hide everybody's DAGs: name your folder in it", blob)
            )
        elif path == REQUIREMENTS:
            requirements = found.text
        else:
            files[path] = File(blob, found.facts)
            if found.text is not None:
                texts[path] = found.text
    return Tree(
        sha=sha,
        files=files,
        requirements=requirements,
        ignores=texts,
        left_out=tuple(sorted((*left_out, *refused), key=lambda left: left.path)),
    )
