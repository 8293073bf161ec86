"""What Airflow's DAG object says, in the words that `class_rules` asks for.

For wherever Airflow (3.3) has just parsed a DAG file. Airflow is imported where it is used: its
settings import this module, by way of `airflow_local_settings`, before they are ready themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Any

import pendulum
from class_rules import Dag

if TYPE_CHECKING:
    from airflow.sdk import DAG, BaseTimetable
    from airflow.timetables.base import Timetable

LONG_AGO = pendulum.datetime(2000, 1, 1, tz="UTC")
"""The runs after a fixed day, so that the same schedule is judged alike on every day."""
RUNS = 5
"""An hour's at the usual limit, and the first of the next hour. All five take some 3 ms."""


def read(dag: DAG, path: str) -> Dag:
    """Return what the rules ask about `dag`.

    `path` is its file's, relative to the repository's root.
    """
    owners = [_owner(task) for task in dag.tasks] or [dag.default_args.get("owner", "")]
    interval_s, fault = _schedule(dag.timetable)
    return Dag(
        path=path,
        dag_id=dag.dag_id,
        tags=frozenset(dag.tags),
        owners=frozenset(map(str, owners)),
        catchup=dag.catchup,
        max_active_runs=dag.max_active_runs,
        shortest_interval_s=interval_s,
        schedule_fault=fault or _circle(dag),
    )


def _owner(task: Any) -> str:  # noqa: ANN401  # of airflow.sdk, or mapped
    """Return a task's owner; that of `@asset` takes none (airflow 3.3.2), and so lacks none."""
    return "@asset" if type(task).__name__ == "_AssetMainOperator" else task.owner


def _schedule(timetable: BaseTimetable) -> tuple[float | None, str]:
    """Return its shortest interval, and what is wrong with it.

    Airflow stores a timetable and reads it back before it asks it for a run. Where that fails with
    one of its own (`EventsTimetable` of airflow.sdk 3.3.2), the file has no part in it.
    """
    from airflow.serialization.encoders import coerce_to_core_timetable  # noqa: PLC0415  # see top

    kind = type(timetable)
    try:
        schedule = coerce_to_core_timetable(timetable)
    except Exception as exc:  # noqa: BLE001  # whatever its class raises
        why = f"({type(exc).__name__}: {exc})"
        if not kind.__module__.startswith("airflow."):
            return None, f"can't be stored {why}: mend it"
        # Airflow's own and that of airflow.sdk lie in modules of one name.
        own = f"airflow.timetables.{kind.__module__.rpartition('.')[2]}"
        return None, (
            f"is one that Airflow itself can't read back {why}: take {kind.__name__} from {own}, "
            "or another schedule"
        )
    try:
        return _shortest_interval_s(schedule), ""
    except Exception as exc:  # noqa: BLE001  # whatever a timetable raises, it has no next run
        return None, f"has no next run ({str(exc) or type(exc).__name__}): mend it"


def _circle(dag: DAG) -> str:
    """Return what is wrong with a DAG that is set off by what it makes itself, "" if it is not."""
    from airflow.sdk import Asset, AssetAll, AssetAny  # noqa: PLC0415  # see top

    made = [(one.name, one.uri) for task in dag.tasks for one in task.outlets if type(one) is Asset]

    def comes(wanted: object) -> bool:
        match wanted:
            case Asset():
                return (wanted.name, wanted.uri) in made
            case AssetAll():
                return all(map(comes, wanted.objects))
            case AssetAny():
                return any(map(comes, wanted.objects))
        return False

    if not made or not comes(getattr(dag.timetable, "asset_condition", None)):
        return ""
    return (
        "is an asset that its own tasks make, so it runs nonstop: "
        "take that out of the schedule or of their outlets"
    )


def _shortest_interval_s(timetable: Timetable) -> float | None:
    """Return the seconds between those two of some runs that lie closest to each other.

    Whole ones: `@continuous` has its next run now, whenever it is asked.
    """
    if not timetable.can_be_scheduled:
        return None
    times = [at.timestamp() for at in islice(_runs(timetable), RUNS)]
    return min((round(after - before) for before, after in pairwise(times)), default=None)


def _runs(schedule: Timetable) -> Iterator[datetime]:
    """Yield when a schedule has its runs, as the scheduler finds out."""
    from airflow.timetables.base import TimeRestriction  # noqa: PLC0415  # see top

    within = TimeRestriction(earliest=LONG_AGO, latest=None, catchup=True)
    last = None
    while run := schedule.next_dagrun_info(last_automated_data_interval=last, restriction=within):
        yield run.run_after
        last = run.data_interval
