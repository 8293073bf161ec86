"""How an error is mended, where its type alone tells.

Pure. What the class has agreed says so itself, in its own sentence (`include/airflow`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from deployer.core.model import Outcome, Verdict

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
    "Airflow 3 has no such thing there: an example for Airflow 2, mostly; "
    'docs/troubleshooting.md, "Examples for Airflow 2", says where it is now'
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

MENDINGS: Final[Mapping[str, str]] = {
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
    "DuplicateTaskIdFound": "give each task of the DAG a task_id of its own",
    "ConnectionError": _NOT_WHILE_READING,
    "URLError": _NOT_WHILE_READING,
    "SystemExit": (
        "take out the call that ends the program; read a command line with argparse and the like "
        'only under `if __name__ == "__main__":`'
    ),
}
"""What to do, by the name of the error's type, where the file's own text is to blame."""


def mending(verdict: Verdict) -> str | None:
    """Return what its author can do about it, None if nothing is known or nothing is wrong."""
    if verdict.error is None:
        return None
    if verdict.outcome is Outcome.NO_DAG:
        return _NOT_HERE
    if verdict.outcome is not Outcome.BROKEN:
        return None
    message = verdict.error.message
    if message.startswith("(unicode error) 'utf-8'"):
        return MENDINGS["UnicodeDecodeError"]
    if found := _PROVIDER.match(message):
        name = f"{found[1]}-…" if found[1] in _GROUPS else re.sub("[._]", "-", found[1])
        package = f"apache-airflow-providers-{name}"
        return f"it is in a package of its own, {package}: it {_PACKAGE}"
    return _AIRFLOW_2 if _OF_AIRFLOW.match(message) else MENDINGS.get(verdict.error.type)
