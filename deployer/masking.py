"""Take credentials out of a text that people are shown.

Pure. A student types them into a requirement's URL, and uv, pip and git quote it. A URL has
two places for them: user information, which goes whole, and the values of a query (or of an
unknown fragment), of which the names are left. A token whose maker gave it a known beginning
goes wherever it stands. What is compared, hashed or installed never comes by here.
"""

from __future__ import annotations

import re
from typing import Final

MASK: Final = "****"
"""As uv and pip write it."""

# Neither quotes nor backslashes, so that a line of JSON stays one. All repeats are bounded:
# the worst text of a push takes as long as its length, not as the square of it.
_IN_WORD = r"[^\s\"'`<>\\]"
_START = r"(?:\b(?:https?|ftps?|ssh|sftp|git|(?:git|hg|svn|bzr)\+[a-z]+):/*|//|%2f%2f|\\\\)"
_AT = r"(?:@|%40)"
_USER_INFORMATION: Final = re.compile(
    # As a URL has it; `%40` where the URL itself is encoded, no slash where uv needs none. Up to
    # a blank it may hold quotes: where JSON has one that ends a text, a blank follows.
    rf"({_START})(?:[^\s/?#]{{1,4096}}{_AT}"
    # With a character in the password that ends the host: mistyped, and shown all the same.
    r"|[^\s\"'`<>\\/?#@:\[]{1,256}:(?!\d*(?:[\s/?#\"'`<>\\]|$))[^\n\"'`<>\\]{0,256}?@"
    r"(?:[^\s/?#]{1,256}@)?)",
    re.IGNORECASE,
)
# `user:password@host`, as an option may have it; `name:tag@sha256:…` is an image.
_NO_SCHEME: Final = re.compile(
    r"(?<![\w.%+~@/:-])[\w.%+~-]{1,256}:[^\s\"'`<>\\/@:]{1,4096}@(?!sha256:)(?=[\w\[])"
)
_QUERY: Final = re.compile(rf"(:/[^\s\"'`<>\\?#]{{0,4096}}\?)((?:(?!#){_IN_WORD})+)")
_FRAGMENT: Final = re.compile(
    rf"(:/[^\s\"'`<>\\#]{{0,4096}}#)([^\s\"'`<>\\=]{{1,256}}={_IN_WORD}*)"
)
_OF_PACKAGES: Final = re.compile(r"egg|subdirectory|md5|sha\d+", re.IGNORECASE)
_TOKEN: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:gh[a-z]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|pypi-Ag[\w-]{8,}"
    r"|dplr_[\w-]{40,}(?:\.[0-9a-f]+)*)"  # our own, see `core/access.py`
)


def masked(text: str) -> str:
    """Return `text` with `****` in place of credentials; again the same for what it returned."""
    text = _QUERY.sub(lambda found: found[1] + _values(found[2]), anonymous(text))
    return _FRAGMENT.sub(lambda found: found[1] + _values(found[2], known=_OF_PACKAGES), text)


def anonymous(text: str) -> str:
    """Return `text` with `****` for users, passwords and tokens; queries, which say much, stay."""
    text = _USER_INFORMATION.sub(rf"\g<1>{MASK}@", text)
    return _TOKEN.sub(MASK, _NO_SCHEME.sub(f"{MASK}@", text))


def _values(pairs: str, known: re.Pattern[str] | None = None) -> str:
    """Mask the values of `name=value&…`, and what has no name."""
    shown = []
    for pair in re.split(r"([&;])", pairs):
        name, equals, _ = pair.partition("=")
        if pair in {"&", ";", ""} or (known and known.fullmatch(name)):
            shown.append(pair)
        else:
            shown.append(f"{name}={MASK}" if equals else MASK)
    return "".join(shown)
