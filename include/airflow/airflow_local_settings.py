"""The class's rules in Airflow itself: a DAG against them is an import error that says so.

Airflow imports a module of this name in each of its processes, from PYTHONPATH
(airflow 3.3.2, settings.py:766), and calls `dag_policy` for each DAG that it has parsed. What
it raises becomes the file's import error, `AirflowClusterPolicyViolation: <text>`
(dag_processing/dagbag.py:347). It runs in the process of the student's own code: etiquette
among people of good will, not security.

An isolated parse names its rules in CLASS_RULES. Nothing is refused there, or what the file would
do to others could not be seen: it is told, and Airflow itself refuses.

A levels file that can't be read turns all rules into advice, and each start of Airflow says so
at level CRITICAL. To raise here would stop the scheduler of the whole class for a slip in a file
about manners, and a deployment would blame a student's packages for an image that can't start.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import class_dags
import class_levels
import class_rules
from airflow.exceptions import AirflowClusterPolicyViolation
from class_levels import Agreement, Level
from class_rules import Violation

if TYPE_CHECKING:
    from airflow.sdk import DAG

__all__ = ["dag_policy"]

log = logging.getLogger(__name__)

CHOSEN = os.environ.get("CLASS_RULES")
"""A levels file; `advice`: those of the class are not known here. None: Airflow itself."""


def _agreed() -> tuple[Agreement, str]:
    """Return what holds, and what is wrong with the file that says so."""
    if CHOSEN == "advice":
        return class_levels.ADVICE, ""
    try:
        return class_levels.read(Path(CHOSEN) if CHOSEN else class_levels.FILE), ""
    except class_levels.BrokenLevels as broken:
        amiss = f"the class's rules are only advice until this is mended: {broken}"
        log.critical(amiss)
        return class_levels.ADVICE, amiss


AGREED, AMISS = _agreed()

_told: dict[str, dict[str, tuple[Violation, ...]]] = {}
"""What this process found, by file and dag_id."""


def dag_policy(dag: DAG) -> None:
    """Refuse `dag` if it breaks a rule of level error; log those of level warn.

    Airflow keeps the text of one DAG a file, the last, and takes them in no order
    (dag_processing/importers/python_importer.py:349): so each says what the others were told.

    Raises:
        AirflowClusterPolicyViolation
    """
    path = _path(dag)
    if path is None:
        return
    found = class_rules.violations(class_dags.read(dag, path), AGREED)
    _told.setdefault(dag.fileloc, {})[dag.dag_id] = found
    if CHOSEN is None and any(violation.level is Level.ERROR for violation in found):
        # The path names the release that was parsed, which is a verdict's proof.
        raise AirflowClusterPolicyViolation(_why(dag.fileloc))
    for violation in found:
        log.warning("%s: %s", violation.path, violation.sentence)


def refusal() -> str:
    """Return the error that Airflow would have for the file that this process parsed; "": none."""
    wrong = [fileloc for fileloc in sorted(_told) if _sentences(fileloc, Level.ERROR)]
    return f"{AirflowClusterPolicyViolation.__name__}: {_why(wrong[0])}" if wrong else ""


def advice() -> list[str]:
    """Return what it found at level warn."""
    found = [one for fileloc in sorted(_told) for one in _sentences(fileloc, Level.WARN)]
    return [AMISS, *found] if AMISS else found


def _why(fileloc: str) -> str:
    return f"{'; '.join(_sentences(fileloc, Level.ERROR))}\nin {fileloc}"


def _sentences(fileloc: str, level: Level) -> list[str]:
    found = sorted(_told.get(fileloc, {}).items())
    return [one.sentence for _, of_dag in found for one in of_dag if one.level is level]


def _path(dag: DAG) -> str | None:
    """Return the file's path in the repository, None where it can't be told.

    `relative_fileloc` is absolute where no bundle was named (`DagBag(…)` in a shell).
    """
    relative = str(dag.relative_fileloc or "")
    if PurePath(relative).is_absolute():
        relative = relative.rpartition("/dags/")[2]
    return f"dags/{relative}" if relative and relative[0] != "/" else None
