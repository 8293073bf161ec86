"""Say what a class's own repository begins with, made of this repository's files.

Pure: texts in, texts out. Students of the samples stay behind; what they wrote that the class may
copy becomes the example folder's.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from deployer.core.model import DAGS, ROSTER

EXAMPLE: Final = "class_demo"
CODEOWNERS: Final = ".github/CODEOWNERS"
README: Final = "README.md"
TOOLS: Final = "tools/"
"""Where the class's repository has the deployer that students check with."""

_SAMPLE: Final = "lasse"  # whose pipeline works in any folder: it reads the folder's name
_PIPELINE: Final = f"{DAGS}{_SAMPLE}/taxi_pipeline.py"
_ABOUT_IT: Final = "docs/pipelines.md"
_LINK: Final = re.compile(r"\[([^\]]+)\]\(([^)#\s]*)(?:#[^)]*)?\)")


def beginning(
    ours: Mapping[str, bytes], *, wheel: tuple[str, bytes], teachers: Sequence[str]
) -> dict[str, bytes]:
    """Return the files of a new class repository, by path.

    Args:
        ours: this repository's, by the path that they have in a class's.
        wheel: file name and content of the deployer's own.
        teachers: GitHub logins; none: the places for them are left open.
    """
    name, content = wheel
    files = {TOOLS + name: content}
    for path, text in ours.items():
        if path == _PIPELINE:
            files[f"{DAGS}{EXAMPLE}/{PurePosixPath(path).name}"] = text
        elif not path.startswith(DAGS) or path.startswith(f"{DAGS}{EXAMPLE}/"):
            files[path] = text
    made = {path: text.decode() for path, text in files.items() if path.endswith(".md")}
    made[_ABOUT_IT] = made[_ABOUT_IT].replace(_SAMPLE, EXAMPLE)
    made[README] = made[README].replace("WHEEL", TOOLS + name)
    made = {path: _links_within(files, path, text) for path, text in made.items()}
    made[CODEOWNERS] = _owners(files[CODEOWNERS].decode(), teachers)
    made[ROSTER] = files[ROSTER].decode().replace("TEACHERS", ", ".join(teachers))
    return files | {path: text.encode() for path, text in made.items()}


def _links_within(files: Mapping[str, bytes], page: str, text: str) -> str:
    """Return the page with the words alone of a link to what is not among `files`."""

    def kept(link: re.Match[str]) -> str:
        words, target = link.groups()
        if not target or "://" in target:
            return link[0]
        there = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        return link[0] if there in files else words

    return _LINK.sub(kept, text)


def _owners(text: str, teachers: Sequence[str]) -> str:
    """Return CODEOWNERS without the samples' students; its lines sleep until there is a login."""
    logins = " ".join(f"@{login}" for login in teachers)
    lines = []
    for line in text.splitlines():
        if line.startswith("/dags/") and not line.startswith(f"/dags/{EXAMPLE}/"):
            continue
        rule = bool(line) and not line.startswith("#")
        lines.append(f"# {line}" if rule and not teachers else line.replace("@teacher", logins))
    return "\n".join(lines) + "\n"
