"""Take a requirements file apart into lines, exactly as pip does.

Pure. Quirks are pip's own (pip 26.3, `_internal/req/req_file.py` and `constructors.py`) and
kept on purpose: what is read here must be what pip will install. Where pip ignores
something without a word, or other tools read it differently, the line is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from deployer.errors import RequirementsRefused
from deployer.masking import masked

MAX_CHARS = 250_000  # keeps the worst text under some seconds; 3,000 hashes fit
MAX_LINE = 50_000  # so that to quote the worst of them without credentials takes half a second

# pip splits lines at all that str.splitlines() knows, other tools do not. So that no line
# is one to one tool and part of a comment to another, the rarer ends are refused.
_LINE_END = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WHOLE_COMMENT = re.compile(r"\s*#")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_ENCODING = re.compile(r"coding[:=]\s*([-\w.]+)")
_UTF8 = {"utf-8", "utf8", "ascii", "us-ascii"}


def read_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a requirements file that say something, without comments.

    Each has the number of its first physical line, from 1.

    Raises:
        RequirementsRefused
    """
    if len(text) > MAX_CHARS:
        raise RequirementsRefused(f"holds more than {MAX_CHARS:,} characters")
    text = text.removeprefix("\ufeff")
    _refuse_other_encodings(text)
    for number, joined in _joined_lines(text):
        control = _CONTROL.search(joined)
        if control:
            code = f"U+{ord(control[0]):04X}"
            raise RequirementsRefused(
                f"holds the unprintable character {code}: save the file as UTF-8", line=number
            )
        line = _COMMENT.sub("", joined).strip()
        if len(line) > MAX_LINE:
            raise RequirementsRefused(f"is longer than {MAX_LINE:,} characters", line=number)
        if "\ufffd" in line:  # in place of what is not UTF-8
            reason = "holds a letter that is not UTF-8: save the file as UTF-8"
            raise RequirementsRefused(reason, line=number)
        if line:
            yield number, line


def shown(text: str) -> str:
    """Quote the author's text for a reason: without credentials, then cut."""
    return repr(masked(text)[:60])


def _refuse_other_encodings(text: str) -> None:
    """Refuse what pip would decode otherwise than it was decoded for us (UTF-7 hides lines)."""
    for number, line in enumerate(text.split("\n", 2)[:2], 1):
        declared = _ENCODING.search(line) if line.startswith("#") else None
        if declared and declared[1].lower().replace("_", "-") not in _UTF8:
            raise RequirementsRefused("declares another encoding than UTF-8", line=number)


def _joined_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines joined at backslashes, with the number of the first."""
    parts: list[str] = []
    first = 1
    for number, line in _physical_lines(text):
        first = first if parts else number
        comment = _WHOLE_COMMENT.match(line)
        if line.endswith("\\") and not comment:
            parts.append(line.strip("\\"))
            continue
        # The space lets a comment that ends a continued line still be seen as one.
        yield first, "".join([*parts, " " if comment else "", line])
        parts = []
    if parts:
        yield first, "".join(parts)


def _physical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines as pip sees them (a form feed ends one), numbered as an editor does."""
    for number, line in enumerate(_LINE_END.split(text), 1):
        for part in line.split("\f"):
            yield number, part
