"""`deployer check`: what a push of a working copy would have judged, and how to mend it.

Pure. Only the isolated parse speaks here: variables, connections and packages that the
class's Airflow has and this machine has not are missing. What the class has agreed says in its own
sentence how to mend it (`include/airflow`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from packaging.utils import canonicalize_name

from deployer.core.model import (
    REQUIREMENTS,
    Examined,
    File,
    Outcome,
    ParseError,
    Proof,
    Tree,
    Verdict,
)
from deployer.core.planning.held import duplicates
from deployer.core.planning.packages import parsed
from deployer.core.planning.plan import plan
from deployer.core.requirements import meaning
from deployer.core.tree.ignores import NAME
from deployer.errors import RequirementsRefused

_MISSING = re.compile(r"No module named '([\w.]+)'")
_BRINGS: Final[Mapping[str, str]] = {
    "attrs": "attr",
    "beautifulsoup4": "bs4",
    "biopython": "bio",
    "dnspython": "dns",
    "gitpython": "git",
    "mysqlclient": "mysqldb",
    "opencv-python": "cv2",
    "opencv-python-headless": "cv2",
    "pillow": "pil",
    "pycryptodome": "crypto",
    "pymupdf": "fitz",
    "python-telegram-bot": "telegram",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "wikipedia-api": "wikipediaapi",
}
"""Modules that nobody could tell from the name of their package."""

_PACKAGE: Final = "must stand in requirements.txt, and be installed here too"
_NOT_HERE: Final = (
    "it stands in requirements.txt and is not installed here, so no more of this file was looked "
    "at: `uv pip install -r requirements.txt` beside your Airflow, or `deployer check "
    "requirements.txt`, which does so for a trial"
)
_NOT_WHILE_READING: Final = (
    "do this in a task: whatever stands outside of tasks runs each time Airflow reads the file"
)

_AIRFLOW_2: Final = (
    "that is of Airflow 2, and not in Airflow 3: "
    'docs/troubleshooting.md, "Examples for Airflow 2", says what replaces it'
)
_GROUPS: Final = ("apache", "atlassian", "cncf", "common", "dbt", "microsoft")
"""Of providers; where none of a group is there, Python names the group alone."""
_PROVIDER: Final = re.compile(
    rf"No module named 'airflow\.providers\.((?:(?:{'|'.join(_GROUPS)})\.)?[a-z_]+)'"
)
_OF_AIRFLOW: Final = re.compile(
    r"No module named 'airflow\."
    r"|cannot import name '\w+' from '(?:partially initialized module )?airflow['.]"
    r"|DAG\.__init__\(\) got an unexpected keyword argument"
)
"""What Python says where a file asks of Airflow itself what it has not."""

REMEDIES: Final[Mapping[str, str]] = {
    "ModuleNotFoundError": (
        f"a package {_PACKAGE}; a module of yours "
        "is imported with its folder: from <your folder>.<module> import …"
    ),
    "ImportError": (
        "import with the folder, from <your folder>.<module> import …; see that the module has "
        "this name, and that no two modules import each other"
    ),
    "SyntaxError": "Python can't read this line; the mistake may be at the end of the one before",
    "UnicodeDecodeError": "save the file as UTF-8, and take out its line about another encoding",
    "IndentationError": "indent the lines of one block alike",
    "TabError": "indent with spaces only",
    "NameError": "define or import the name before it is used",
    "AirflowRuntimeError": (
        "variables and connections are not there while a file is read: use them in a task or a "
        "template, or give Variable.get a default"
    ),
    "AirflowNotFoundException": (
        "variables and connections are not there while a file is read: use them in a task"
    ),
    "AirflowTaskTimeout": f"reading the file takes too long; {_NOT_WHILE_READING}",
    "AirflowDagCycleException": "take out one of the arrows >> that lead back to an earlier task",
    "AirflowTimetableInvalid": "a schedule is @daily or the like, five fields of cron, or None",
    "DuplicateTaskIdFound": "give each task of the DAG a task_id of its own",
    "ConnectionError": _NOT_WHILE_READING,
    "URLError": _NOT_WHILE_READING,
    "SystemExit": (
        "take out the call that ends the program; read a command line with argparse and the like "
        'only under `if __name__ == "__main__":`'
    ),
}
"""What to do, by the name of the error's type, where the file's own text is to blame."""


def dag_files(
    tree: Tree, moved: Collection[str] | None = None, gone: Collection[str] = ()
) -> tuple[str, ...]:
    """Return the DAG files that a push of `moved` would have Airflow parse, sorted.

    Those are the DAG files among `moved`, and whatever depends on one of them, on a link to one,
    or on what is `gone`; of an ignore file all below its folder, as what it hid before is not known
    here. All DAG files of the tree where `moved` is None.
    """
    live = None
    if moved is not None:
        moved = {*moved, *(path for path, target in tree.links.items() if target in moved)}
        folders = tuple(path.removesuffix(NAME) for path in tree.ignores if path in moved)
        files = {
            path: file
            for path, file in tree.files.items()
            if path not in moved and not path.startswith(folders)
        }
        live = replace(tree, files=files | {path: File("gone") for path in gone})
    text = tree.requirements or ""
    return plan(live, tree, installed=text, refusals={}, services=()).dag_files


def within(path: str, places: Iterable[str]) -> bool:
    """Tell whether `path` is one of `places` or lies in it; the empty place is the root.

    A folder that is left out as a whole, with `/` at its end, is meant by all that lies in it.
    """
    return any(
        path == place
        or not place
        or path.startswith(f"{place}/")
        or (path.endswith("/") and place.startswith(path))
        for place in places
    )


def left_out(tree: Tree) -> tuple[Verdict, ...]:
    """Return what a push would show for what is not published at all."""
    return tuple(
        Verdict(item.path, Outcome.HELD, error=ParseError("Held", item.reason))
        for item in tree.left_out
    )


def refused(why: RequirementsRefused) -> Verdict:
    """Return what is said of requirements that can't be installed."""
    error = ParseError(type(why).__name__, why.reason, why.line)
    return Verdict(REQUIREMENTS, Outcome.BROKEN, error=error)


def packages(tree: Tree) -> tuple[Verdict, ...]:
    """Return what a push would say of requirements that are refused as they are read."""
    try:
        meaning.parse(tree.requirements or "")
    except RequirementsRefused as exc:
        return (refused(exc),)
    return ()


def judged(
    examined: Sequence[Examined], *, beside: Sequence[Examined], requirements: str | None = None
) -> tuple[Verdict, ...]:
    """Return what the isolated parse says of each file, as a deployment would.

    A package that `requirements` asks for is there after the push: that it is missing here is
    no fault of the file, and the verdict has the error without being a bad one.

    Files `beside` them are named only where they claim a dag_id that one of `examined` claims.
    Who had it first is not known here, so all who claim it are told.
    """
    ids = {dag_id for one in examined for dag_id in one.dag_ids}
    files = [*examined, *(other for other in beside if not ids.isdisjoint(other.dag_ids))]
    claimed = {one.path: one.reason for one in duplicates(files, {})}
    files = [replace(one, advice=(*one.advice, *_conflicts(one, files))) for one in files]
    asked = parsed(requirements)
    packages = asked.names if asked else ()
    return tuple(_verdict(one, one.harm or claimed.get(one.path), packages) for one in files)


def _conflicts(one: Examined, among: Sequence[Examined]) -> list[str]:
    """Say of which assets of a file another one has the name or the URI, but not both."""
    first = {
        (name, uri): (its_name, its_uri, other.path)
        for name, uri in one.assets
        for other in reversed(among)
        for its_name, its_uri in other.assets
        if (name == its_name) != (uri == its_uri)
    }
    return [
        f"Asset(name={name!r}, uri={uri!r}) conflicts with Asset(name={its_name!r}, "
        f"uri={its_uri!r}) of {path}: Airflow activates only one of them, and nothing is "
        "scheduled by the other; give both the same name and URI, or each its own"
        for (name, uri), (its_name, its_uri, path) in first.items()
    ]


def _verdict(examined: Examined, held: str | None, packages: Collection[str]) -> Verdict:
    bare = Verdict(examined.path, Outcome.HELD, proof=Proof.PREFLIGHT, warnings=examined.advice)
    if held:
        return replace(bare, error=ParseError("Held", held))
    if examined.error and _comes_with(examined.error, packages):
        return replace(bare, outcome=Outcome.NO_DAG, error=examined.error, proof=Proof.NONE)
    if examined.error:
        return replace(bare, outcome=Outcome.BROKEN, error=examined.error)
    outcome = Outcome.PARSED if examined.dag_ids else Outcome.NO_DAG
    return replace(bare, outcome=outcome, dag_ids=examined.dag_ids)


def _comes_with(error: ParseError, packages: Collection[str]) -> bool:
    """Tell whether the module that is missing is one that a package is known to bring."""
    found = _MISSING.match(error.message) if error.type == "ModuleNotFoundError" else None
    if not found:
        return False
    module = canonicalize_name(found[1].replace(".", "-"))
    spelt = {module, f"py{module}", f"python-{module}"}
    return any(
        name in spelt
        or name.removeprefix("apache-").startswith(f"{module}-")
        or name.removeprefix("apache-") == module
        or _BRINGS.get(name) == module
        for name in packages
    )


def remedy(verdict: Verdict) -> str | None:
    """Return what its author can do about it, None if nothing is known or nothing is wrong."""
    if verdict.error is None:
        return None
    if verdict.outcome is Outcome.NO_DAG:
        return _NOT_HERE
    if verdict.outcome is not Outcome.BROKEN:
        return None
    message = verdict.error.message
    if message.startswith("(unicode error) 'utf-8'"):
        return REMEDIES["UnicodeDecodeError"]
    if found := _PROVIDER.match(message):
        name = f"{found[1]}-…" if found[1] in _GROUPS else re.sub("[._]", "-", found[1])
        package = f"apache-airflow-providers-{name}"
        return f"it is in a package of its own, {package}: it {_PACKAGE}"
    return _AIRFLOW_2 if _OF_AIRFLOW.match(message) else REMEDIES.get(verdict.error.type)
