"""A commit's tree, what of it is live, and how it came out of an older one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DAGS = "dags/"
INCLUDE = "include/"
REQUIREMENTS = "requirements.txt"
COMPOSE_FILE = "docker-compose.yaml"
ROSTER = "roster.yaml"
DAG_PROCESSOR = "airflow-dag-processor"
"""The service that parses; named so in the class's docker-compose.yaml and the embedded Airflow."""
SCHEDULER = "airflow-scheduler"
"""Likewise; tasks run in it (LocalExecutor)."""

WHOLE_DIRECTORY = "*/"
"""Among the mentions of a file: it lists some directory, whatever is in it."""
ANYTHING = (0, "*")
"""Among the imports of a file: it may import whatever there is."""


def folder_of(path: str) -> str | None:
    """Return the student's folder that `path` lies in, None outside `dags/<folder>/`."""
    match path.split("/"):
        case ["dags", folder, _, *_]:
            return folder
    return None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the text of one file says without being run.

    Attributes:
        imports: one entry an import statement's name, as `(level, dotted name)`;
            `from .a import b` gives `(1, "a")` and `(1, "a.b")`, for `b` may be a module;
            or `ANYTHING`.
        mentions: path components found in string constants, as they are written, and
            `WHOLE_DIRECTORY`.
        may_hold_dag: Airflow's safe mode would look at it (`airflow`, and `dag` or `asset`),
            or it is a zip.
    """

    imports: frozenset[tuple[int, str]] = frozenset()
    mentions: frozenset[str] = frozenset()
    may_hold_dag: bool = False


@dataclass(frozen=True, slots=True)
class File:
    """One file of a tree.

    Attributes:
        blob: git's id of its content.
        facts: what its text says.
        executable: git has it as a program.
    """

    blob: str
    facts: Facts = Facts()
    executable: bool = False


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A path of the commit that is not published, and why, in one sentence.

    One that ends in `/` is a folder, with all that is in it. `blob`: what git has there, ""
    where nobody asks any more.
    """

    path: str
    reason: str
    blob: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Tree:
    """The part of one commit that a deploy depends on.

    Attributes:
        sha: full commit id, 40 lowercase hex digits.
        files: by path, under `dags/` and `include/`; only what will be published.
        requirements: text of `requirements.txt`, None if the commit has none.
        compose: text of `docker-compose.yaml`, None if the commit has none; never used, only
            compared with the operator's own copy.
        roster: text of `roster.yaml`, None if the commit has none.
        ignores: text of each `.airflowignore` under `dags/`, by its path.
        left_out: what a release must not hold (it would kill the dag-processor for all).
        refused: why nothing of the commit is published, and no file is named here; None: it is.
        links: where each link leads that is published as the file there.
    """

    sha: str
    files: Mapping[str, File]
    requirements: str | None = None
    compose: str | None = None
    roster: str | None = None
    ignores: Mapping[str, str] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()
    refused: str | None = None
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Live:
    """What is known to be live.

    Attributes:
        sha: commit of the live release.
        held: files of that commit whose live version is an older one, or none; sorted.
        pending: files of that commit that nobody has judged yet, held or live; sorted.
        stays: places of that commit which can't be published and at or under which something
            older is live, each with the commit that it is of; sorted.
    """

    sha: str
    held: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    stays: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Authored:
    """What one commit changed (`paths`), and the e-mail address of who wrote it."""

    email: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class History:
    """How a commit came out of an older one.

    Attributes:
        since: the older one; None: the repository begins with this commit.
        changed: paths that differ between the two, sorted.
        commits: between the two, newest first, merges left out; none, if there are more
            than are looked into.
    """

    since: str | None
    changed: tuple[str, ...] = ()
    commits: tuple[Authored, ...] = ()
