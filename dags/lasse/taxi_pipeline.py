"""Monthly taxi trips of New York: load one month, build the dbt models on it, test them.

Trigger it with a month of your choice, or let it take the month that has just ended. A month
that is loaded again replaces itself. Everything goes to your own schema, `airflow_<you>`.

To make it yours, copy this file into your own folder. Nothing in it has to be changed.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pendulum
from airflow.sdk import CronDataIntervalTimetable, dag

# `include/` stands beside `dags/`: on your laptop, in a release on the VM, anywhere.
sys.path.append(str(Path(__file__).parents[2]))
from include.taxi.tasks import MONTH, dbt_run, dbt_test, ingest_taxi_month

STUDENT = os.environ.get("AIRFLOW_STUDENT") or Path(__file__).parent.name


@dag(
    dag_id=f"{STUDENT}_taxi_pipeline",
    # A run *about* a month, made when the month is over. The bare string "@monthly" would give
    # a run *at* the first of the month, with a data interval of no length.
    schedule=CronDataIntervalTimetable("@monthly", timezone="UTC"),
    start_date=pendulum.datetime(2024, 1, 1, tz="UTC"),
    # Months before the first run come by a backfill, when you ask for one.
    catchup=False,
    # Thirty students share one scheduler. (A backfill has a limit of its own.)
    max_active_runs=1,
    params={"month": MONTH},
    tags=["week11", "taxi", f"student:{STUDENT}"],
    default_args={"owner": STUDENT},
    doc_md=__doc__,
)
def taxi_pipeline():
    month = ingest_taxi_month(STUDENT)
    built = dbt_run(month, STUDENT)
    dbt_test(built, STUDENT)


taxi_pipeline()
