"""Take credentials and escape sequences out of a text that people are shown.

Pure. A student types them into a requirement's URL, and uv, pip and git quote it. A URL has
two places for them: user information, which goes whole, and the values of a query (or of an
unknown fragment), of which the names are left. A token whose maker gave it a known beginning
goes wherever it stands, and so does each secret of our own, whose form is not fixed. What is
compared, hashed or installed never comes by here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "****"
"""As uv and pip write it."""

# Neither quotes nor backslashes, so that a line of JSON stays one. Whatever a push holds takes
# as long as its length, not as the square of it: what is scanned again is bounded, and short.
_IN_WORD = r"[^\s\"'`<>\\]"
_START: Final = re.compile(
    # No slash where uv needs none; `%2f` where the URL itself is encoded. Each place, also one
    # within another: of three backslashes the last two may be it.
    r"(?=(\b(?:https?|ftps?|ssh|sftp|git|(?:git|hg|svn|bzr)\+[a-z]+):/*|//|%2f%2f|\\\\))",
    re.IGNORECASE,
)
# Up to a blank it may hold quotes: where JSON has one that ends a text, a blank follows.
_AUTHORITY: Final = re.compile(r"[^\s/?#]*")
_AT = ("@", "%40")
# With a character in the password that ends the host: mistyped, and shown all the same.
_MISTYPED: Final = re.compile(
    r"[^\s\"'`<>\\/?#@:\[]{1,256}:(?!\d*(?:[\s/?#\"'`<>\\]|$))[^\n\"'`<>\\]{0,256}?@"
    r"(?:[^\s/?#]{1,256}@)?"
)
# `user:password@host`, as an option may have it; `name:tag@sha256:…` is an image.
_NO_SCHEME: Final = re.compile(
    r"(?<![\w.%+~@/:-])[\w.%+~-]{1,256}:[^\s\"'`<>\\/@:]{1,4096}@(?!sha256:)(?=[\w\[])"
)
# From the last `:/` before it.
_QUERY: Final = re.compile(rf"(:/(?:[^\s\"'`<>\\?#:]|:(?!/))*\?)((?:(?!#){_IN_WORD})+)")
_FRAGMENT: Final = re.compile(
    rf"(:/(?:[^\s\"'`<>\\#:]|:(?!/))*#)([^\s\"'`<>\\=]{{1,256}}={_IN_WORD}*)"
)
_OF_PACKAGES: Final = re.compile(r"egg|subdirectory|md5|sha\d+", re.IGNORECASE)
_TOKEN: Final = re.compile(
    # Behind a line break too that JSON or a line of Python's has as an escape.
    r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
    r"(?:gh[a-z]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}|pypi-Ag[\w-]{8,}"
    r"|dplr_[\w-]{40,}(?:\.[0-9a-f]+)*)"  # our own, see `core/access.py`
)


def masked(text: str) -> str:
    """Return `text` with `****` in place of credentials; again the same for what it returned."""
    text = _QUERY.sub(lambda found: found[1] + _values(found[2]), anonymous(text))
    return _FRAGMENT.sub(lambda found: found[1] + _values(found[2], known=_OF_PACKAGES), text)


def without(secrets: Iterable[str | None], text: str) -> str:
    """Return `text` with `****` in place of each of `secrets`; None and empty ones are none."""
    # The longest first: one secret may be part of another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text


def printable(text: str) -> str:
    """Return `text` fit for a terminal: no escape sequence of a student's reaches it."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text.replace("\t", " "))


def anonymous(text: str) -> str:
    """Return `text` with `****` for users, passwords and tokens; queries, which say much, stay."""
    return _TOKEN.sub(MASK, _NO_SCHEME.sub(f"{MASK}@", _without_users(text)))


def _without_users(text: str) -> str:
    """Mask user and password of each URL."""
    shown: list[str] = []
    done = ends = at = after = 0  # `ends`: of the authority, whose last `@` is from `at` to `after`
    for start in _START.finditer(text):
        begins = start.end(1)
        if start.start() < done:
            continue
        if begins >= ends:
            ends = _AUTHORITY.match(text, begins).end()  # type: ignore[union-attr]  # always there
            at, sign = max((text.rfind(sign, begins, ends), sign) for sign in _AT)
            after = at + len(sign)
        if at > begins:
            stop = after
        elif mistyped := _MISTYPED.match(text, begins):
            stop = mistyped.end()
        else:
            continue
        shown += text[done:begins], f"{MASK}@"
        done = stop
    return "".join([*shown, text[done:]])


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
