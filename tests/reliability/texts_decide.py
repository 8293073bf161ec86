"""Texts that decide what becomes of each file, through all that they import and read.

The isolated parser and the dag-processor find what these functions say, of whatever texts lie
there together: a commit, or a release that is a mixture of several. Pure, and none of it asks the
deployer. What is known of a class in the end stands here, too, for the oracle.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from deployer.core.model import Verdict

STUDENTS = ("anna", "ben", "cleo")
TOP = "dags/top.py"
DAG_FILES = (*(f"dags/{who}/{name}.py" for who in STUDENTS for name in ("x", "y")), TOP)
HELPERS = tuple(f"dags/{who}/help.py" for who in STUDENTS)
SHARED = ("include/m1.py", "include/m2.py")
QUERY = "include/q.sql"
OWN_QUERY = "own.sql"
IGNORES = ".airflowignore"
REFUSED = "refused==1\npackage==2\n"
SICK = "sick==1\npackage==2\n"
PACKAGES = ("package==1\n", "package==2\n", "package==3\n", REFUSED, SICK)

_IMPORTS = re.compile(r"^from (\S+) import v$", re.MULTILINE)
_READS = re.compile(r"open\('(\S+)'\)")
_KIND = re.compile(r"# (\w+) \d+$", re.MULTILINE)
_LINK = "-> "


class Kind(StrEnum):
    """What a text does to whoever imports or reads it."""

    FINE = "fine"
    EMPTY = "empty"  # no DAG
    CLAIM = "claim"  # a dag_id that others claim too
    HOME = "home"  # likewise, and it begins with the first student's folder
    BROKEN = "broken"
    OLD = "old"  # broken with version 2 of the package
    NEW = "new"  # broken without it
    HARM = "harm"  # its parse never ends


PICKY = (Kind.OLD, Kind.NEW)
COMMON_IDS = {Kind.CLAIM: "common", Kind.HOME: f"{STUDENTS[0]}_common"}


@dataclass(frozen=True)
class Parsed:
    """What a parse of a file comes to."""

    dag_ids: tuple[str, ...] = ()
    broken: bool = False
    harm: bool = False


def written(path: str, kind: Kind, version: int, needs: Collection[str] = ()) -> str:
    """Return a text of that kind which imports or reads each of `needs`."""
    if path.endswith(IGNORES):
        return f"{('x.py', 'y.py', 'nothing.py')[version % 3]}\n"
    if path.endswith(".sql"):
        return f"select 1  # {kind} {version}\n"
    head = "from airflow.sdk import dag" if path in DAG_FILES else "v = 1"
    lines = [f"{head}  # {kind} {version}"]
    for need in sorted(needs):
        if need.endswith(".sql"):
            lines.append(f"Q = open('{QUERY if need == QUERY else OWN_QUERY}')")
        else:
            lines.append(f"from {need.removeprefix('dags/')[:-3].replace('/', '.')} import v")
    if kind in PICKY:
        lines.append("import package")
    return "\n".join(lines) + "\n"


def link(target: str) -> str:
    """Return the text of a link to a file."""
    return f"{_LINK}{target}"


def links(texts: Mapping[str, str]) -> dict[str, str]:
    """Return by path where each link among these texts leads in the end, be that there or not."""
    found = {}
    for path in texts:
        way = [path]
        while texts.get(way[-1], "").startswith(_LINK):
            way.append(texts[way[-1]].removeprefix(_LINK))
            if way[-1] in way[:-1]:
                break
        if way[1:]:
            found[path] = way[-1]
    return found


def plain(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts as they come out: links as what they lead to, or not at all."""
    leads = links(texts)
    targets = {path: leads.get(path, path) for path in texts}
    return {p: texts[to] for p, to in targets.items() if to in texts.keys() - leads.keys()}


def kind_of(text: str) -> Kind:
    found = _KIND.search(text)
    return Kind(found[1]) if found else Kind.FINE


def needs_of(path: str, text: str) -> set[str]:
    """Return what a text imports and reads, there or not."""
    modules = (name.replace(".", "/") + ".py" for name in _IMPORTS.findall(text))
    beside = PurePosixPath(path).parent
    return {
        *(name if name.startswith("include/") else f"dags/{name}" for name in modules),
        *(name if "/" in name else str(beside / name) for name in _READS.findall(text)),
    }


def reached(path: str, texts: Mapping[str, str]) -> set[str]:
    """Return the path and all that it needs, through others too."""
    found: set[str] = set()
    fresh = {path}
    while fresh:
        found |= fresh
        known = {one for one in fresh if one in texts}
        fresh = {need for one in known for need in needs_of(one, texts[one])} - found
    return found


def is_hidden(path: str, texts: Mapping[str, str]) -> bool:
    """Tell whether an ignore file beside it names the file."""
    place = PurePosixPath(path)
    return place.name in texts.get(str(place.parent / IGNORES), "").splitlines()


def parsed(path: str, texts: Mapping[str, str], packages: str) -> Parsed:
    """Return what a parse of `path` among these texts, on these packages, comes to."""
    kinds = {kind_of(texts[one]) if one in texts else Kind.BROKEN for one in reached(path, texts)}
    if Kind.HARM in kinds:
        return Parsed(harm=True)
    if {Kind.BROKEN, Kind.OLD if "package==2" in packages else Kind.NEW} & kinds:
        return Parsed(broken=True)
    match kind_of(texts[path]):
        case Kind.EMPTY:
            return Parsed()
        case kind:
            own = path.removesuffix(".py").replace("/", "_")
            return Parsed((COMMON_IDS.get(kind, own),))


def seen(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the DAG files that Airflow finds among these texts."""
    return tuple(path for path in DAG_FILES if path in texts and not is_hidden(path, texts))


@dataclass(frozen=True)
class Publication:
    """A release as it went live.

    Attributes:
        texts: what it holds, by path.
        before: what the release before it held.
        pushed: what its commit holds.
        packages: the requirements that ran then.
    """

    texts: Mapping[str, str]
    before: Mapping[str, str]
    pushed: Mapping[str, str]
    packages: str


@dataclass(frozen=True)
class Standing:
    """How a class stands while nobody waits for anything.

    Attributes:
        tip: the commit that the branch names.
        pushed: the tip's texts by path.
        asked: the tip's requirements.
        live: the texts of the release, by path.
        live_sha: the commit that is known to be live, None: none is.
        pending: files of it that have no verdict yet.
        held: what is held of it.
        packages: the requirements that run.
        verdicts: the newest of each file.
        said: state and words of each status, by commit and context.
        claimed: DAG files that claimed each common `dag_id` in some commit.
        links: where each link of the tip leads.
        nowhere: those that lead to nothing.
    """

    tip: str
    pushed: Mapping[str, str]
    asked: str
    live: Mapping[str, str]
    live_sha: str | None
    pending: tuple[str, ...]
    held: frozenset[str]
    packages: str
    verdicts: Mapping[str, Verdict]
    said: Mapping[tuple[str, str], tuple[str, str]]
    claimed: Mapping[str, frozenset[str]]
    links: Mapping[str, str]
    nowhere: frozenset[str]

    @property
    def harmful(self) -> set[str]:
        """The DAG files of the tip that would hurt others."""
        return {p for p in seen(self.pushed) if parsed(p, self.pushed, self.packages).harm}

    @property
    def claims(self) -> set[str]:
        """The DAG files of the tip that claim one `dag_id` together with others.

        One that is broken or harmful keeps the id that it had: Airflow has its DAG still. So does
        one that is held keep those of its live version.
        """
        found = {path: parsed(path, self.pushed, self.packages) for path in seen(self.pushed)}
        ill = {path for path, result in found.items() if result.broken or result.harm}
        live = {path: parsed(path, self.live, self.packages) for path in seen(self.live)}
        rivals: set[str] = set()
        for dag_id, known in self.claimed.items():
            claims = {path for path, result in found.items() if dag_id in result.dag_ids}
            having = {path for path, result in live.items() if dag_id in result.dag_ids}
            if len(claims | (known & ill) | having) > 1:
                rivals |= claims
        return rivals

    def is_bad(self, path: str) -> bool:
        """Tell whether a file of the tip is not live as pushed, or not to be used as it is."""
        verdict = self.verdicts.get(path)
        if path not in self.pushed:  # a link that leads nowhere, and nothing stays
            return False
        # It may be live as pushed: broken before, it claims since what it needs was mended.
        claims = path in self.claims and verdict is not None and verdict.outcome.value == "held"
        if claims or self.live.get(path) != self.pushed[path]:
            return True
        if path not in seen(self.pushed):
            return False
        harm = parsed(path, self.pushed, self.packages).harm
        return harm or parsed(path, self.live, self.packages).broken


@dataclass(frozen=True)
class Commit:
    """A push: its texts, links among them, and requirements, and those before it."""

    sha: str
    texts: Mapping[str, str]
    before: Mapping[str, str]
    asked: str
    asked_before: str

    @property
    def changed(self) -> set[str]:
        paths = self.texts.keys() | self.before.keys()
        return {path for path in paths if self.texts.get(path) != self.before.get(path)}
