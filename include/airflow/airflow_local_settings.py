"""The class's rules in Airflow itself: a DAG against them is an import error that says so.

Airflow imports a module of this name in each of its processes, from PYTHONPATH
(airflow 3.3.2, settings.py:766), and calls `dag_policy` for each DAG that it has parsed. What
it raises becomes the file's import error, `AirflowClusterPolicyViolation: <text>`
(dag_processing/dagbag.py:347). It runs in the process of the student's own code: etiquette
among people of good will, not security.

A levels file that can't be read turns all rules into advice, and each start of Airflow says so
at level CRITICAL. To raise here would stop the scheduler of the whole class for a slip in a file
about manners, and a deployment would blame a student's packages for an image that can't start.
"""

from __future__ import annotations

import logging
from pathlib import PurePath
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


def _agreed() -> Agreement:
    try:
        return class_levels.read()
    except class_levels.BrokenLevels as broken:
        log.critical("the class's rules are only advice until this is mended: %s", broken)
        return class_levels.ADVICE


AGREED = _agreed()

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
    of_file = _told.setdefault(dag.fileloc, {})
    of_file[dag.dag_id] = found
    if any(violation.level is Level.ERROR for violation in found):
        every = [violation for dag_id in sorted(of_file) for violation in of_file[dag_id]]
        sentences = [one.sentence for one in every if one.level is Level.ERROR]
        # The path names the release that was parsed, which is a verdict's proof.
        raise AirflowClusterPolicyViolation(f"{'; '.join(sentences)}\nin {dag.fileloc}")
    for violation in found:
        log.warning("%s: %s", violation.path, violation.sentence)


def advice(fileloc: str) -> tuple[Violation, ...]:
    """Return what this process found at level warn in a file, by Airflow's name of it."""
    return tuple(
        violation
        for _, found in sorted(_told.get(fileloc, {}).items())
        for violation in found
        if violation.level is Level.WARN
    )


def _path(dag: DAG) -> str | None:
    """Return the file's path in the repository, None where it can't be told.

    `relative_fileloc` is absolute where no bundle was named (`DagBag(…)` in a shell).
    """
    relative = str(dag.relative_fileloc or "")
    if PurePath(relative).is_absolute():
        relative = relative.rpartition("/dags/")[2]
    return f"dags/{relative}" if relative and relative[0] != "/" else None
