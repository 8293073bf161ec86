"""What git may be given as a branch and as an address. Pure."""

from __future__ import annotations

import re
from typing import Final

# git-check-ref-format(1), and what `git branch` refuses beyond it: a leading dash, `HEAD`.
_NO_BRANCH: Final = re.compile(
    r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock/|^[-./]|[./]$|\.lock$|^$|^HEAD$"
)
_SCHEMES: Final = frozenset({"https", "http", "ssh", "file"})


def is_branch(name: str) -> bool:
    """Tell whether git would let a branch have this name."""
    return _NO_BRANCH.search(name) is None


def scheme_of(url: str) -> str | None:
    """Return the one protocol that `url` needs: `https`, `http`, `ssh` or `file`.

    None: any other, a remote helper (`ext::…`), an option in disguise.
    """
    if not url or not url.isprintable():
        return None
    named = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", url)
    if named:
        return named[1] if named[1] in _SCHEMES else None
    if url.startswith("-") or "::" in url:
        return None
    # git-fetch(1), "GIT URLS": host:path if no slash comes before the colon.
    return "ssh" if ":" in url.partition("/")[0] else "file"
