"""Read `requirements.txt` and tell whether two of them install the same.

Pure. `lines` takes the file apart as pip does; each requirement is then read
by `packaging`. In doubt two spellings count as different: that costs a rebuild, while
taking different ones for equal would leave the class on its old packages.

An option is read and compared, not judged: that is `gate`'s.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from packaging.requirements import Requirement
from packaging.specifiers import Specifier
from packaging.utils import canonicalize_name, canonicalize_version
from packaging.version import Version

from deployer.core.model import RequirementsDiff
from deployer.core.requirements.lines import Line, Option, read_lines, shown
from deployer.errors import RequirementsRefused
from deployer.masking import masked

# What pip takes for a URL, a path or an archive before it tries a name
# (pip 26.3, `_internal/req/constructors.py`); `${NAME}` can become any of them.
_URL = re.compile(r"(?:https?|ftp|file|ssh|sftp|git|hg|bzr|svn|[a-z]+\+[a-z-]+):", re.IGNORECASE)
_PATH = re.compile(r"\.|[\w.+~-]*/|\$\{")
_ARCHIVES = (
    ".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz",
    ".tar.xz", ".txz", ".tlz", ".tar.lz", ".tar.lzma",
)  # fmt: skip
_SINGLE_EQUALS = re.compile(r"[\w.-]+\s*(?:\[[^]]*\]\s*)?=\s*\w")
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
        settings: values of `--config-settings`, in order.
        text: in one line, with the author's spelling of name and versions.
        line: its first line's number, from 1.
    """

    name: str
    extras: tuple[str, ...]
    specifiers: tuple[str, ...]
    url: str | None
    marker: str | None
    hashes: tuple[str, ...]
    settings: tuple[str, ...]
    text: str = field(compare=False)
    line: int = field(compare=False)

    @property
    def shown(self) -> str:
        """Its text for people, without credentials."""
        return masked(self.text)

    @property
    def key(self) -> str:
        """What it is known by in a diff."""
        return self.name

    @property
    def canonical(self) -> tuple[object, ...]:
        """What is compared, sortable among packages."""
        return (
            self.name,
            self.extras,
            self.specifiers,
            self.url or "",
            self.marker or "",
            self.hashes,
            self.settings,
        )


@dataclass(frozen=True, slots=True)
class Requirements:
    """What one text asks for; equal to another if both install the same.

    Attributes:
        packages: sorted, each once.
        options: in the text's order, which matters to pip.
    """

    packages: tuple[Package, ...] = ()
    options: tuple[Option, ...] = ()

    @property
    def by_name(self) -> dict[str, tuple[Package, ...]]:
        """Packages by name; several for a name that is asked for more than once."""
        return {n: tuple(same) for n, same in groupby(self.packages, attrgetter("name"))}

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hex, the same for two texts just if they are equal."""
        canonical = [
            [package.canonical for package in self.packages],
            [(option.flag, option.value) for option in self.options],
        ]
        return hashlib.sha256(json.dumps(canonical).encode()).hexdigest()


def parse(text: str) -> Requirements:
    """Return what `text` asks for.

    Raises:
        RequirementsRefused: a line can't be read. Nothing else is raised.
    """
    packages: dict[Package, None] = {}
    options: list[Option] = []
    for line in read_lines(text):
        if line.wanted and not _is_place(line):
            packages.setdefault(_package(line))
            continue
        for option in (_place(line),) if line.wanted else line.options:
            # Said twice in a row is said once; further apart, the order may matter.
            if options[-1:] != [option]:
                options.append(option)
    return Requirements(tuple(sorted(packages, key=attrgetter("canonical"))), tuple(options))


def moved(old: Requirements | None, new: Requirements) -> tuple[str, ...]:
    """Return the names that differ (an option's flag), sorted. None: nothing is installed."""
    return tuple(sorted(_moved(old, new)))


def diff(old: Requirements | None, new: Requirements) -> RequirementsDiff:
    """Return how `new` differs from `old`, in lines; empty just if they are equal.

    What came or was replaced is shown as `new` has it, what is gone as `old` had it.
    Options that only changed places are all shown as changed. None: nothing is installed.
    """
    added: set[str] = set()
    removed: set[str] = set()
    changed: set[str] = set()
    for gone, come in _moved(old, new).values():
        if gone and come:
            changed |= come
        else:
            added |= come
            removed |= gone
    return RequirementsDiff(tuple(sorted(added)), tuple(sorted(removed)), tuple(sorted(changed)))


def _moved(old: Requirements | None, new: Requirements) -> dict[str, tuple[set[str], set[str]]]:
    """Return, by key, the lines that are gone and those that came."""
    old = old or Requirements()
    before: set[Package | Option] = {*old.packages, *old.options}
    after: set[Package | Option] = {*new.packages, *new.options}
    if before == after and old != new:  # the same options in another order
        gone, come = set[Package | Option](old.options), set[Package | Option](new.options)
    else:
        gone, come = before - after, after - before
    found = defaultdict[str, tuple[set[str], set[str]]](lambda: (set(), set()))
    for one in gone:
        found[one.key][0].add(one.shown)
    for one in come:
        found[one.key][1].add(one.shown)
    return dict(found)


def _is_place(line: Line) -> bool:
    """Tell whether a line names a URL or path to install and no package."""
    if _URL.match(line.wanted) or _PATH.match(line.wanted):
        return True
    place = line.wanted.partition(";")[0].rstrip()
    if place.endswith("]"):
        place = place.rpartition("[")[0].rstrip()
    return "@" not in place and place.lower().endswith(_ARCHIVES)


def _place(line: Line) -> Option:
    value = [*line.wanted.split(), *(option.text for option in line.options)]
    return Option("", " ".join(value), line.number)


def _package(line: Line) -> Package:
    if "\\" in line.wanted:
        raise RequirementsRefused("holds a backslash that does not end it", line=line.number)
    try:
        read = Requirement(line.wanted)
        # Canonical first: packaging's own str() trips over versions that Version refuses.
        specifiers = {_canonical(specifier) for specifier in read.specifier}
        marker = str(read.marker) if read.marker else None
        name = canonicalize_name(read.name, validate=True)
    except (ValueError, RecursionError) as exc:
        why = masked(str(exc).partition("\n")[0])[:_LONGEST_WHY]
        if _SINGLE_EQUALS.match(line.wanted):
            why = "a version is asked for with '==', not '='"
        reason = f"{shown(line.wanted)} is no requirement: {why}"
        raise RequirementsRefused(reason, line=line.number) from exc
    values = [(option.flag, option.value or "") for option in line.options]
    return Package(
        name=name,
        extras=tuple(sorted({canonicalize_name(extra) for extra in read.extras})),
        specifiers=tuple(sorted(specifiers)),
        url=read.url,
        marker=marker,
        hashes=tuple(sorted({value for flag, value in values if flag == "--hash"})),
        settings=tuple(value for flag, value in values if flag == "--config-settings"),
        text=" ".join([str(read), *(option.text for option in line.options)]),
        line=line.number,
    )


def _canonical(specifier: Specifier) -> str:
    """Spell a specifier so that equal ones are equal strings (PEP 440)."""
    operator, version = specifier.operator, specifier.version
    if operator == "===":  # compares strings, so 1.0 is not 1.0.0
        return str(specifier)
    if version.endswith(".*"):  # a prefix, so 1.* is not 1.0.*
        return f"{operator}{Version(version.removesuffix('.*'))}.*"
    # The last digit counts in ~=: ~=1.0 goes up to 2, ~=1.0.0 up to 1.1.
    return operator + canonicalize_version(Version(version), strip_trailing_zero=operator != "~=")
