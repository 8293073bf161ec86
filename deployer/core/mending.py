"""How an error is mended, where its type alone tells.

Pure. What the class has agreed says so itself, in its own sentence (`include/airflow`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from deployer.core.model import Outcome, Verdict

_NOT_WHILE_READING: Final = (
    "do this in a task: whatever stands outside of tasks runs each time Airflow reads the file"
)

MENDINGS: Final[Mapping[str, str]] = {
    "ModuleNotFoundError": (
        "a package must stand in requirements.txt, and be installed here too; a module of yours "
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
    "DuplicateTaskIdFound": "give each task of the DAG a task_id of its own",
    "ConnectionError": _NOT_WHILE_READING,
    "URLError": _NOT_WHILE_READING,
    "SystemExit": "take out the call that ends the program",
}
"""What to do, by the name of the error's type."""


def mending(verdict: Verdict) -> str | None:
    """Return what its author can do about it, None if nothing is known or nothing is wrong."""
    if verdict.outcome is not Outcome.BROKEN or verdict.error is None:
        return None
    return MENDINGS.get(verdict.error.type)
