"""What a file of the simulated class says, and what becomes of it in Airflow.

The text alone decides: the fakes read it as the model does, whichever release it is in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath

HELPER = "include/helper.py"
REQUIREMENTS_KINDS = ("fine", "refused", "unbuildable", "sick")


class Kind(StrEnum):
    """What a text does."""

    FINE = "fine"
    EMPTY = "empty"  # it may hold a DAG, and has none
    BROKEN = "broken"
    HARM = "harm"  # the isolated parse finds that it would hurt others
    POISON = "poison"  # the dag-processor dies of it
    SLOW = "slow"  # the dag-processor takes its time
    CRAWL = "crawl"  # the isolated parse takes its time
    CLAIM = "claim"  # claims a dag_id that others claim as well
    PICKY = "picky"  # does not parse with version 2 of the package

    def __repr__(self) -> str:
        return str(self.__class__.__name__) + "." + self.name


_KIND = re.compile(r"# (\w+)")


def text(kind: Kind, version: int, *, helped: bool = False) -> str:
    """Return a DAG file's text; `helped`: it imports the helper."""
    lines = [f"from airflow.sdk import dag  # {kind} {version}"]
    if helped:
        lines.append("from include.helper import helped")
    if kind is Kind.PICKY:
        lines.append("import package")
    return "\n".join(lines) + "\n"


def helper(kind: Kind, version: int) -> str:
    return f"helped = 1  # {kind} {version}\n"


def requirements(kind: str, version: int) -> str:
    return f"package=={version}\n" if kind == "fine" else f"{kind}=={version}\npackage=={version}\n"


def kind_of(content: str) -> Kind:
    found = _KIND.search(content)
    return Kind(found[1]) if found else Kind.FINE


def is_helped(content: str) -> bool:
    return "include.helper" in content


def dag_ids(path: str, content: str) -> tuple[str, ...]:
    kind = kind_of(content)
    if kind is Kind.EMPTY:
        return ()
    return ("common",) if kind is Kind.CLAIM else (path.replace("/", "_"),)


def parses(path: str, contents: Mapping[str, str], packages: str | None) -> bool:
    """Tell whether a file of a tree or release parses with those packages."""
    content = contents[path]
    kind = kind_of(content)
    if kind is Kind.BROKEN or (kind is Kind.PICKY and "package==2" in (packages or "")):
        return False
    if is_helped(content):
        helping = contents.get(HELPER)
        return helping is not None and kind_of(helping) is not Kind.BROKEN
    return True


def kills(contents: Mapping[str, str]) -> bool:
    """Tell whether the dag-processor dies of a release before it tells anything of it."""
    return any(kind_of(text) is Kind.POISON for path, text in contents.items() if is_dag(path))


def is_dag(path: str) -> bool:
    return path.startswith("dags/") and PurePosixPath(path).suffix == ".py"
