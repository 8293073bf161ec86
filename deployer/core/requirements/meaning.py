"""Read `requirements.txt`, refuse what a class may not ask for, and tell whether two are the same.

Pure. The file is taken apart exactly as pip does: its quirks (pip 26.3, `_internal/req/req_file.py`
and `constructors.py`) are kept on purpose, for what is read here must be what pip will install.
Where pip ignores something without a word, or other tools read it differently, the line is
refused. Each requirement is then read by `packaging`. In doubt two spellings count as different:
that costs a rebuild, while taking different ones for equal would leave the class on its old
packages.

A class asks for packages of the index, or from a URL over https. Whatever reaches beyond the
packages it names is refused, whichever Python it would be installed into: options, files of
the machine that installs, and `${NAME}`, which an installer would replace by its environment.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from operator import attrgetter

from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import Version

from deployer.core.model import RequirementsDiff
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

_OPTION = re.compile(r"--[a-z-]{1,30}|-.?")
_HASH = re.compile(r"(?:sha256|sha384|sha512):[0-9a-fA-F]+")
# What pip takes for a file before it tries a name (pip 26.3, `_internal/req/constructors.py`).
_ARCHIVES = (
    ".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz",
    ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma",
)  # fmt: skip
_SINGLE_EQUALS = re.compile(r"[\w.-]+\s*(?:\[[^]]*\]\s*)?=\s*\w")
# By itself, without the name that could stand before it. A path of Windows has a backslash.
_PLACE = re.compile(r"[.~]|file:|[^\s;@<>=!]*/", re.IGNORECASE)
_LONGEST_WHY = 150  # characters


@dataclass(frozen=True, slots=True)
class Package:
    """One requirement with a name; equal to another if both install the same.

    Attributes:
        name: as PEP 503 normalises it.
        extras: normalised, sorted.
        specifiers: canonical (`==1.0` is `==1`), sorted.
        url: of `name @ url`.
        marker: with canonical quotes and spaces.
        hashes: `sha256:…`, sorted.
        text: in one line, with the author's spelling of name and versions.
        line: its first line's number, from 1.
    """

    name: str
    extras: tuple[str, ...]
    specifiers: tuple[str, ...]
    url: str | None
    marker: str | None
    hashes: tuple[str, ...]
    text: str = field(compare=False)
    line: int = field(compare=False)

    @property
    def shown(self) -> str:
        """Its text for people, without credentials."""
        return masked(self.text)

    @property
    def canonical(self) -> tuple[object, ...]:
        """What is compared, sortable among packages."""
        values = (getattr(self, one.name) for one in fields(self) if one.compare)
        return tuple("" if value is None else value for value in values)


@dataclass(frozen=True, slots=True)
class Requirements:
    """What one text asks for; equal to another if both install the same.

    Attributes:
        packages: sorted, each once.
    """

    packages: tuple[Package, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        return frozenset(package.name for package in self.packages)

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex, the same for two texts just if they are equal."""
        # The empty lists held options once. The journal knows by this hash what was refused.
        canonical = [[[*package.canonical, []] for package in self.packages], []]
        return hashlib.sha256(json.dumps(canonical).encode()).hexdigest()


def parse(text: str) -> Requirements:
    """Return what `text` asks for.

    Raises:
        RequirementsRefused: with the first line that is not allowed, or can't be read. Nothing
            else is raised.
    """
    found: dict[Package, None] = {}
    for number, line in _lines(text):
        found.setdefault(_package(line, number))
    return Requirements(tuple(sorted(found, key=attrgetter("canonical"))))


def safe_requirements(text: str) -> str:
    """Return `text` as an installer is given it: one requirement a line.

    It reads what was checked here and nothing else, so it cannot understand a line otherwise.

    Raises:
        RequirementsRefused
    """
    packages = sorted(parse(text).packages, key=attrgetter("line"))
    return "".join(f"{package.text}\n" for package in packages)


def moved(old: Requirements, new: Requirements) -> tuple[str, ...]:
    """Return the names that differ, sorted."""
    return tuple(sorted({package.name for package in {*old.packages} ^ {*new.packages}}))


def diff(old: Requirements | None, new: Requirements) -> RequirementsDiff:
    """Return how `new` differs from `old`, in lines; empty just if they are equal.

    What came or was replaced is shown as `new` has it, what is gone as `old` had it.
    None: nothing is installed.
    """
    before, after = set(old.packages if old else ()), set(new.packages)
    gone, come = before - after, after - before
    replaced = {package.name for package in gone} & {package.name for package in come}
    return RequirementsDiff(
        added=_in_lines(package for package in come if package.name not in replaced),
        removed=_in_lines(package for package in gone if package.name not in replaced),
        changed=_in_lines(package for package in come if package.name in replaced),
    )


def _in_lines(packages: Iterable[Package]) -> tuple[str, ...]:
    return tuple(sorted({package.shown for package in packages}))


def _lines(text: str) -> Iterator[tuple[int, str]]:
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


def _shown(text: str) -> str:
    """Quote the author's text for a reason: without credentials, then cut."""
    return repr(masked(text)[:60])


def _refuse_other_encodings(text: str) -> None:
    """Refuse what pip would decode otherwise than it was decoded for us (UTF-7 hides lines)."""
    for number, line in enumerate(text.split("\n", 2)[:2], 1):
        declared = _ENCODING.search(line) if line.startswith("#") else None
        if declared and declared[1].lower().replace("_", "-") not in _UTF8:
            raise RequirementsRefused("declares an encoding other than UTF-8", line=number)


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


def _package(line: str, number: int) -> Package:
    if "${" in line:
        raise RequirementsRefused("environment variables are not allowed here", line=number)
    words = line.split(" ")  # and at nothing else: so does pip
    at = next((n for n, word in enumerate(words) if word.startswith("-")), len(words))
    wanted = " ".join(words[:at]).strip()
    hashes = list(_hashes(" ".join(words[at:]), number))
    if hashes and not wanted:
        raise RequirementsRefused("--hash follows no requirement", line=number)
    if "\\" in wanted:
        raise RequirementsRefused("has a backslash that is not at its end", line=number)
    try:
        read = Requirement(wanted)
        # Canonical first: packaging's own str() trips over versions that Version refuses.
        specifiers = {_canonical(specifier) for specifier in read.specifier}
        marker = str(read.marker) if read.marker else None
        name = canonicalize_name(read.name, validate=True)
    except (ValueError, RecursionError) as exc:
        why = masked(str(exc).partition("\n")[0])[:_LONGEST_WHY]
        if _SINGLE_EQUALS.match(wanted):
            why = "a version is asked for with '==', not '='"
        elif wanted.lower().startswith("https://"):
            why = "an address needs the package's name before it, as in 'name @ https://…'"
        elif _PLACE.match(wanted):
            raise RequirementsRefused(
                f"{_shown(wanted)} must come from the package index or over https", line=number
            ) from exc
        raise RequirementsRefused(
            f"{_shown(wanted)} is no requirement: {why}", line=number
        ) from exc
    if _is_archive(wanted):
        raise RequirementsRefused(f"{_shown(wanted)} is no requirement but a file", line=number)
    if read.url and not read.url.lower().startswith("https://"):
        raise RequirementsRefused(
            f"{name} must come from the package index or over https", line=number
        )
    return Package(
        name=name,
        extras=tuple(sorted({canonicalize_name(extra) for extra in read.extras})),
        specifiers=tuple(sorted(specifiers)),
        url=read.url,
        marker=marker,
        hashes=tuple(sorted(set(hashes))),
        text=" ".join([str(read), *(f"--hash {value}" for value in hashes)]),
        line=number,
    )


def _hashes(options: str, number: int) -> Iterator[str]:
    """Yield the values of `--hash`, the one option that there may be, and behind a package only.

    What else stands there is not quoted: it may be a part of a URL with a password.
    """
    try:
        words = iter(shlex.split(options))  # as pip does
    except ValueError as exc:
        raise RequirementsRefused("leaves a quote or a backslash open", line=number) from exc
    for word in words:
        flag, glued, value = word.partition("=")
        if flag != "--hash":
            found = _OPTION.match(word)
            option = f"option {found[0]}" if found else "more than options behind a requirement"
            raise RequirementsRefused(f"{option} is not allowed, only packages", line=number)
        given = value if glued else next(words, "")
        if not _HASH.fullmatch(given):
            raise RequirementsRefused("--hash is none of sha256, sha384 or sha512", line=number)
        yield given


def _is_archive(wanted: str) -> bool:
    """Tell whether pip would look for a file of this name; it may be a package's as well."""
    place = wanted.partition(";")[0].rstrip()
    if place.endswith("]"):
        place = place.rpartition("[")[0].rstrip()
    return "@" not in place and place.lower().endswith(_ARCHIVES)


def _canonical(specifier: Specifier) -> str:
    """Spell a specifier so that equal ones are equal strings (PEP 440)."""
    operator, version = specifier.operator, specifier.version
    if operator == "===":  # compares strings, so 1.0 is not 1.0.0
        return str(specifier)
    if version.endswith(".*"):  # a prefix, so 1.* is not 1.0.*
        return f"{operator}{Version(version.removesuffix('.*'))}.*"
    # The last digit counts in ~=: ~=1.0 goes up to 2, ~=1.0.0 up to 1.1.
    return operator + canonicalize_version(Version(version), strip_trailing_zero=operator != "~=")
