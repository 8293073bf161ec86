"""What the class has agreed on about DAGs, as pure functions: one set of rules, three places.

Airflow itself (`airflow_local_settings.py`), `tests/test_dag_integrity.py` and `deployer check`
judge by these. Nothing of Airflow or of the deployer is imported. A violation is one sentence
that says how to mend it. How serious each rule is, and where its limit lies, stands in
`class_rules.toml` (`class_levels.py` reads it); docs/policy.md explains them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from class_levels import DUPLICATE, Agreement, Level, Limits

DEFAULT_OWNER = "airflow"
"""What Airflow calls an owner whom nobody named (`[operators] default_owner`)."""

_KEY = re.compile(r"[\w.-]+")
"""What Airflow allows in a dag_id (airflow 3.3.2, sdk/definitions/_internal/node.py:49)."""


@dataclass(frozen=True, slots=True)
class Dag:
    """What one DAG says of itself, as far as a rule asks.

    Attributes:
        path: its file, relative to the repository's root: `dags/lasse/taxi.py`; a module
            within a zip: `dags/lasse/pack.zip/taxi.py`.
        owners: of all its tasks; of its default_args, if it has no task.
        shortest_interval_s: seconds between two runs that its schedule puts closest to each
            other, 0 for one run after the other, None for no schedule by time.
        schedule_fault: what is wrong with its schedule and what to do, empty if nothing is.
    """

    path: str
    dag_id: str
    tags: frozenset[str]
    owners: frozenset[str]
    catchup: bool
    max_active_runs: int
    shortest_interval_s: float | None = None
    schedule_fault: str = ""

    @property
    def folder(self) -> str | None:
        """The student's folder, None for a file or a zip right under `dags/`."""
        match self.path.split("/"):
            case ["dags", folder, _, *_] if not folder.endswith(".zip"):
                return folder
        return None


@dataclass(frozen=True, slots=True)
class Violation:
    """One rule that one DAG breaks; `sentence` says how to mend it."""

    rule: str
    path: str
    dag_id: str
    sentence: str
    level: Level


# --- the rules, each a sentence if it is broken ----------------------------


def _folder(dag: Dag, _: Limits) -> str | None:
    if dag.folder is None:
        name = dag.path.removeprefix("dags/")
        return f"{dag.path} lies in nobody's folder: move it to dags/<your folder>/{name}"
    if not _KEY.fullmatch(dag.folder):
        return (
            f"no dag_id can begin with the folder's name {dag.folder!r}: "
            "rename it with letters, digits, '_', '-' and '.' alone"
        )
    return None


def _dag_id(dag: Dag, _: Limits) -> str | None:
    folder = dag.folder
    if not folder or not _KEY.fullmatch(folder) or dag.dag_id.startswith(f"{folder}_"):
        return None
    # 'lasse' and 'lasse-taxi' have the name already: only the rest is to stay.
    has_name = re.fullmatch(rf"{re.escape(folder)}(?:[.-]+(.*))?", dag.dag_id)
    rest = (has_name[1] or "dag") if has_name else dag.dag_id
    return f"dag_id {dag.dag_id!r} must begin with '{folder}_': call it '{folder}_{rest}'"


def _tag(dag: Dag, _: Limits) -> str | None:
    wanted = f"student:{dag.folder}"
    if dag.folder is None or wanted in dag.tags:
        return None
    return f"DAG {dag.dag_id!r} has no tag {wanted!r}: add it to its tags=[…]"


def _schedule(dag: Dag, limits: Limits) -> str | None:
    if dag.schedule_fault:
        return f"the schedule of DAG {dag.dag_id!r} {dag.schedule_fault}"
    least_s = limits.least_minutes_between_runs * 60
    if dag.shortest_interval_s is None or dag.shortest_interval_s >= least_s:
        return None
    often = f"every {_duration(dag.shortest_interval_s)}" if dag.shortest_interval_s else "nonstop"
    return (
        f"DAG {dag.dag_id!r} runs {often}: "
        f"choose a schedule with at least {_duration(least_s)} between two runs"
    )


def _runs_at_once(dag: Dag, limits: Limits) -> str | None:
    most = limits.most_runs_at_once_catching_up if dag.catchup else limits.most_runs_at_once
    # Airflow takes 0 for no limit in one place and for no run at all in another.
    if 1 <= dag.max_active_runs <= most:
        return None
    if dag.catchup:
        return (
            f"DAG {dag.dag_id!r} catches up with max_active_runs={dag.max_active_runs}: "
            f"set it from 1 to {most:g}, or catchup=False"
        )
    return (
        f"DAG {dag.dag_id!r} has max_active_runs={dag.max_active_runs}: set it from 1 to {most:g}"
    )


def _owner(dag: Dag, _: Limits) -> str | None:
    if {owner.strip() for owner in dag.owners} - {"", DEFAULT_OWNER}:
        return None
    name = dag.folder or "<your name>"
    return f"DAG {dag.dag_id!r} has no owner: add default_args={{'owner': {name!r}}}"


_BROKEN: Mapping[str, Callable[[Dag, Limits], str | None]] = {
    "folder": _folder,
    "dag_id": _dag_id,
    "tag": _tag,
    "schedule": _schedule,
    "runs_at_once": _runs_at_once,
    "owner": _owner,
}


def violations(dag: Dag, agreed: Agreement) -> tuple[Violation, ...]:
    """Return what one DAG does against the agreement, in the order of `Levels`."""
    found = (
        (rule, level, _BROKEN[rule](dag, agreed.limits))
        for rule, level in agreed.levels
        if rule != DUPLICATE and level is not Level.OFF
    )
    return tuple(
        Violation(rule, dag.path, dag.dag_id, sentence, level)
        for rule, level, sentence in found
        if sentence
    )


def duplicates(dags: Iterable[Dag], agreed: Agreement) -> tuple[Violation, ...]:
    """Return for each DAG of a tree the other files that have its dag_id, told to all of them."""
    level = agreed.levels.duplicate
    if level is Level.OFF:
        return ()
    by_id: dict[str, list[str]] = {}
    for dag in dags:
        by_id.setdefault(dag.dag_id, []).append(dag.path)
    return tuple(
        Violation(DUPLICATE, path, dag_id, _told(dag_id, path, paths), level)
        for dag_id, paths in sorted(by_id.items())
        if len(paths) > 1
        for path in sorted(set(paths))
    )


def _told(dag_id: str, path: str, paths: list[str]) -> str:
    others = sorted(set(paths) - {path})
    if not others:
        return f"dag_id {dag_id!r} is made {len(paths)} times in {path}: rename all but one"
    return f"dag_id {dag_id!r} is also in {', '.join(others)}: rename one, Airflow runs only one"


def _duration(seconds: float) -> str:
    return f"{seconds:g} s" if seconds < 60 else f"{seconds / 60:g} min"  # noqa: PLR2004  # a minute
