"""Take a requirements file apart into lines and options, exactly as pip does.

Pure. Quirks are pip's own (pip 26.3, `_internal/req/req_file.py` and `constructors.py`) and
kept on purpose: what is read here must be what pip will install. Where pip ignores
something without a word, or other tools read it differently, the line is refused.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from deployer.errors import RequirementsRefused
from deployer.masking import masked

MAX_CHARS = 250_000  # keeps the worst text under some seconds; 3,000 hashes fit
MAX_LINE = 50_000  # so that to quote the worst of them without credentials takes half a second

# Options by each spelling that pip knows. Unique prefixes, which pip takes too, are
# refused: `--extra-index=…` must not pass by whoever looks for `--extra-index-url`.
_SWITCHES = {"--no-index", "--prefer-binary", "--require-hashes", "--no-require-hashes", "--pre"}
_WITH_VALUE = {
    "-r": "-r", "--requirement": "-r",
    "-c": "-c", "--constraint": "-c",
    "-e": "-e", "--editable": "-e",
    "-i": "--index-url", "--index-url": "--index-url", "--pypi-url": "--index-url",
    "-f": "--find-links", "--find-links": "--find-links",
    "-C": "--config-settings", "--config-settings": "--config-settings",
    "--extra-index-url": "--extra-index-url",
    "--trusted-host": "--trusted-host",
    "--no-binary": "--no-binary",
    "--only-binary": "--only-binary",
    "--all-releases": "--all-releases",
    "--only-final": "--only-final",
    "--use-feature": "--use-feature",
    "--hash": "--hash",
}  # fmt: skip
_BEHIND_A_REQUIREMENT = {"--hash", "--config-settings"}
_HASH = re.compile(r"(?:sha256|sha384|sha512):[0-9a-fA-F]+")

# pip splits lines at all that str.splitlines() knows, other tools do not. So that no line
# is one to one tool and part of a comment to another, the rarer ends are refused.
_LINE_END = re.compile(r"\r\n|\r|\n")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WHOLE_COMMENT = re.compile(r"\s*#")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_ENCODING = re.compile(r"coding[:=]\s*([-\w.]+)")
_UTF8 = {"utf-8", "utf8", "ascii", "us-ascii"}


@dataclass(frozen=True, slots=True)
class Option:
    """One option, or a path or URL to install that names no package.

    Attributes:
        flag: `-r`, `-c`, `-e`, the long name of any other; "" for a bare path or URL.
        value: None for a switch.
        line: its first line's number, from 1.
    """

    flag: str
    value: str | None
    line: int = field(compare=False)

    @property
    def text(self) -> str:
        return " ".join(part for part in (self.flag, self.value) if part)

    @property
    def shown(self) -> str:
        """Its text for people, without credentials."""
        value = (self.value or "").replace(" ", "%20") if self.flag else self.value
        return masked(" ".join(part for part in (self.flag, value) if part))

    @property
    def key(self) -> str:
        """What it is known by in a diff."""
        return self.flag or self.shown


@dataclass(frozen=True, slots=True)
class Line:
    """One logical line.

    Attributes:
        number: of its first physical line, from 1.
        wanted: what stands before the options, "" if nothing does.
    """

    number: int
    wanted: str
    options: tuple[Option, ...]


def read_lines(text: str) -> Iterator[Line]:
    """Yield the lines of a requirements file that say something.

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
            yield _read(line, number)


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


def _read(line: str, number: int) -> Line:
    words = line.split(" ")  # and at nothing else: so does pip
    at = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    wanted = " ".join(words[:at]).strip()
    options = tuple(_options(" ".join(words[at:]), number))
    for option in options:  # pip would ignore these without a word
        if wanted and option.flag not in _BEHIND_A_REQUIREMENT:
            raise RequirementsRefused(f"{option.flag} needs a line of its own", line=number)
        if not wanted and option.flag == "--hash":
            raise RequirementsRefused("--hash stands behind no requirement", line=number)
    return Line(number, wanted, options)


def _options(text: str, number: int) -> Iterator[Option]:
    try:
        words = iter(shlex.split(text))
    except ValueError as exc:
        raise RequirementsRefused("leaves a quote open", line=number) from exc
    for word in words:
        if word in _SWITCHES:
            yield Option(word, None, number)
            continue
        if word.startswith("--"):
            name, glued, value = word.partition("=")
        else:
            name, glued, value = word[:2], word[2:], word[2:]
        if name not in _WITH_VALUE:
            raise RequirementsRefused(f"holds the unknown option {shown(word)}", line=number)
        given = value if glued else next(words, None)
        if given is None:
            raise RequirementsRefused(f"gives no value to {name}", line=number)
        if name == "--hash" and not _HASH.fullmatch(given):
            reason = f"holds {shown(given)}, which is no hash of sha256, sha384 or sha512"
            raise RequirementsRefused(reason, line=number)
        yield Option(_WITH_VALUE[name], given, number)
