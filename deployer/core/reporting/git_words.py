"""What git says of a failure, told from its cause on.

Pure. git begins with the address, which everybody knows, and ends with what follows from the
cause; a status has room for 140 characters.
"""

from __future__ import annotations

import re
from typing import Final

_PROGRESS: Final = re.compile(
    r"(remote: )?(Enumerating|Counting|Compressing|Receiving|Unpacking|Resolving|Checking)\b.*"
    r"|(remote: )?Total \d+ .*"
)
_WHO: Final = re.compile(r"(fatal|error|ssh): ")
_ADDRESS: Final = re.compile(r"(?: (?:for|from|of|to))? ?'[a-z+]+://[^']*'")
_FOLLOWS: Final = re.compile(
    r"Could not read from remote repository|Please make sure you have|and the repository exists"
    r"|the remote end hung up|early EOF|fetch-pack: |index-pack failed|unpack-objects failed"
    r"|protocol error: bad pack header|unable to fork"
)


def cause(words: str, address: str) -> str:
    """Return git's standard error as one line: first why, last what the host says.

    `address` is left out, as is each URL; so are progress, and what only follows.
    """
    path = address.removeprefix("file://")
    own: list[str] = []
    hosts: list[str] = []
    follows: list[str] = []
    for line in re.split(r"[\r\n]+", words):
        said = " ".join(line.split()).removeprefix("?")  # what git makes of a tab
        if not said or _PROGRESS.fullmatch(said):
            continue
        if said.startswith("remote: "):
            hosts.append(said.removeprefix("remote: "))
            continue
        said = _WHO.sub("", said, count=1).replace(f"'{path}' ", "")
        said = _ADDRESS.sub("", said).removeprefix("unable to access: ").strip()
        (follows if _FOLLOWS.match(said) else own).append(said)
    return "; ".join(dict.fromkeys([*(own or follows), *hosts]))
