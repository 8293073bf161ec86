"""What is shown of git's words: printable, no secret in them, of a failure the cause first.

git begins with the address, which everybody knows, and ends with what follows from the
cause; a status has room for 140 characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import quote, urlsplit

from deployer.masking import without

_SHOWN_CHARACTERS: Final = 600  # in an error
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


def redacted(words: str, secrets: Collection[str]) -> str:
    """Return `words` fit to be shown: printable, cut to their end, secrets taken out."""
    words = without(secrets, words)
    # The host's own words are among git's: no escape sequence of theirs reaches a terminal.
    lines = words.strip().replace("\r", "\n")  # so does progress, which writes over itself
    printable = (c if c.isprintable() or c == "\n" else "?" for c in lines)
    return "".join(printable)[-_SHOWN_CHARACTERS:]


def secrets_of(url: str, token: str | None) -> set[str]:
    """Return what must not be shown: the token, what the URL holds before its `@`."""
    userinfo = urlsplit(url).netloc.rpartition("@")[0] if "://" in url else ""
    if url.startswith("ssh://"):
        # Its user is an account, `git` mostly; elsewhere it may be a token.
        userinfo = userinfo.partition(":")[2]
    return {token or "", quote(token or "", safe=""), userinfo, userinfo.partition(":")[2]}


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
