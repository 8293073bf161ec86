"""Name the contexts of a commit's statuses: its own, and one for each folder it changes.

GitHub tells contexts apart without case: folders that differ in case alone share one, or the
last of them would be all that is seen. A folder whose name can't stand in a context is respelt:
cut, `?` for each letter that GitHub refuses, and a hash behind it. Whatever else ends like such
a hash is respelt as well, so that two folders never get one context by their spelling.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from deployer.core.tree.publishable import misleads

DEPLOY: Final = "airflow/deploy"
MAX_CONTEXT: Final = 255
"""Characters; GitHub answers 422 to more."""

_HASH_DIGITS: Final = 12
_RESPELT: Final = re.compile(rf".*~[0-9a-f]{{{_HASH_DIGITS}}}", re.DOTALL | re.IGNORECASE)


def of_folders(folders: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the folders of each context, sorted."""
    alike: dict[str, list[str]] = {}
    for folder in sorted(folders):
        alike.setdefault(folder.casefold(), []).append(folder)
    return {_context(same[0]): tuple(same) for same in alike.values()}


def plain(text: str) -> str:
    """Return `text` with `?` for each four-byte letter, and for what would mislead a reader.

    GitHub's `… doesn't accept 4-byte Unicode` is for good, and the status would be lost.
    """
    return "".join("?" if c > "\uffff" or misleads(c) else c for c in text)


def _context(folder: str) -> str:
    context = f"airflow/{folder}"
    if _can_stand(context) and not _RESPELT.fullmatch(folder):
        return context
    digest = hashlib.sha256(folder.casefold().encode()).hexdigest()[:_HASH_DIGITS]
    return f"{plain(context).strip()[: MAX_CONTEXT - _HASH_DIGITS - 1]}~{digest}"


def _can_stand(context: str) -> bool:
    return (
        len(context) <= MAX_CONTEXT
        and context.casefold() != DEPLOY
        and context == plain(context).strip()
    )
