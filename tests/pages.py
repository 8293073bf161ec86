"""What the pages have in backticks, and the commands that they tell a teacher to type."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSTALL = "docs/install.md"
ALL = ("README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")))
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")


def spans(text: str) -> set[str]:
    """Return what stands in backticks."""
    return {" ".join(span.split()) for _, span in _SPAN.findall(text)}


def commands(page: str) -> list[str]:
    """Return each line of the fences that hold commands, without its comment."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [
        re.sub(r"\s+# .*", "", line).strip()
        for block in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
        for line in block.splitlines()
    ]
    return [line for line in dict.fromkeys(lines) if re.match(r"(?:[a-z-]+|scripts/\w+) ?", line)]


def of_install(beginning: str) -> str:
    """Return the one command of docs/install.md that begins so, for a test to run it."""
    found = [one for one in commands(INSTALL) if one == beginning] or [
        one for one in commands(INSTALL) if one.startswith(beginning)
    ]
    assert len(found) == 1, f"docs/install.md has {found} for {beginning}"
    return found[0]
