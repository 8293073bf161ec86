"""What is made of what pip says when it fails, as Airflow's entrypoint runs it."""

from __future__ import annotations

import re

from deployer.edges.packages.uv_text import last_line, said_by_build

# pip 23 to 26: what a package's own build printed, between these two lines.
_BUILD = re.compile(r"\[\d+ lines? of output\]\n(.*?)\n\s*\[end of output\]", re.DOTALL)

# The last of them is pip's way without the package `wheel`, before 23.1.
_AT_WORK = re.compile(r"(?:Collecting|Building wheel for|Running setup\.py install for) ([^\s:]+)")


def reason_of_pip(said: str) -> str:
    """Return the sentence in pip's complaint that says why."""
    if printed := _BUILD.search(said):
        at_work = _AT_WORK.findall(said[: printed.start()])
        whose = f"Failed to build {at_work[-1]}: " if at_work else "Failed to build: "
        return whose + said_by_build(printed[1])
    errors = re.findall(r"^ERROR: (.+)$", said, flags=re.MULTILINE)
    return errors[-1] if errors else last_line(said)
